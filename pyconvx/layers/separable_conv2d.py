"""Depthwise separable convolution: channels are filtered one by one, then mixed."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from pyconvx._core.numbers import as_int
from pyconvx._core.types import FloatArray, Padding, Pair, Shape
from pyconvx.layers.base import Arrays, Layer
from pyconvx.layers.composite import Composite
from pyconvx.layers.context import Context
from pyconvx.layers.conv2d import Conv2D
from pyconvx.layers.depthwise_conv2d import DepthwiseConv2D


@dataclass(frozen=True)
class SeparableConv2D(Composite):
    """A DepthwiseConv2D without bias, then a 1x1 Conv2D.

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size : int or (int, int), default=3
    multiplier : int, default=1
        Channels of the depthwise part per input channel.
    stride, padding, dilation
        Of the depthwise part, as for Conv2D.
    bias, initializer
        As for Conv2D.

    Notes
    -----
    Parameters ``depthwiseconv2d_1.kernel``, ``conv2d_1.kernel`` and ``conv2d_1.bias``. For a 3x3 kernel
    about a ninth of the multiplications of Conv2D.
    """

    filters: int
    kernel_size: int | Pair = 3
    _: KW_ONLY
    multiplier: int = 1
    stride: int | Pair = 1
    padding: Padding = "valid"
    dilation: int | Pair = 1
    bias: bool = True
    initializer: object = None

    def __post_init__(self) -> None:
        """Refuse sizes that no input could make legal."""
        super().__post_init__()
        as_int("SeparableConv2D: filters", self.filters, 1)
        self.parts()

    def parts(self) -> tuple[tuple[Layer, ...], ...]:
        """Return the two convolutions, on one path."""
        depthwise = DepthwiseConv2D(
            self.kernel_size, multiplier=self.multiplier, stride=self.stride, padding=self.padding,
            dilation=self.dilation, bias=False, initializer=self.initializer,
        )  # fmt: skip
        return ((depthwise, Conv2D(self.filters, 1, bias=self.bias, initializer=self.initializer)),)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (OH, OW, filters)."""
        return self.path_shapes(input_shape)[0]

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Run one convolution after the other."""
        (y,), tapes = self.run_paths(x, params, context)
        return y, tapes

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Compute the gradients of both."""
        (dx,) = self.run_paths_back(dy, cache, params, grads, context)
        return dx
