"""Dropout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pyconvx._core.types import FloatArray, Shape
from pyconvx.layers.base import Arrays, Layer
from pyconvx.layers.context import Context
from pyconvx.ops import random


@dataclass(frozen=True)
class Dropout(Layer):
    """Sets a random share of the cells to zero in training, and scales the rest by 1 / (1 - rate).

    Parameters
    ----------
    rate : float, default=0.5
        Share of cells that are dropped, in [0, 1).

    Notes
    -----
    Which cells are dropped depends on the seed, the layer's place, the epoch and the sample alone, not on
    threads or on the order of batches. Srivastava et al., JMLR 15 (2014).
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a rate that drops everything."""
        super().__post_init__()
        if not 0 <= self.rate < 1:
            raise ValueError(f"Dropout: rate must be in [0, 1), got {self.rate!r}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the input."""
        return input_shape

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Drop cells in training; otherwise return the input."""
        if not context.training or self.rate == 0:
            return x, None
        keys = context.keys("dropout", len(x))
        y = context.take(x.shape, x.dtype)
        rows = len(x), math.prod(x.shape[1:])
        context.run(
            random.dropout, x.reshape(rows), keys, self.rate, y.reshape(rows), _threads(x, context.n_threads)
        )
        return y, (keys, x.shape)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Compute the gradient of the cells that were not dropped."""
        if not context.needs_dx or cache is None:
            return dy if context.needs_dx else None
        keys, shape = cache
        dx = context.take(shape, dy.dtype)
        rows = len(dx), math.prod(shape[1:])
        context.run(
            random.dropout_backward, dy.reshape(len(dy), -1), keys, self.rate, dx.reshape(rows),
            _threads(dy, context.n_threads),
        )  # fmt: skip
        return dx


def _threads(x: FloatArray, n_threads: int) -> int:
    """Return one thread if starting a second one costs more than the work."""
    return n_threads if x.size > 16384 else 1
