"""Rates that follow half cosines over the whole training; its length must be known."""

import math
from dataclasses import dataclass
from typing import ClassVar

from sklearn.base import BaseEstimator

from pyconvx._core.numbers import check_real
from pyconvx.schedules.progress import Progress

__all__ = ["Cosine", "OneCycle"]


def half_cosine(start: float, end: float, part: float) -> float:
    """Return a value between start and end for a part from 0 to 1; the slope is 0 at both ends."""
    start, end, part = float(start), float(end), min(max(part, 0.0), 1.0)
    return end + (start - end) * (1.0 + math.cos(math.pi * part)) / 2.0


@dataclass
class Cosine(BaseEstimator):
    """A linear warm-up, then half a cosine from 1 down to a floor (arXiv:1608.03983, one cycle).

    Parameters
    ----------
    warm_up : float, default=0.0
        Epochs in which the factor rises in a straight line; n steps take 1/n, 2/n, ..., 1.
    floor : float, default=0.0
        The factor at the end, not negative.
    """

    warm_up: float = 0.0
    floor: float = 0.0

    uses_max_epochs: ClassVar[bool] = True

    def factor(self, progress: Progress) -> float:
        """Return the factor for the next step; after max_epochs it is the floor."""
        check_real(warm_up=self.warm_up, least=0)
        check_real(floor=self.floor, least=0)
        warm_up = float(self.warm_up)
        if progress.epoch < warm_up:
            return min(1.0, (progress.epoch + progress.length) / warm_up)
        rest = progress.max_epochs - warm_up
        return half_cosine(1.0, self.floor, (progress.epoch - warm_up) / rest if rest > 0 else 1.0)


@dataclass
class OneCycle(BaseEstimator):
    """A half cosine up to 1, then one down (Smith and Topin 2017, arXiv:1708.07120).

    ``learning_rate_init`` is the peak.

    Parameters
    ----------
    rise : float, default=0.3
        The fraction of training in which the factor rises, from 0 to 1.
    start : float, default=0.04
        The factor at the start, above 0.
    end : float, default=4e-6
        The factor at the end.
    """

    rise: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    uses_max_epochs: ClassVar[bool] = True

    def factor(self, progress: Progress) -> float:
        """Return the factor for the next step; after max_epochs it is the end."""
        check_real(rise=self.rise, least=0)
        check_real(start=self.start, above=0)
        check_real(end=self.end, least=0)
        rise, part = float(self.rise), progress.epoch / progress.max_epochs
        if part < rise:
            return half_cosine(self.start, 1.0, part / rise)
        return half_cosine(1.0, self.end, (part - rise) / (1.0 - rise) if rise < 1 else 1.0)
