"""The fully convolutional network for signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyconvx._core.numbers import as_int
from pyconvx._core.types import Shape
from pyconvx.architectures.base import BuiltIn
from pyconvx.architectures.blocks import conv_norm_relu
from pyconvx.layers import GlobalAvgPool1D, Layer


@dataclass
class FCN1D(BuiltIn):
    """Three convolutions of lengths 8, 5 and 3 with batch norm and ReLU, then the mean over the signal.

    Parameters
    ----------
    width : int, default=128
        Filters of the first and the third convolution; the second has twice as many.

    Notes
    -----
    Wang, Yan and Oates, IJCNN 2017 (arXiv:1611.06455): FCN. The signal keeps its length, which may be any.
    """

    width: int = 128

    made_for: ClassVar[Shape] = (128, 1)

    def _stack(self, input_shape: Shape) -> Sequence[Layer]:
        """Return the layers."""
        width = as_int("FCN1D: width", self.width, 1)
        layers = [conv_norm_relu(n, size, axes=1) for n, size in ((width, 8), (2 * width, 5), (width, 3))]
        return (*layers[0], *layers[1], *layers[2], GlobalAvgPool1D())
