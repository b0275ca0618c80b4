"""What a schedule is, and what it is told; this family's registry."""

import math
from dataclasses import dataclass
from typing import Protocol

from pyconvx._core.numbers import check_real
from pyconvx.registry import Registry
from pyconvx.registry.contracts import require
from pyconvx.registry.guard import Guard, is_foreign

__all__ = ["Progress", "Schedule", "registry"]


@dataclass(frozen=True)
class Progress:
    """How far training has come, at the start of a step.

    Parameters
    ----------
    step : int
        Steps done, over all calls of fit and partial_fit.
    epoch : float
        Epochs done, with the fraction of the one under way.
    max_epochs : int
        Epochs that this training may take.
    samples_seen : int
        Samples of all epochs ended so far, ``t_`` of scikit-learn's MLP.
    stalls : int
        How often training ran ``n_iter_no_change`` epochs without improvement.
    """

    step: int = 0
    epoch: float = 0.0
    max_epochs: int = 1
    samples_seen: int = 0
    stalls: int = 0

    def __post_init__(self) -> None:
        check_real(least=1, max_epochs=self.max_epochs)
        check_real(least=0, **vars(self))


def power(base: float, exponent: float) -> float:
    """``base ** exponent`` of a base that is not negative; infinity where no float is as large."""
    try:
        return float(float(base) ** float(exponent))
    except (OverflowError, ZeroDivisionError):
        return math.inf


class Schedule(Protocol):
    """A pure function of the progress; a plain dataclass that subclasses BaseEstimator."""

    def factor(self, progress: Progress) -> float:
        """Return what multiplies ``learning_rate_init`` in the step that follows."""
        ...


def _verify(plugin: object) -> None:
    require(plugin, Schedule.factor)


registry: Registry[Schedule] = Registry("pyconvx.schedules", _verify)


def factor_of(schedule: Schedule, progress: Progress) -> float:
    """The schedule's factor; PluginError or DivergenceError where another package's breaks its contract."""
    if not is_foreign(schedule):
        return schedule.factor(progress)
    guard = Guard(registry, schedule)
    factor = guard.number("factor", guard.call("factor", schedule.factor, progress))
    guard.finite("factor", factor)
    return factor
