"""The schedule that changes nothing."""

from dataclasses import dataclass

from sklearn.base import BaseEstimator

from pyconvx.schedules.progress import Progress

__all__ = ["Constant"]


@dataclass
class Constant(BaseEstimator):
    """Factor 1 throughout."""

    def factor(self, progress: Progress) -> float:
        """Return 1."""
        return 1.0
