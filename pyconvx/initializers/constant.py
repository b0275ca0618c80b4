"""Arrays of one value, for biases and norms. A trainable kernel that starts so would learn nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyconvx._core.numbers import check_real

__all__ = ["Constant", "ones", "zeros"]


@dataclass(frozen=True)
class Constant:
    """The same value everywhere.

    Parameters
    ----------
    value : float, default=0.0
        The value of every element.
    """

    value: float = 0.0

    def __post_init__(self) -> None:
        check_real(value=self.value)

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Return the array of float64 of that shape."""
        return np.full(shape, self.value, dtype=np.float64)


zeros = Constant(0.0)
ones = Constant(1.0)
