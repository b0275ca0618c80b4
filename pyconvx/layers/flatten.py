"""Maps as vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pyconvx._core.types import FloatArray, Shape
from pyconvx.layers.base import Arrays, Layer
from pyconvx.layers.context import Context


@dataclass(frozen=True)
class Flatten(Layer):
    """Strings the cells of a sample together: (H, W, C) becomes (H * W * C,), channels fastest."""

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the product of the sizes."""
        return (math.prod(input_shape),)

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Return the input's memory under another shape."""
        return x.reshape(len(x), math.prod(x.shape[1:])), x.shape

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Return the memory of dy under the input's shape."""
        return dy.reshape(cache) if context.needs_dx else None
