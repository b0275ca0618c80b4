"""Dropout."""

from dataclasses import dataclass
from typing import Any

from pyconvx._core.types import FloatArray, Shape
from pyconvx._ext import random
from pyconvx.layers.base import Arrays, Context, Layer
from pyconvx.layers.program import Program


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
        """Refuse a rate that leaves nothing."""
        super().__post_init__()
        if not 0 <= self.rate < 1:
            raise ValueError(f"Dropout: rate must be in [0, 1), got {self.rate!r}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """The input's."""
        return input_shape

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Drop cells in training; else hand the input on."""
        if not context.training or self.rate == 0:
            return x, None
        keys = context.keys("dropout", len(x))
        y = context.workspace.take(x.shape, x.dtype)
        random.dropout(
            x.reshape(len(x), -1), keys, self.rate, y.reshape(len(x), -1), _threads(x, context.n_threads)
        )
        return y, (keys, x.shape)

    def bind(self, x: FloatArray, params: Arrays, program: Program) -> FloatArray:
        """The same array."""
        return x

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """The gradient of the cells that were kept."""
        if not context.needs_dx or cache is None:
            return dy if context.needs_dx else None
        keys, shape = cache
        dx = context.workspace.take(shape, dy.dtype)
        random.dropout_backward(
            dy.reshape(len(dy), -1), keys, self.rate, dx.reshape(len(dx), -1), _threads(dy, context.n_threads)
        )
        return dx


def _threads(x: FloatArray, n_threads: int) -> int:
    """One thread where starting a second costs more than the work."""
    return n_threads if x.size > 16384 else 1
