"""The small network for handwritten letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyconvx._core.types import Shape
from pyconvx.architectures.base import BuiltIn
from pyconvx.layers import Activation, Conv2D, Dense, Flatten, Layer, MaxPool2D


@dataclass
class Letters(BuiltIn):
    """Three 3x3 convolutions of 32, 64 and 128 filters, each with a max pool and GELU, then two dense layers.

    Notes
    -----
    After "Hello Deep Learning" (Bert Hubert, 2023), where it reads 26 letters of 28x28 pixels. Pools round up, so
    maps have 26, 13, 11, 6, 4 and 2 rows, which leaves 512 numbers; the dense layers have 64 and 128 units with
    GELU. With 26 classes, 137,178 parameters: every filter has a kernel for each input channel, where the source
    shares one among them.
    """

    made_for: ClassVar[Shape] = (28, 28, 1)

    def _stack(self, input_shape: Shape) -> Sequence[Layer]:
        """Return the layers."""
        gelu = Activation("gelu")
        maps = [layer for n in (32, 64, 128) for layer in (Conv2D(n), MaxPool2D(2, ceil_mode=True), gelu)]
        return (*maps, Flatten(), Dense(64), gelu, Dense(128), gelu)
