"""Which layers run together: steps that can be printed.

A layer that can be the epilogue of the one before it (`Layer.epilogue`) joins it if that one takes it
(`Layer.takes`): a compiled activation or a max pool then runs on rows that are still in cache. Everything else
runs on its own. A step does what its layers do one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyconvx._core.types import FloatArray, Shape
from pyconvx.layers.base import Arrays, Layer, has_capability
from pyconvx.layers.context import Context
from pyconvx.layers.epilogue import NOTHING, Epilogue
from pyconvx.layers.guarded import guarded


@dataclass(frozen=True)
class Fused(Layer):
    """A layer and the epilogue inside its loops; backward overwrites dy."""

    layer: Any
    tail: Epilogue

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape after the epilogue."""
        shape = tuple(self.layer.output_shape(input_shape))
        return shape if self.tail.pool is None else self.tail.pool.output_shape(shape)

    def parts(self) -> tuple[tuple[Layer, ...], ...]:
        """Return the paths of the layer."""
        return self.layer.parts() if hasattr(self.layer, "parts") else ()

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Run the layer with its epilogue."""
        y, cache = self.layer.forward(x, params, context, self.tail)
        return y, cache

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Multiply dy in place by the activation's derivative, then run the layer's backward."""
        if self.tail.activation is not None:
            context.run(self.tail.multiply_derivative, cache[1], dy, context.n_threads)
        dx: FloatArray | None = self.layer.backward(dy, cache, params, grads, context)
        return dx


@dataclass(frozen=True)
class Step:
    """What runs as one, and the names of the layers that it stands for."""

    layer: Any
    names: tuple[str, ...]

    @property
    def overwrites(self) -> bool:
        """Whether backward overwrites the gradient that it gets."""
        return isinstance(self.layer, Fused)

    def __str__(self) -> str:
        return " + ".join(self.names)


def one_by_one(layers: Sequence[Layer], names: Sequence[str]) -> tuple[Step, ...]:
    """Return one step for each layer."""
    return tuple(Step(_ready(layer), (name,)) for layer, name in zip(layers, names, strict=True))


def fuse(layers: Sequence[Layer], names: Sequence[str]) -> tuple[Step, ...]:
    """Return as few steps as the layers' capabilities allow."""
    steps: list[Step] = []
    for step in one_by_one(layers, names):
        joined = _join(steps[-1].layer, step.layer) if steps else None
        if joined is None:
            steps.append(step)
        else:
            steps[-1] = Step(joined, (*steps[-1].names, *step.names))
    return tuple(steps)


def _ready(layer: Any) -> Any:
    """Return the layer with names looked up, guarded if it is another package's."""
    return guarded(layer.resolved() if isinstance(layer, Layer) else layer)


def _join(before: Any, layer: Any) -> Fused | None:
    """Return one layer that does the work of two, or None."""
    tail = layer.epilogue() if has_capability(layer, "epilogue") else None
    if tail is None:
        return None
    head, first = (before.layer, before.tail) if isinstance(before, Fused) else (before, NOTHING)
    joined = first.followed_by(tail)
    if joined is None or not has_capability(head, "takes") or not head.takes(joined):
        return None
    return Fused(head, joined)
