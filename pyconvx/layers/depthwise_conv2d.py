"""Depthwise convolution: a kernel of its own for every input channel."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from pyconvx._core.numbers import as_int
from pyconvx._core.types import Array, FloatArray, Padding, Pair, Shape
from pyconvx.layers.base import Affine, Arrays, Layer, ParameterSpec, cached
from pyconvx.layers.context import Context
from pyconvx.layers.conv import absorbed
from pyconvx.layers.conv2d import Conv2D
from pyconvx.layers.epilogue import NOTHING, Epilogue
from pyconvx.layers.space import expect_maps
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

    def __post_init__(self) -> None:
        """Refuse sizes that no input could make legal."""
        super().__post_init__()
        as_int("DepthwiseConv2D: multiplier", self.multiplier, 1)
        self._as_conv2d((1, 1, 1))

    def _as_conv2d(self, input_shape: Shape) -> Conv2D:
        return _as_conv2d(self, input_shape)

    def window(self, input_shape: Shape) -> Window:
        """Return the kernel's window over inputs of this shape."""
        return self._as_conv2d(input_shape).window(input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (OH, OW, C * multiplier)."""
        return self._as_conv2d(input_shape).output_shape(input_shape)

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Return kernel, and bias if there is one; fan_out counts the outputs of one channel alone."""
        specs = self._as_conv2d(input_shape).parameters(input_shape)
        kernel = specs["kernel"]
        fan_out = kernel.shape[0] * kernel.shape[1] * self.multiplier
        return specs | {"kernel": replace(kernel, fan_out=fan_out)}

    def multiplications(self, input_shape: Shape) -> int:
        """Count OH * OW * C * multiplier * KH * KW."""
        return self._as_conv2d(input_shape).multiplications(input_shape)

    def takes(self, epilogue: Epilogue) -> bool:
        """Accept an activation; a pool runs on its own, because each channel has a loop of its own."""
        return epilogue.pool is None

    def absorb(self, params: Arrays, affine: Affine) -> tuple[Layer, dict[str, Array]]:
        """Return the convolution with scaled kernels."""
        return absorbed(self, "kernel", params, affine)

    def forward(
        self, x: FloatArray, params: Arrays, context: Context, epilogue: Epilogue = NOTHING
    ) -> tuple[FloatArray, Any]:
        """Convolve as Conv2D does."""
        return self._as_conv2d(x.shape[1:]).forward(x, params, context, epilogue)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Compute the gradients as Conv2D does."""
        return self._as_conv2d(cache[0].shape[1:]).backward(dy, cache, params, grads, context)


@cached
def _as_conv2d(layer: DepthwiseConv2D, input_shape: Shape) -> Conv2D:
    """Return the grouped convolution that does the same for a number of channels."""
    C = expect_maps(layer, input_shape, 2)[2]
    return Conv2D(
        C * layer.multiplier, layer.kernel_size, stride=layer.stride, padding=layer.padding,
        dilation=layer.dilation, groups=C, bias=layer.bias, initializer=layer.initializer,
    )  # fmt: skip
