"""Layers that are made of other layers: paths that all begin at the input, and what joins their ends."""

from __future__ import annotations

from typing import Any

from pyconvx._core.types import FloatArray, Shape
from pyconvx.layers.base import Arrays, Layer, ParameterSpec
from pyconvx.layers.context import Context
from pyconvx.layers.sequence import (
    arrays_of_path,
    output_shapes,
    path_scope,
    sequence_backward,
    sequence_forward,
    sequence_parameters,
)


def check_path(where: str, path: object) -> None:
    """Refuse a path that is not a tuple of layers."""
    if not isinstance(path, tuple):
        raise ValueError(f"{where} must be a sequence of layers, got {path!r}")
    for layer in path:
        if isinstance(layer, type) or not hasattr(layer, "output_shape"):
            raise TypeError(f"{where.partition(':')[0]}: expected layers, got {layer!r}")


class Composite(Layer):
    """Base of layers that have `parts`; a subclass says how their ends are joined."""

    def path_shapes(self, input_shape: Shape) -> list[Shape]:
        """Return the shape of one sample at the end of each path."""
        return [[input_shape, *output_shapes(path, input_shape)][-1] for path in self.parts()]

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Return the parameters of all paths, by the names that the paths give them."""
        self.output_shape(input_shape)
        return {
            path_scope(self, i) + name: spec
            for i, path in enumerate(self.parts())
            for name, spec in sequence_parameters(path, input_shape).items()
        }

    def multiplications(self, input_shape: Shape) -> int:
        """Count the multiply-adds of all paths."""
        total = 0
        for path in self.parts():
            shapes = [input_shape, *output_shapes(path, input_shape)]
            total += sum(layer.multiplications(shape) for layer, shape in zip(path, shapes, strict=False))
        return total

    def run_paths(self, x: FloatArray, params: Arrays, context: Context) -> tuple[list[FloatArray], list[Any]]:
        """Return the end of each path, and what `run_paths_back` needs."""
        ends, tapes = [], []
        for i, path in enumerate(self.parts()):
            inner = context.below(path_scope(self, i))
            y, tape = sequence_forward(path, x, arrays_of_path(params, self, i), inner)
            ends.append(y)
            tapes.append(tape)
        return ends, tapes

    def run_paths_back(
        self, dy: FloatArray, tapes: list[Any], params: Arrays, grads: Arrays, context: Context
    ) -> list[FloatArray | None]:
        """Return the gradient of the input through each path, each of which ends with the gradient dy."""
        return [self.run_path_back(i, dy, tape, params, grads, context) for i, tape in enumerate(tapes)]

    def run_path_back(
        self, i: int, dy: FloatArray, tape: Any, params: Arrays, grads: Arrays, context: Context,
        overwrite: bool = False,
    ) -> FloatArray | None:  # fmt: skip
        """Return the gradient of the input through path i."""
        of_path = arrays_of_path(params, self, i), arrays_of_path(grads, self, i)
        return sequence_backward(dy, tape, *of_path, context.below(path_scope(self, i)), overwrite)
