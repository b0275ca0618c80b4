"""The adapter around losses of other packages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from pyconvx.registry.guard import Guard, read_only


@dataclass(frozen=True)
class GuardedLoss(Guard):
    """A loss of another package, with checked calls."""

    @property
    def target_kind(self) -> str:
        """What the loss compares outputs with."""
        kind: str = self.call("target_kind", getattr, self.plugin, "target_kind", "classes")
        return kind

    def value_and_gradient(
        self,
        outputs: npt.NDArray[Any],
        targets: npt.NDArray[Any],
        weights: npt.NDArray[Any],
        gradient: npt.NDArray[Any],
        *,
        n_threads: int = 1,
    ) -> float:
        """Return the value and write the gradient; PluginError or DivergenceError for a breach of the contract."""
        what = "value_and_gradient"
        gradient.fill(float("nan"))  # numbers that the loss does not write are found
        given = read_only(outputs), read_only(targets), read_only(weights)
        result = self.call(what, self.plugin.value_and_gradient, *given, gradient, n_threads=n_threads)
        value = self.number(what, result)
        self.finite(what, value, outputs)
        self.finite("value_and_gradient (the gradient)", gradient, outputs)
        return value

    def predictions(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the predictions; PluginError or DivergenceError if the loss breaks its contract."""
        what = "predictions"
        result = self.call(what, self.plugin.predictions, read_only(outputs))
        array = self.array(what, result, outputs.shape, outputs.dtype)
        self.finite(what, array, outputs)
        return array
