"""softmax and log_softmax over the last axis: activations of an output layer.

They mix the numbers of a row, so they have no capsule and do not run inside other layers. A row with NaN or
+infinity becomes NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import as_floats
from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import FloatArray
from pyconvx.activations._arrays import as_triple
from pyconvx.ops import softmax


def _rows(array: FloatArray) -> FloatArray:
    """Return the array as rows over its last axis; a scalar is a row of one."""
    return array.reshape(-1, array.shape[-1] if array.ndim else 1) if array.size else array.reshape(0, 1)


@dataclass(frozen=True)
class Softmax:
    """``e^x / sum(e^x)`` along the last axis, without overflow."""

    @property
    def initializer(self) -> str:
        """Name of the kernel initializer that suits it."""
        return "xavier_uniform"

    def forward(self, x: npt.ArrayLike, *, n_threads: int | None = 1) -> FloatArray:
        """Return the probabilities of each row: a new array of the shape and dtype (float32 or float64) of x."""
        array = as_floats("softmax", "x", x)
        y = np.empty(array.shape, array.dtype)
        softmax.softmax(_rows(array), _rows(y), resolve_threads(n_threads))
        return y

    def backward(
        self, dy: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike, *, n_threads: int | None = 1
    ) -> FloatArray:
        """Return the gradient with respect to x: ``y (dy - sum(y dy))`` in each row."""
        grad, _, y = as_triple("softmax", dy, x, y)
        dx = np.empty(grad.shape, grad.dtype)
        softmax.softmax_backward(_rows(y), _rows(grad), _rows(dx), resolve_threads(n_threads))
        return dx


@dataclass(frozen=True)
class LogSoftmax:
    """``x - ln(sum(e^x))`` along the last axis, without overflow."""

    @property
    def initializer(self) -> str:
        """Name of the kernel initializer that suits it."""
        return "xavier_uniform"

    def forward(self, x: npt.ArrayLike, *, n_threads: int | None = 1) -> FloatArray:
        """Return the logarithms of the probabilities: a new array of the shape and dtype of x."""
        array = as_floats("log_softmax", "x", x)
        y = np.empty(array.shape, array.dtype)
        softmax.log_softmax(_rows(array), _rows(y), resolve_threads(n_threads))
        return y

    def backward(
        self, dy: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike, *, n_threads: int | None = 1
    ) -> FloatArray:
        """Return the gradient with respect to x: ``dy - e^y sum(dy)`` in each row."""
        grad, _, y = as_triple("log_softmax", dy, x, y)
        dx = np.empty(grad.shape, grad.dtype)
        softmax.log_softmax_backward(_rows(y), _rows(grad), _rows(dx), resolve_threads(n_threads))
        return dx
