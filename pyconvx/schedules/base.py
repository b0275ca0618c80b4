"""The contract of schedules, and their registry."""

from typing import Protocol

from pyconvx.registry import Registry
from pyconvx.registry.contracts import require
from pyconvx.registry.guard import unguarded
from pyconvx.schedules.guarded import GuardedSchedule
from pyconvx.schedules.progress import Progress

__all__ = ["Schedule", "registry", "uses_max_epochs"]


class Schedule(Protocol):
    """A pure function of the progress; usually a dataclass that subclasses scikit-learn's BaseEstimator.

    A schedule that looks at ``progress.max_epochs`` has a class attribute ``uses_max_epochs = True``. The
    estimators then train `max_iter` epochs in all, however many calls they are spread over, and refuse to go on
    after them.
    """

    def factor(self, progress: Progress) -> float:
        """Return the factor for ``learning_rate_init`` in the next step."""
        ...


def uses_max_epochs(schedule: object) -> bool:
    """Return whether a schedule, guarded or not, says that it looks at ``progress.max_epochs``."""
    return getattr(unguarded(schedule), "uses_max_epochs", False) is True


def _verify(plugin: object) -> None:
    """Raise TypeError unless the plugin has a factor of the progress."""
    require(plugin, Schedule.factor)
    declared = getattr(plugin, "uses_max_epochs", False)
    if not isinstance(declared, bool):
        raise TypeError(f"{plugin!r} has uses_max_epochs={declared!r}, expected True or False")


registry: Registry[Schedule] = Registry("pyconvx.schedules", _verify, GuardedSchedule)
