"""The adapter around solvers of other packages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from pyconvx.registry.guard import Guard, read_only


@dataclass(frozen=True)
class GuardedSolver(Guard):
    """A solver of another package, with checked steps."""

    @property
    def slots(self) -> int:
        """How many arrays of memory the solver needs."""
        count: int = self.call("slots", getattr, self.plugin, "slots")
        return count

    def step(
        self,
        parameters: npt.NDArray[Any],
        gradients: npt.NDArray[Any],
        slots: npt.NDArray[Any],
        learning_rate: float,
        t: int,
        *,
        n_weights: int,
        n_threads: int = 1,
    ) -> None:
        """Change the parameters in place; PluginError or DivergenceError if the solver breaks its contract."""
        arguments = parameters, read_only(gradients), slots, learning_rate, t
        result = self.call("step", self.plugin.step, *arguments, n_weights=n_weights, n_threads=n_threads)
        if result is not None:
            self.refuse("step", result, "None: it changes the parameters in place")
        self.finite("step", parameters, gradients)
        self.finite("step (its slots)", slots, gradients)
