"""Depthwise separable convolution: channels are filtered one by one, then mixed."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

from pyconvx._core.numbers import as_int
from pyconvx._core.types import FloatArray, Padding, Pair, Shape
from pyconvx.layers.base import Arrays, Context, Layer, ParameterSpec
from pyconvx.layers.conv2d import Conv2D
from pyconvx.layers.depthwise_conv2d import DepthwiseConv2D
from pyconvx.layers.program import Program
from pyconvx.layers.sequence import (
    output_shapes,
    sequence_backward,
    sequence_bind,
    sequence_forward,
    sequence_parameters,
)


@dataclass(frozen=True)
class SeparableConv2D(Layer):
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
        """The two convolutions, on one path."""
        depthwise = DepthwiseConv2D(
            self.kernel_size, multiplier=self.multiplier, stride=self.stride, padding=self.padding,
            dilation=self.dilation, bias=False, initializer=self.initializer,
        )  # fmt: skip
        return ((depthwise, Conv2D(self.filters, 1, bias=self.bias, initializer=self.initializer)),)

    def output_shape(self, input_shape: Shape) -> Shape:
        """(OH, OW, filters)."""
        return output_shapes(self.parts()[0], input_shape)[-1]

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Those of the two convolutions."""
        return sequence_parameters(self.parts()[0], input_shape)

    def multiplications(self, input_shape: Shape) -> int:
        """Those of the two convolutions."""
        depthwise, pointwise = self.parts()[0]
        inner = depthwise.output_shape(input_shape)
        return depthwise.multiplications(input_shape) + pointwise.multiplications(inner)

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """One convolution after the other."""
        return sequence_forward(self.parts()[0], x, params, context)

    def bind(self, x: FloatArray, params: Arrays, program: Program) -> FloatArray:
        """Add both to a program."""
        return sequence_bind(self.parts()[0], x, params, program)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """The gradients of both."""
        return sequence_backward(dy, cache, params, grads, context)
