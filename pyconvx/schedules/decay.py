"""Rates that fall by a fixed factor: in steps or smoothly."""

import math
from dataclasses import dataclass

from sklearn.base import BaseEstimator

from pyconvx._core.numbers import check_real
from pyconvx.schedules._power import power
from pyconvx.schedules.progress import Progress

__all__ = ["Exponential", "Step"]


@dataclass
class Step(BaseEstimator):
    """``rate ** (epochs done // every)``.

    Parameters
    ----------
    every : int, default=10
        Epochs from one fall to the next.
    rate : float, default=0.1
        What each fall multiplies the learning rate by.
    """

    every: int = 10
    rate: float = 0.1

    def factor(self, progress: Progress) -> float:
        """Return the factor for the next step; ValueError for an illegal parameter."""
        check_real(every=self.every, above=0)
        check_real(rate=self.rate, least=0)
        return power(self.rate, math.floor(progress.epoch / self.every))


@dataclass
class Exponential(BaseEstimator):
    """``rate ** (epochs done)``, fractions of an epoch included.

    Parameters
    ----------
    rate : float, default=0.95
        What each epoch multiplies the learning rate by.
    """

    rate: float = 0.95

    def factor(self, progress: Progress) -> float:
        """Return the factor for the next step; ValueError for a negative rate."""
        check_real(rate=self.rate, least=0)
        return power(self.rate, progress.epoch)
