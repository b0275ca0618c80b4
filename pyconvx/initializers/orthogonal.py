"""Weights whose filters are orthogonal to one another (Saxe et al. 2013, arXiv:1312.6120)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyconvx._core.numbers import check_real

__all__ = ["Orthogonal"]


@dataclass(frozen=True)
class Orthogonal:
    """A random orthogonal matrix, times a gain.

    The array is seen as a matrix with one column per output and one row per input of that output.
    Its columns are orthonormal if it is tall, its rows if it is wide.

    Parameters
    ----------
    gain : float, default=1.0
        ``sqrt(2)`` suits a ReLU.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        check_real(gain=self.gain)

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Draw an array of float64 of that shape, which needs at least two axes."""
        if len(shape) < 2:
            raise ValueError(f"an orthogonal array needs at least two axes, got shape {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        normal = rng.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        # the signs of LAPACK are a convention; with a positive diagonal of R the distribution is uniform
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
        matrix = q if rows >= columns else q.T
        return self.gain * np.ascontiguousarray(matrix).reshape(shape)
