"""What a schedule is; this family's registry."""

from typing import Protocol

from pyconvx.registry import Registry
from pyconvx.registry.contracts import require
from pyconvx.schedules.guarded import GuardedSchedule
from pyconvx.schedules.progress import Progress

__all__ = ["Schedule", "registry"]


class Schedule(Protocol):
    """A pure function of the progress; a plain dataclass that subclasses BaseEstimator."""

    def factor(self, progress: Progress) -> float:
        """Return what multiplies ``learning_rate_init`` in the step that follows."""
        ...


def _verify(plugin: object) -> None:
    require(plugin, Schedule.factor)


registry: Registry[Schedule] = Registry("pyconvx.schedules", _verify, GuardedSchedule)
