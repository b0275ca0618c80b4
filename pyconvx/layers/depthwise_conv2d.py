"""Depthwise convolution: a kernel of its own for every input channel."""

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

from pyconvx._core.numbers import as_int
from pyconvx._core.types import FloatArray, Padding, Pair, Shape
from pyconvx.layers.base import Arrays, Context, Layer, ParameterSpec, cached, expect_images
from pyconvx.layers.conv2d import Conv2D
from pyconvx.layers.program import Program
from pyconvx.ops.geometry import Window


@dataclass(frozen=True)
class DepthwiseConv2D(Layer):
    """Convolution in which each input channel is filtered on its own.

    Parameters
    ----------
    kernel_size : int or (int, int), default=3
    multiplier : int, default=1
        Output channels per input channel.
    stride, padding, dilation, bias, initializer
        As for Conv2D.

    Notes
    -----
    Input (H, W, C), output (OH, OW, C * multiplier); parameters ``kernel`` (KH, KW, 1, C * multiplier)
    and ``bias``. It is ``Conv2D(C * multiplier, ..., groups=C)``.
    """

    kernel_size: int | Pair = 3
    _: KW_ONLY
    multiplier: int = 1
    stride: int | Pair = 1
    padding: Padding = "valid"
    dilation: int | Pair = 1
    bias: bool = True
    initializer: object = None

    takes_activation: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse sizes that no input could make legal."""
        super().__post_init__()
        as_int("DepthwiseConv2D: multiplier", self.multiplier, 1)
        self._as_conv2d((1, 1, 1))

    def _as_conv2d(self, input_shape: Shape) -> Conv2D:
        return _as_conv2d(self, input_shape)

    def view(self, input_shape: Shape) -> Window:
        """The kernel's window over inputs of this shape."""
        return self._as_conv2d(input_shape).view(input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        """(OH, OW, C * multiplier)."""
        return self._as_conv2d(input_shape).output_shape(input_shape)

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Kernel, and bias where wanted; a channel's outputs are its own, so fan_out counts them alone."""
        specs = self._as_conv2d(input_shape).parameters(input_shape)
        kernel = specs["kernel"]
        fan_out = kernel.shape[0] * kernel.shape[1] * self.multiplier
        return specs | {"kernel": replace(kernel, fan_out=fan_out)}

    def multiplications(self, input_shape: Shape) -> int:
        """OH * OW * C * multiplier * KH * KW."""
        return self._as_conv2d(input_shape).multiplications(input_shape)

    def forward(
        self, x: FloatArray, params: Arrays, context: Context, activation: Any = None, keep: bool = False
    ) -> tuple[FloatArray, Any]:
        """As Conv2D."""
        return self._as_conv2d(x.shape[1:]).forward(x, params, context, activation, keep)

    def bind(self, x: FloatArray, params: Arrays, program: Program, activation: Any = None) -> FloatArray:
        """As Conv2D."""
        return self._as_conv2d(x.shape[1:]).bind(x, params, program, activation)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """As Conv2D."""
        return self._as_conv2d(cache[0].shape[1:]).backward(dy, cache, params, grads, context)


@cached
def _as_conv2d(layer: DepthwiseConv2D, input_shape: Shape) -> Conv2D:
    """The grouped convolution that this is for a number of channels."""
    C = expect_images(layer, input_shape)[2]
    return Conv2D(
        C * layer.multiplier, layer.kernel_size, stride=layer.stride, padding=layer.padding,
        dilation=layer.dilation, groups=C, bias=layer.bias, initializer=layer.initializer,
    )  # fmt: skip
