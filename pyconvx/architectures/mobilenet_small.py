"""A small network of depthwise separable convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyconvx._core.numbers import require_real
from pyconvx._core.types import Shape
from pyconvx.architectures.base import BuiltIn
from pyconvx.architectures.blocks import RELU, conv_norm_relu
from pyconvx.layers import BatchNorm, DepthwiseConv2D, GlobalAvgPool2D, Layer

# channels and strides of the first seven separable convolutions of MobileNet's table 1
_BODY = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))


@dataclass
class MobileNetSmall(BuiltIn):
    """A convolution, then seven depthwise separable ones: a 3x3 filter for each channel, then a 1x1 convolution.

    Parameters
    ----------
    alpha : float, default=0.5
        What the numbers of channels are multiplied by.

    Notes
    -----
    The first half of MobileNet (Howard et al. 2017, arXiv:1704.04861), whose first convolution has stride 1 here,
    as images are small. Batch norm and ReLU follow each convolution.
    """

    alpha: float = 0.5

    made_for: ClassVar[Shape] = (32, 32, 3)

    def _stack(self, input_shape: Shape) -> Sequence[Layer]:
        """Return the layers."""
        alpha = require_real("MobileNetSmall: alpha", self.alpha)
        if not 0 < alpha < 100:
            raise ValueError(f"MobileNetSmall: alpha must be above 0 and below 100, got {self.alpha!r}")
        layers = [*conv_norm_relu(max(1, round(32 * alpha)), 3)]
        for channels, stride in _BODY:
            layers += [DepthwiseConv2D(3, stride=stride, padding=1, bias=False), BatchNorm(), RELU]
            layers += conv_norm_relu(max(1, round(channels * alpha)), 1)
        return (*layers, GlobalAvgPool2D())
