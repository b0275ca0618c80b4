"""The residual network for signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyconvx._core.numbers import as_int
from pyconvx._core.types import Shape
from pyconvx.architectures.base import BuiltIn
from pyconvx.architectures.blocks import RELU, conv_norm, conv_norm_relu
from pyconvx.layers import BatchNorm, GlobalAvgPool1D, Layer, Residual


@dataclass
class ResNet1D(BuiltIn):
    """Three residual blocks of three convolutions, of lengths 8, 5 and 3, then the mean over the signal.

    Parameters
    ----------
    width : int, default=64
        Filters of the first block; the others have twice as many.

    Notes
    -----
    Wang, Yan and Oates, IJCNN 2017 (arXiv:1611.06455): ResNet. The skip path is a convolution of length 1 with
    batch norm where the channels change, and batch norm alone where they do not, as in the authors' program.
    """

    width: int = 64

    made_for: ClassVar[Shape] = (128, 1)

    def _stack(self, input_shape: Shape) -> Sequence[Layer]:
        """Return the layers."""
        layers: list[Layer] = []
        width, channels = as_int("ResNet1D: width", self.width, 1), input_shape[-1]
        for n in (width, 2 * width, 2 * width):
            body = (*conv_norm_relu(n, 8, axes=1), *conv_norm_relu(n, 5, axes=1), *conv_norm(n, 3, axes=1))
            skip = (BatchNorm(),) if channels == n else conv_norm(n, 1, axes=1)
            layers += [Residual(body, skip), RELU]
            channels = n
        return (*layers, GlobalAvgPool1D())
