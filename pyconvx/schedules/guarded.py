"""The adapter around schedules of other packages."""

from dataclasses import dataclass

from pyconvx.registry.guard import Guard
from pyconvx.schedules.progress import Progress


@dataclass(frozen=True)
class GuardedSchedule(Guard):
    """A schedule of another package, with checked factors."""

    def factor(self, progress: Progress) -> float:
        """Return the factor; PluginError or DivergenceError if it is no finite number."""
        factor = self.number("factor", self.call("factor", self.plugin.factor, progress))
        self.finite("factor", factor)
        return factor
