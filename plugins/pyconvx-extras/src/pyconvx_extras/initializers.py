"""Initializers as frozen dataclasses that are called with a shape, the fans and a generator.

All randomness comes from the generator that is passed: one seed, one network.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["SparseHeNormal", "TruncatedHeNormal"]

# standard deviation of a standard normal that is cut at -2 and 2
CUT_STD = 0.8796256610342398


@dataclass(frozen=True)
class TruncatedHeNormal:
    """He's normal without its tails: redrawn beyond two deviations and rescaled to ``sqrt(2 / fan_in)``."""

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Draw a float64 array of this shape."""
        values = rng.standard_normal(shape)
        outside = np.abs(values) > 2
        while outside.any():
            values[outside] = rng.standard_normal(int(outside.sum()))
            outside = np.abs(values) > 2
        return values * (math.sqrt(2 / fan_in) / CUT_STD)


@dataclass(frozen=True)
class SparseHeNormal:
    """He's normal with most inputs of each filter cut off (after Martens 2010, "Hessian-free").

    Parameters
    ----------
    density : float, default=0.25
        The fraction of a filter's weights that is not zero, above 0 and at most 1; at least one weight stays.
        The weights that stay are larger, so that the variance of the sum is the same as with He's initializer.
    """

    density: float = 0.25

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Draw a float64 array of this shape."""
        inputs, outputs = math.prod(shape[:-1]), shape[-1]
        kept = max(1, round(self.density * inputs))
        values = np.zeros((inputs, outputs))
        for column in range(outputs):
            chosen = rng.choice(inputs, kept, replace=False)
            values[chosen, column] = rng.standard_normal(kept) * math.sqrt(2 / fan_in * inputs / kept)
        return values.reshape(shape)
