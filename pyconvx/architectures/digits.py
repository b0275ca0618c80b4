"""The small network for handwritten digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyconvx._core.numbers import as_int
from pyconvx._core.types import Shape
from pyconvx.architectures.base import BuiltIn
from pyconvx.architectures.blocks import RELU
from pyconvx.layers import Conv2D, Dense, Flatten, Layer, MaxPool2D


@dataclass
class Digits(BuiltIn):
    """Two 3x3 convolutions of 32 and 64 filters, each with ReLU and a max pool, then a dense layer with ReLU.

    Parameters
    ----------
    units : int, default=128
        Of the dense layer.

    Notes
    -----
    For 28x28 grey images and ten classes it has 225,034 parameters, 204,928 of them in the dense layer.
    """

    units: int = 128

    made_for: ClassVar[Shape] = (28, 28, 1)

    def _stack(self, input_shape: Shape) -> Sequence[Layer]:
        """Return the layers."""
        units = as_int("Digits: units", self.units, 1)
        return (Conv2D(32), RELU, MaxPool2D(), Conv2D(64), RELU, MaxPool2D(), Flatten(), Dense(units), RELU)
