"""Five convolutions for photographs, without a pool between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyconvx._core.types import Shape
from pyconvx.architectures.base import BuiltIn
from pyconvx.architectures.blocks import RELU
from pyconvx.layers import Conv2D, GlobalAvgPool2D, Layer


@dataclass
class AllConv224(BuiltIn):
    """Five convolutions of stride 2, 64 filters of 7x7 and then 128, 256, 512 and 512 of 3x3, each with ReLU.

    Notes
    -----
    Maps of 112, 56, 28, 14 and 7 cells along each side, of which the mean is taken in the end. The convolutions
    have 3,918,464 parameters. All of them halve the size, as in Springenberg et al. 2015 (arXiv:1412.6806), so an
    output cell of the last one sees 67x67 pixels of the image.
    """

    made_for: ClassVar[Shape] = (224, 224, 3)

    def _stack(self, input_shape: Shape) -> Sequence[Layer]:
        """Return the layers."""
        sizes = ((64, 7), (128, 3), (256, 3), (512, 3), (512, 3))
        maps = [layer for n, k in sizes for layer in (Conv2D(n, k, stride=2, padding="same"), RELU)]
        return (*maps, GlobalAvgPool2D())
