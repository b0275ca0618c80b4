"""What a loss is; this family's registry."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pyconvx.registry import Registry
from pyconvx.registry.claims import is_foreign
from pyconvx.registry.contracts import require
from pyconvx.registry.guard import Guard, read_only

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


registry: Registry[Loss] = Registry("pyconvx.losses", _verify)


def value_and_gradient(
    loss: Loss,
    logits: npt.NDArray[Any],
    targets: npt.NDArray[np.int64],
    weights: npt.NDArray[Any],
    gradient: npt.NDArray[Any],
    n_threads: int = 1,
) -> float:
    """What the loss says; PluginError or DivergenceError where another package's breaks its contract."""
    if not is_foreign(loss):
        return loss.value_and_gradient(logits, targets, weights, gradient, n_threads=n_threads)
    guard, what = Guard(registry, loss), "value_and_gradient"
    gradient.fill(np.nan)  # what is left out shows
    given = read_only(logits), read_only(targets), read_only(weights)
    found = guard.call(what, loss.value_and_gradient, *given, gradient, n_threads=n_threads)
    value = guard.number(what, found)
    guard.finite(what, value, logits)
    guard.finite("value_and_gradient (the gradient)", gradient, logits)
    return value


def probabilities(loss: Loss, logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The loss's probabilities; PluginError or DivergenceError where another package's breaks its contract."""
    if not is_foreign(loss):
        return loss.probabilities(logits)
    guard, what = Guard(registry, loss), "probabilities"
    found = guard.array(what, guard.call(what, loss.probabilities, read_only(logits)), logits.shape, logits.dtype)
    guard.finite(what, found, logits)
    return found
