"""A small network in the style of VGG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyconvx._core.numbers import as_int
from pyconvx._core.types import Shape
from pyconvx.architectures.base import BuiltIn
from pyconvx.architectures.blocks import RELU, conv_norm_relu
from pyconvx.layers import BatchNorm, Dense, Flatten, Layer, MaxPool2D


@dataclass
class VGGSmall(BuiltIn):
    """Stages of two 3x3 convolutions with batch norm and a max pool, then a dense layer.

    Parameters
    ----------
    filters : tuple of int, default=(32, 64, 128)
        Of both convolutions of each stage.
    units : int, default=128
        Of the dense layer.

    Notes
    -----
    Simonyan and Zisserman, ICLR 2015, for images of about 32x32: three of their five stages, half as wide, with
    batch norm.
    """

    filters: Sequence[int] = (32, 64, 128)
    units: int = 128

    made_for: ClassVar[Shape] = (32, 32, 3)

    def _stack(self, input_shape: Shape) -> Sequence[Layer]:
        """Return the layers."""
        layers: list[Layer] = []
        for filters in self.filters:
            layers += [*conv_norm_relu(filters, 3), *conv_norm_relu(filters, 3), MaxPool2D()]
        units = as_int("VGGSmall: units", self.units, 1)
        return (*layers, Flatten(), Dense(units, bias=False), BatchNorm(), RELU)
