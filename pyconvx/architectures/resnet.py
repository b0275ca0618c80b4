"""The residual networks for small images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyconvx._core.numbers import as_int
from pyconvx._core.types import Shape
from pyconvx.architectures.base import BuiltIn
from pyconvx.architectures.blocks import basic_block, conv_norm_relu
from pyconvx.layers import GlobalAvgPool2D, Layer


@dataclass
class ResNet(BuiltIn):
    """Three stages of residual blocks, each with half the size and twice the channels of the one before.

    Parameters
    ----------
    depth : int, default=20
        Layers with weights, ``6 n + 2`` for n blocks in each stage: 20, 32, 44, 56, ...
    width : int, default=16
        Channels of the first stage.

    Notes
    -----
    He et al., CVPR 2016, section 4.2, for 32x32 images. Where the shape changes, the skip path is a 1x1
    convolution with batch norm (their option B). For ten classes, ResNet-20 has 272,474 parameters; theirs has
    0.27 million.
    """

    depth: int = 20
    width: int = 16

    made_for: ClassVar[Shape] = (32, 32, 3)

    def _stack(self, input_shape: Shape) -> Sequence[Layer]:
        """Return the layers."""
        depth, width = as_int("ResNet: depth", self.depth, 8), as_int("ResNet: width", self.width, 1)
        if depth % 6 != 2:
            raise ValueError(f"ResNet: depth must be 6 n + 2, such as 20 or 32, got {depth}")
        layers, channels = [*conv_norm_relu(width, 3)], width
        for stage in range(3):
            for block in range((depth - 2) // 6):
                filters = width << stage
                layers += basic_block(channels, filters, 2 if stage and not block else 1)
                channels = filters
        return (*layers, GlobalAvgPool2D())
