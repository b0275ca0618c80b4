"""Random weights of a scale that is given, whatever the layer: normal, uniform, truncated normal.

The scale that lets a deep network learn depends on the fans; `variance_scaling` chooses it by them. These are for
comparisons with other libraries and for papers that state a scale. Their defaults are those of Keras.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from pyconvx._core.numbers import check_real

__all__ = ["RandomNormal", "RandomUniform", "TruncatedNormal"]

_CUT = 2.0  # standard deviations


@dataclass(frozen=True)
class RandomNormal:
    """Normal weights.

    Parameters
    ----------
    mean : float, default=0.0
    std : float, default=0.05
        Their standard deviation, above 0.
    """

    mean: float = 0.0
    std: float = 0.05

    def __post_init__(self) -> None:
        check_real(mean=self.mean)
        check_real(std=self.std, above=0)

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Draw an array of float64 of that shape."""
        return rng.normal(self.mean, self.std, shape)


@dataclass(frozen=True)
class RandomUniform:
    """Uniform weights.

    Parameters
    ----------
    low, high : float, default=-0.05 and 0.05
        The limits, in this order.
    """

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        check_real(low=self.low, high=self.high)
        if not self.low < self.high:
            raise ValueError(f"low must be less than high, got low={self.low!r}, high={self.high!r}")
        check_real(**{"high - low": float(self.high) - float(self.low)})  # two finite numbers may be too far apart

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Draw an array of float64 of that shape."""
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class TruncatedNormal:
    """Normal weights no further than two standard deviations from their mean.

    They are drawn through the inverse of the distribution, so one random number makes one weight. Their own
    standard deviation is 0.88 of `std`, the one before the tails are cut off.

    Parameters
    ----------
    mean : float, default=0.0
    std : float, default=0.05
        Of the normal distribution that is truncated, above 0.
    """

    mean: float = 0.0
    std: float = 0.05

    def __post_init__(self) -> None:
        check_real(mean=self.mean)
        check_real(std=self.std, above=0)

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Draw an array of float64 of that shape."""
        values: npt.NDArray[np.float64] = ndtri(rng.uniform(ndtr(-_CUT), ndtr(_CUT), shape))
        return self.mean + self.std * values
