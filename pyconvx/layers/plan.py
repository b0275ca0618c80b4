"""Which layers run together: a plan is a list of steps that can be printed.

A convolution, dense layer, batch norm or residual block and the compiled activation behind it are one step: it
runs on rows that are still in cache. A max pool of windows that do not meet joins the convolution before it.
Everything else runs on its own. A step does what its layers do one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyconvx._core.types import FloatArray, Shape
from pyconvx._ext import pointwise
from pyconvx.layers.activation import Activation
from pyconvx.layers.base import Arrays, Context, Layer, belongs_to_forward, both
from pyconvx.layers.conv2d import Conv2D
from pyconvx.layers.guarded import guarded
from pyconvx.layers.max_pool2d import MaxPool2D
from pyconvx.layers.program import Program
from pyconvx.ops import convolution
from pyconvx.ops._direct import Pooled
from pyconvx.ops.geometry import as_padding


@dataclass(frozen=True)
class WithActivation(Layer):
    """A layer and a compiled activation inside its loops; backward overwrites dy."""

    layer: Any
    function: Any

    def output_shape(self, input_shape: Shape) -> Shape:
        """The inner layer's."""
        return tuple(self.layer.output_shape(input_shape))

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """f(layer(x)); the cache holds what f' follows from."""
        y, cache = self.layer.forward(x, params, context, self.function.capsule, _keeps(self.function, context))
        return y, cache

    def bind(self, x: FloatArray, params: Arrays, program: Program) -> FloatArray:
        """Add both to a program."""
        if not belongs_to_forward(self.layer, "bind"):
            return program.bind_forward(self, x, params)
        y: FloatArray = self.layer.bind(x, params, program, self.function.capsule)
        return y

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Derivative of f in place of dy, which nobody needs any more, then the layer's gradients."""
        _through(self.function, cache[1], dy, context)
        dx: FloatArray | None = self.layer.backward(dy, cache, params, grads, context)
        return dx


@dataclass(frozen=True)
class WithPool(Layer):
    """A convolution, a compiled activation or none, and a max pool, one map row after the other.

    The pool comes before the function, which is the same for one that never decreases: fewer cells to
    apply it to. Backward overwrites dy.
    """

    layer: Conv2D
    pool: MaxPool2D
    function: Any = None

    def output_shape(self, input_shape: Shape) -> Shape:
        """The pool's."""
        return self.pool.output_shape(self.layer.output_shape(input_shape))

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """f(pool(layer(x))); the cache holds what f' follows from, and the winner of each window."""
        shape = (len(x), *self.output_shape(x.shape[1:]))
        take = context.workspace.take
        y = take(shape, x.dtype)
        after = take(shape, x.dtype) if _keeps(self.function, context) else y
        pooled = self._pooled(x, take(shape, np.uint8))
        convolution.forward(
            x, params["kernel"], params.get("bias"), y, self.layer.view(x.shape[1:]), self.layer.groups,
            context.workspace, context.n_threads, after, getattr(self.function, "capsule", None), pooled,
        )  # fmt: skip
        return after, (x, y, pooled.winner)

    def bind(self, x: FloatArray, params: Arrays, program: Program) -> FloatArray:
        """Add all to a program."""
        shape = (len(x), *self.output_shape(x.shape[1:]))
        y, pooled = program.take(shape, x.dtype), self._pooled(x, program.take(shape, np.uint8))
        capsule = getattr(self.function, "capsule", None)
        view = self.layer.view(x.shape[1:])
        program.bind_convolution(x, params, y, view, self.layer.groups, capsule, pooled)
        return y

    def _pooled(self, x: FloatArray, winner: Any) -> Pooled:
        return Pooled(winner, self.pool.view(self.layer.output_shape(x.shape[1:])))

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Derivative of f in place of dy; the gradient of the whole map is never there at once."""
        x, y, winner = cache
        _through(self.function, y, dy, context)
        dx = context.workspace.take(x.shape, x.dtype) if context.needs_dx else None
        convolution.backward(
            x, dy, params["kernel"], grads.get("kernel"), grads.get("bias"), dx, self.layer.view(x.shape[1:]),
            self.layer.groups, context.workspace, context.n_threads, self._pooled(x, winner),
        )  # fmt: skip
        return dx


def _keeps(function: Any, context: Context) -> bool:
    """Whether backward needs the values before the function."""
    if function is None or not context.training:
        return False
    return not pointwise.flags(function.capsule) & pointwise.FROM_OUTPUT


def _through(function: Any, v: FloatArray, dy: FloatArray, context: Context) -> None:
    """Multiply dy by f', in place."""
    if function is not None:
        flat = dy.reshape(-1)
        pointwise.backward(function.capsule, v.reshape(-1), flat, flat, context.n_threads)


@dataclass(frozen=True)
class Step:
    """One entry of a plan: what runs, and the names of the layers that it stands for."""

    layer: Any
    names: tuple[str, ...]

    @property
    def overwrites(self) -> bool:
        """Whether backward uses the memory of the gradient that it gets."""
        return isinstance(self.layer, (WithActivation, WithPool))

    def __str__(self) -> str:
        return " + ".join(self.names)


def make_plan(layers: Sequence[Layer], names: Sequence[str], *, fuse: bool = True) -> tuple[Step, ...]:
    """Steps for layers in order; with `fuse` off each layer is a step of its own."""
    steps: list[Step] = []
    for layer, name in zip(layers, names, strict=True):
        if isinstance(layer, Activation):
            layer = layer.resolved()
        layer = guarded(layer)
        joined = _join(steps[-1].layer, layer) if fuse and steps else None
        if joined is None:
            steps.append(Step(layer, (name,)))
        else:
            steps[-1] = Step(joined, (*steps[-1].names, name))
    return tuple(steps)


def _join(before: Layer, layer: Layer) -> Layer | None:
    """One step out of a step and the layer behind it, or None."""
    if isinstance(layer, Activation) and hasattr(layer.activation, "capsule"):
        if belongs_to_forward(before, "takes_activation") and before.takes_activation:
            return WithActivation(before, layer.activation)
        if isinstance(before, WithPool) and before.function is None:
            return WithPool(before.layer, before.pool, layer.activation)
    if isinstance(layer, MaxPool2D) and _apart(layer):
        if type(before) is Conv2D:
            return WithPool(before, layer)
        if isinstance(before, WithActivation) and type(before.layer) is Conv2D and _rises(before.function):
            return WithPool(before.layer, layer, before.function)
    return None


def _rises(function: Any) -> bool:
    """Whether a compiled function never decreases, so that a maximum may be taken before it."""
    return bool(pointwise.flags(function.capsule) & pointwise.NON_DECREASING)


def _apart(pool: MaxPool2D) -> bool:
    """Whether windows share no cell, lie inside the map whatever its size, and a byte counts their taps."""
    height, width = both(pool.pool_size)
    stride_h, stride_w = both(pool.pool_size if pool.stride is None else pool.stride)
    inside = as_padding(pool.padding) == ((0, 0), (0, 0)) and not pool.ceil_mode
    apart = stride_h >= height and stride_w >= width
    return inside and apart and both(pool.dilation) == (1, 1) and 2 <= height * width <= 254
