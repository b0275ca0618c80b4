"""Convolution over any number of axes; the arithmetic is `pyconvx.ops.convolution`."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from pyconvx._core.numbers import as_int
from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx.initializers import zeros
from pyconvx.layers.base import Affine, Arrays, Layer, ParameterSpec, cached
from pyconvx.layers.context import Context
from pyconvx.layers.epilogue import NOTHING, Epilogue
from pyconvx.layers.space import (
    as_image_padding,
    as_image_shape,
    as_image_sizes,
    as_images,
    check_padding,
    check_sizes,
    expect_maps,
)
from pyconvx.ops.conv_plan import ConvPlan
from pyconvx.ops.geometry import Window, window


def absorbed(layer: Any, weights: str, params: Arrays, affine: Affine) -> tuple[Any, dict[str, Array]]:
    """Return a layer and parameters that also apply an affine map to the outputs; channels come last.

    The scale goes into the weights and the rest into the bias, computed in double precision.
    """
    kernel = params[weights]
    bias = affine.scale * (params.get("bias", 0.0) - affine.mean) + affine.shift
    changed = {weights: kernel * affine.scale, "bias": bias}
    return replace(layer, bias=True), {name: array.astype(kernel.dtype) for name, array in changed.items()}


@dataclass(frozen=True)
class Conv(Layer):
    """What convolutions share; a subclass says over how many axes its kernels slide."""

    filters: int
    kernel_size: int | tuple[int, ...] = 3
    _: KW_ONLY
    stride: int | tuple[int, ...] = 1
    padding: Any = "valid"
    dilation: int | tuple[int, ...] = 1
    groups: int = 1
    bias: bool = True
    initializer: object = None

    axes: ClassVar[int]

    def __post_init__(self) -> None:
        """Refuse sizes that no input could make legal."""
        super().__post_init__()
        name = type(self).__name__
        as_int(f"{name}: filters", self.filters, 1)
        for size in ("kernel_size", "stride", "dilation"):
            check_sizes(f"{name}: {size}", getattr(self, size), self.axes)
        as_int(f"{name}: groups", self.groups, 1)
        check_padding(self.padding, self.axes)
        if self.filters % self.groups:
            raise ValueError(f"{name}: groups={self.groups} must divide filters={self.filters}")

    def window(self, input_shape: Shape) -> Window:
        """Return the kernel's window over inputs of this shape."""
        return _window(self, input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (*space, filters)."""
        window = self.window(input_shape)
        return (*(window.OH, window.OW)[-self.axes :], self.filters)

    def _kernel_shape(self, channels: int) -> tuple[int, int, int, int]:
        """Return (KH, KW, C / groups, filters), as plans take it."""
        return (*as_image_sizes(self.kernel_size, self.axes), channels // self.groups, self.filters)

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Return kernel (*kernel_size, C / groups, filters), and bias if there is one."""
        self.window(input_shape)  # refuses what does not fit
        KH, KW, inputs, _ = self._kernel_shape(input_shape[-1])
        fans = (KH * KW * inputs, KH * KW * self.filters // self.groups)
        shape = (*(KH, KW)[-self.axes :], inputs, self.filters)
        specs = {"kernel": ParameterSpec(shape, self.initializer, *fans)}
        if self.bias:
            specs["bias"] = ParameterSpec((self.filters,), zeros, kind="bias")
        return specs

    def multiplications(self, input_shape: Shape) -> int:
        """Count output cells * kernel_size * C / groups."""
        window = self.window(input_shape)
        KH, KW, inputs, outputs = self._kernel_shape(input_shape[-1])
        return window.OH * window.OW * outputs * KH * KW * inputs

    def takes(self, epilogue: Epilogue) -> bool:
        """Accept any epilogue: activation and pool run on rows that are still in cache."""
        return True

    def absorb(self, params: Arrays, affine: Affine) -> tuple[Layer, dict[str, Array]]:
        """Return the convolution with scaled kernels."""
        return absorbed(self, "kernel", params, affine)

    def forward(
        self, x: FloatArray, params: Arrays, context: Context, epilogue: Epilogue = NOTHING
    ) -> tuple[FloatArray, Any]:
        """Convolve, pool and activate.

        The cache holds x, the values before the activation if they are needed, and the pool's window and winners.
        """
        cells = self.output_shape(x.shape[1:])
        pool, shape = None, (len(x), *cells)
        if epilogue.pool is not None:
            pool, shape = epilogue.pool.window(cells), (len(x), *epilogue.pool.output_shape(cells))
        y = context.take(shape, x.dtype)
        activated = context.take(shape, x.dtype) if epilogue.keeps_input(context.training) else y
        winner = None if pool is None else as_images(context.take(shape, np.uint8))
        plan = _plan(self, x.shape, x.dtype, context.n_threads, pool)
        kernel = params["kernel"]
        if context.is_fixed:
            kernel = context.constant(("kernel", id(kernel)), lambda: plan.prepared(self._as_kernel(kernel, plan)))
        else:
            kernel = self._as_kernel(kernel, plan)
        context.run(
            plan.forward, as_images(x), kernel, params.get("bias"), as_images(y), as_images(activated), winner,
            epilogue.capsule, context.scratch(plan.forward_scratch, x.dtype),
        )  # fmt: skip
        return activated, (x, y, pool, winner)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Compute the gradients of kernel, bias and input; a pooled map's gradient never exists as a whole."""
        x, _, pool, winner = cache
        plan = _plan(self, x.shape, x.dtype, context.n_threads, pool)
        dkernel = self._as_kernel(grads["kernel"], plan) if "kernel" in grads else None
        dx = context.take(x.shape, x.dtype) if context.needs_dx else None
        images, slopes = as_images(x), as_images(dy)
        if "bias" in grads:
            context.run(plan.backward_bias, slopes, grads["bias"], context.scratch(plan.backward_scratch, x.dtype))
        if dkernel is not None or dx is not None:
            context.run(
                plan.backward, images, slopes, self._as_kernel(params["kernel"], plan), dkernel,
                None if dx is None else as_images(dx), winner, context.scratch(plan.backward_scratch, x.dtype),
            )  # fmt: skip
        return dx

    def _as_kernel(self, array: Array, plan: ConvPlan) -> Array:
        """Return a kernel as plans take it: that of a signal gets one row."""
        return array.reshape(plan.kernel_shape) if self.axes == 1 else array


@cached
def _plan(layer: Conv, shape: Shape, dtype: Any, n_threads: int, pool: Window | None) -> ConvPlan:
    """Return the plan for batches of this shape."""
    image = (shape[0], *as_image_shape(shape[1:]))
    return ConvPlan(image, layer.filters, layer.window(shape[1:]), layer.groups, dtype, n_threads, pool)


@cached
def _window(layer: Conv, input_shape: Shape) -> Window:
    """Return the kernel's window, checked against the input."""
    expect_maps(layer, input_shape, layer.axes)
    if input_shape[-1] % layer.groups:
        raise ValueError(
            f"{type(layer).__name__} expected channels divisible by {layer.groups}, got shape {input_shape}"
        )
    axes, (H, W, _) = layer.axes, as_image_shape(input_shape)
    return window(
        type(layer).__name__, (H, W), as_image_sizes(layer.kernel_size, axes),
        stride=as_image_sizes(layer.stride, axes), padding=as_image_padding(layer.padding, axes),
        dilation=as_image_sizes(layer.dilation, axes),
    )  # fmt: skip
