"""The contract of schedules, and their registry."""

from typing import Protocol

from pyconvx.registry import Registry
from pyconvx.registry.contracts import require
from pyconvx.schedules.guarded import GuardedSchedule
from pyconvx.schedules.progress import Progress

__all__ = ["Schedule", "registry"]


class Schedule(Protocol):
    """A pure function of the progress; usually a dataclass that subclasses scikit-learn's BaseEstimator."""

    def factor(self, progress: Progress) -> float:
        """Return the factor for ``learning_rate_init`` in the next step."""
        ...


def _verify(plugin: object) -> None:
    """Raise TypeError unless the plugin has a factor of the progress."""
    require(plugin, Schedule.factor)


registry: Registry[Schedule] = Registry("pyconvx.schedules", _verify, GuardedSchedule)
