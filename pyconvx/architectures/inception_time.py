"""The Inception network for signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyconvx._core.numbers import as_int
from pyconvx._core.types import Shape
from pyconvx.architectures.base import BuiltIn
from pyconvx.architectures.blocks import RELU, conv_norm
from pyconvx.layers import BatchNorm, Concat, Conv1D, GlobalAvgPool1D, Layer, MaxPool1D, Residual


@dataclass
class InceptionTime(BuiltIn):
    """Modules of long convolutions side by side, with a skip path over every third, then the mean over the signal.

    Parameters
    ----------
    depth : int, default=6
        Modules.
    filters : int, default=32
        Of each of the four branches.
    kernel_sizes : tuple of int, default=(40, 20, 10)
        Lengths of the convolutions of a module.
    bottleneck : int, default=32
        Channels that they see: a convolution of length 1 comes before them, unless the input has one channel.

    Notes
    -----
    One network of Ismail Fawaz et al., Data Mining and Knowledge Discovery 2020 (arXiv:1909.04939), who average
    the predictions of five. In each module the fourth branch is a max pool and a convolution of length 1.
    """

    depth: int = 6
    filters: int = 32
    kernel_sizes: Sequence[int] = (40, 20, 10)
    bottleneck: int = 32

    made_for: ClassVar[Shape] = (128, 1)

    def _stack(self, input_shape: Shape) -> Sequence[Layer]:
        """Return the layers."""
        depth = as_int("InceptionTime: depth", self.depth, 1)
        wide = (len(self.kernel_sizes) + 1) * self.filters
        channels = [input_shape[-1], *[wide] * depth]
        modules = [self._module(n) for n in channels[:-1]]
        layers: list[Layer] = []
        whole = depth - depth % 3
        for i in range(0, whole, 3):
            body = (*modules[i], *modules[i + 1], *modules[i + 2])
            layers += [Residual(body, conv_norm(wide, 1, axes=1)), RELU]
        for module in modules[whole:]:
            layers += module
        return (*layers, GlobalAvgPool1D())

    def _module(self, channels: int) -> tuple[Layer, ...]:
        """Return one module for inputs of so many channels."""
        narrow = (Conv1D(self.bottleneck, 1, bias=False),) if channels > 1 else ()
        convs = [(Conv1D(self.filters, size, padding="same", bias=False),) for size in self.kernel_sizes]
        pooled = (MaxPool1D(3, stride=1, padding=1), Conv1D(self.filters, 1, bias=False))
        return (Concat((*narrow, Concat(*convs)), pooled), BatchNorm(), RELU)
