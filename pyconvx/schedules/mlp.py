"""The two schedules of scikit-learn's MLP, with its formulas."""

from dataclasses import dataclass

from sklearn.base import BaseEstimator

from pyconvx._core.numbers import check_real
from pyconvx.schedules._power import power
from pyconvx.schedules.progress import Progress

__all__ = ["Adaptive", "InvScaling"]


@dataclass
class InvScaling(BaseEstimator):
    """``(samples seen + 1) ** -power_t``; changes at the ends of epochs.

    Parameters
    ----------
    power_t : float, default=0.5
        The exponent.
    """

    power_t: float = 0.5

    def factor(self, progress: Progress) -> float:
        """Return the factor for the epoch under way, 1 in the first."""
        check_real(power_t=self.power_t)
        return power(float(progress.samples_seen) + 1, -float(self.power_t))


@dataclass
class Adaptive(BaseEstimator):
    """A fifth of the rate each time training stops improving.

    A schedule cannot stop training: as MLP does, the training loop ends it at a stall that finds
    the rate at 1e-6 or below.
    """

    def factor(self, progress: Progress) -> float:
        """Return ``5 ** -stalls``."""
        return power(5.0, -float(progress.stalls))
