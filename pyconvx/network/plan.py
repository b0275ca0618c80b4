"""Which layers run together: a plan is a list of steps that can be printed.

A convolution or dense layer and the compiled activation behind it are one step: the function runs on rows
that are still in cache. Everything else runs on its own. A step does what its layers do one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyconvx._ext import pointwise
from pyconvx._types import FloatArray, Shape
from pyconvx.layers import Activation, Conv2D, Dense, DepthwiseConv2D, Layer
from pyconvx.layers.base import Arrays, Context

_MULTIPLYING = (Conv2D, Dense, DepthwiseConv2D)


@dataclass(frozen=True)
class WithActivation(Layer):
    """A layer that multiplies, and a compiled activation inside its loops."""

    layer: Any
    function: Any

    def output_shape(self, input_shape: Shape) -> Shape:
        """The inner layer's."""
        return tuple(self.layer.output_shape(input_shape))

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """f(layer(x)); the cache holds what f' follows from."""
        capsule = self.function.capsule
        keep = context.training and not pointwise.flags(capsule) & pointwise.FROM_OUTPUT
        y, cache = self.layer.forward(x, params, context, capsule, keep)
        return y, cache

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Derivative of f in place of dy, which nobody needs any more, then the layer's gradients."""
        _, v = cache
        flat = dy.reshape(-1)
        pointwise.backward(self.function.capsule, v.reshape(-1), flat, flat, context.n_threads)
        dx: FloatArray | None = self.layer.backward(dy, cache, params, grads, context)
        return dx


@dataclass(frozen=True)
class Step:
    """One entry of a plan: what runs, and the names of the layers that it stands for."""

    layer: Any
    names: tuple[str, ...]

    def __str__(self) -> str:
        return " + ".join(self.names)


def make_plan(layers: Sequence[Layer], names: Sequence[str], *, fuse: bool = True) -> tuple[Step, ...]:
    """Steps for layers in order; with `fuse` off each layer is a step of its own."""
    steps: list[Step] = []
    for layer, name in zip(layers, names, strict=True):
        if isinstance(layer, Activation):
            layer = layer.resolved()
            before = steps[-1] if steps else None
            fusable = before is not None and isinstance(before.layer, _MULTIPLYING)
            if fuse and before is not None and fusable and hasattr(layer.activation, "capsule"):
                steps[-1] = Step(WithActivation(before.layer, layer.activation), (*before.names, name))
                continue
        steps.append(Step(layer, (name,)))
    return tuple(steps)
