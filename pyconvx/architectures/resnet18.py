"""The residual network of 18 layers for photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyconvx._core.numbers import as_int
from pyconvx._core.types import Shape
from pyconvx.architectures.base import BuiltIn
from pyconvx.architectures.blocks import basic_block, conv_norm_relu
from pyconvx.layers import GlobalAvgPool2D, Layer, MaxPool2D


@dataclass
class ResNet18(BuiltIn):
    """A 7x7 convolution and a max pool, then four stages of two residual blocks.

    Parameters
    ----------
    width : int, default=64
        Channels of the first stage; each of the others has twice as many as the one before.

    Notes
    -----
    He et al., CVPR 2016, table 1, for 224x224 images; the skip path is a 1x1 convolution where the shape changes.
    For 1,000 classes, 11,689,512 parameters.
    """

    width: int = 64

    made_for: ClassVar[Shape] = (224, 224, 3)

    def _stack(self, input_shape: Shape) -> Sequence[Layer]:
        """Return the layers."""
        channels = as_int("ResNet18: width", self.width, 1)
        layers = [*conv_norm_relu(channels, 7, stride=2), MaxPool2D(3, stride=2, padding=1)]
        for stage in range(4):
            filters = self.width << stage
            layers += [*basic_block(channels, filters, 2 if stage else 1), *basic_block(filters, filters)]
            channels = filters
        return (*layers, GlobalAvgPool2D())
