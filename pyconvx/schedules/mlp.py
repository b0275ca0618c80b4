"""The two schedules of scikit-learn's MLP, with its formulas."""

from dataclasses import dataclass

from sklearn.base import BaseEstimator

from pyconvx._core.numbers import check_real
from pyconvx.schedules._power import power
from pyconvx.schedules.progress import Progress

__all__ = ["Adaptive", "InvScaling"]


@dataclass
class InvScaling(BaseEstimator):
    """``(samples seen + 1) ** -power_t``; changes at the end of each epoch.

    Parameters
    ----------
    power_t : float, default=0.5
        The exponent.
    """

    power_t: float = 0.5

    def factor(self, progress: Progress) -> float:
        """Return the factor for the present epoch; 1 in the first."""
        check_real(power_t=self.power_t)
        return power(float(progress.samples_seen) + 1, -float(self.power_t))


@dataclass
class Adaptive(BaseEstimator):
    """A fifth of the rate each time training stops improving.

    A schedule cannot stop training. The training loop does, as in scikit-learn's MLP, if training stalls
    when the rate is 1e-6 or less.
    """

    def factor(self, progress: Progress) -> float:
        """Return ``5 ** -stalls``."""
        return power(5.0, -float(progress.stalls))
