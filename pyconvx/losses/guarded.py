"""The adapter around losses of other packages."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx.registry.guard import Guard, read_only


@dataclass(frozen=True)
class GuardedLoss(Guard):
    """A loss of another package, with checked calls."""

    def value_and_gradient(
        self,
        logits: npt.NDArray[Any],
        targets: npt.NDArray[np.int64],
        weights: npt.NDArray[Any],
        gradient: npt.NDArray[Any],
        *,
        n_threads: int = 1,
    ) -> float:
        """Return the value and write the gradient; PluginError or DivergenceError for a breach of the contract."""
        what = "value_and_gradient"
        gradient.fill(np.nan)  # numbers that the loss does not write are found
        given = read_only(logits), read_only(targets), read_only(weights)
        result = self.call(what, self.plugin.value_and_gradient, *given, gradient, n_threads=n_threads)
        value = self.number(what, result)
        self.finite(what, value, logits)
        self.finite("value_and_gradient (the gradient)", gradient, logits)
        return value

    def probabilities(self, logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the probabilities; PluginError or DivergenceError if the loss breaks its contract."""
        what = "probabilities"
        result = self.call(what, self.plugin.probabilities, read_only(logits))
        array = self.array(what, result, logits.shape, logits.dtype)
        self.finite(what, array, logits)
        return array
