"""Activations as plain Python classes: forward and backward on arrays, no compiled code.

They are frozen dataclasses, so that they can be compared, printed and pickled. Each keeps the dtype of its input:
its constants are Python numbers, which do not promote float32.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

__all__ = ["BentIdentity", "Snake", "SquaredReLU"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class SquaredReLU:
    """``max(x, 0) ** 2`` (So et al. 2021, arXiv:2109.08668)."""

    initializer: ClassVar[str] = "he_uniform"

    def forward(self, x: Array) -> Array:
        """Return ``max(x, 0) ** 2``; NaN stays NaN."""
        return np.square(np.maximum(x, 0))

    def backward(self, dy: Array, x: Array, y: Array) -> Array:
        """Return ``2 max(x, 0) dy``."""
        return 2 * np.maximum(x, 0) * dy


@dataclass(frozen=True)
class BentIdentity:
    """``(sqrt(x**2 + 1) - 1) / 2 + x``: smooth, with slopes from 1/2 to 3/2."""

    initializer: ClassVar[str] = "lecun_normal"

    def forward(self, x: Array) -> Array:
        """Return the bent identity, with hypot because ``x**2`` overflows long before x does."""
        bend: Array = (np.hypot(x, 1) - 1) / 2
        return bend + x

    def backward(self, dy: Array, x: Array, y: Array) -> Array:
        """Return ``(x / (2 sqrt(x**2 + 1)) + 1) dy``."""
        slope: Array = x / (2 * np.hypot(x, 1)) + 1
        return slope * dy


@dataclass(frozen=True)
class Snake:
    """``x + sin(a x)**2 / a``, for periodic data (Ziyin et al. 2020, arXiv:2006.08195).

    Parameters
    ----------
    frequency : float, default=1.0
        The a of the formula, above 0. For another value, pass an object: ``activation=Snake(2.0)``.
    """

    frequency: float = 1.0

    initializer: ClassVar[str] = "lecun_normal"

    def forward(self, x: Array) -> Array:
        """Return ``x + sin(a x)**2 / a``."""
        return x + np.square(np.sin(self.frequency * x)) / self.frequency

    def backward(self, dy: Array, x: Array, y: Array) -> Array:
        """Return ``(1 + sin(2 a x)) dy``."""
        return (1 + np.sin(2 * self.frequency * x)) * dy
