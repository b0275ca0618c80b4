"""Maps as vectors."""

import math
from dataclasses import dataclass
from typing import Any

from pyconvx._core.types import FloatArray, Shape
from pyconvx.layers.base import Arrays, Context, Layer
from pyconvx.layers.program import Program


@dataclass(frozen=True)
class Flatten(Layer):
    """Strings the cells of a sample together: (H, W, C) becomes (H * W * C,), channels fastest."""

    def output_shape(self, input_shape: Shape) -> Shape:
        """The product of the sizes."""
        return (math.prod(input_shape),)

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """A view of the input."""
        return x.reshape(len(x), math.prod(x.shape[1:])), x.shape

    def bind(self, x: FloatArray, params: Arrays, program: Program) -> FloatArray:
        """The same array."""
        return x.reshape(len(x), math.prod(x.shape[1:]))

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """A view of dy."""
        return dy.reshape(cache) if context.needs_dx else None
