"""What a loss is; this family's registry."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pyconvx.losses.guarded import GuardedLoss
from pyconvx.registry import Registry
from pyconvx.registry.contracts import require

__all__ = ["Loss", "registry"]


class Loss(Protocol):
    """Compares the outputs of a network, before any output activation, with the true classes."""

    def value_and_gradient(
        self,
        logits: npt.NDArray[Any],
        targets: npt.NDArray[np.int64],
        weights: npt.NDArray[Any],
        gradient: npt.NDArray[Any],
        *,
        n_threads: int = 1,
    ) -> float:
        """Return the weighted sum of the rows' losses and write its gradient.

        Parameters
        ----------
        logits : ndarray of shape (N, K), float32 or float64
            Not written.
        targets : ndarray of int64 of shape (N,)
            Classes, 0 to K - 1.
        weights : ndarray of shape (N,), the logits' dtype
            Row ``i`` counts ``weights[i]`` times.
        gradient : ndarray of shape (N, K), the logits' dtype
            Overwritten with the derivative of the returned sum with respect to the logits.
        n_threads : int, default=1
            May not change the result.
        """
        ...

    def probabilities(self, logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return class probabilities, an array of the logits' shape (N, K) and dtype."""
        ...


def _verify(plugin: object) -> None:
    require(plugin, Loss.value_and_gradient)
    require(plugin, Loss.probabilities)


registry: Registry[Loss] = Registry("pyconvx.losses", _verify, GuardedLoss)
