"""What a loss is; this family's registry."""

from __future__ import annotations

from typing import Any, Protocol

import numpy.typing as npt

from pyconvx.losses.guarded import GuardedLoss
from pyconvx.registry import Registry
from pyconvx.registry.contracts import require

__all__ = ["TARGET_KINDS", "Loss", "registry", "target_kind"]

# What losses compare outputs with: "classes", int64 of shape (N,), "values", numbers of the outputs' shape, or
# "indicators", such numbers that are 0 or 1.
TARGET_KINDS = ("classes", "values", "indicators")


class Loss(Protocol):
    """Compares the outputs of a network with encoded targets, and links outputs to predictions.

    A network's outputs have no output activation: that is part of the loss, as its link. A loss may have
    the attribute ``target_kind``, which says what its targets are: ``"classes"`` (the default), numbers of
    classes, ``"values"``, real numbers in the shape and dtype of the outputs, or ``"indicators"``, 0 and 1 in that
    shape and dtype for labels that do not exclude one another.
    """

    def value_and_gradient(
        self,
        outputs: npt.NDArray[Any],
        targets: npt.NDArray[Any],
        weights: npt.NDArray[Any],
        gradient: npt.NDArray[Any],
        *,
        n_threads: int = 1,
    ) -> float:
        """Return the weighted sum of the rows' losses and write its gradient.

        Parameters
        ----------
        outputs : ndarray of shape (N, ...), float32 or float64
            Not written. For an estimator's network the shape is (N, K).
        targets : ndarray of shape (N, ...)
            As the estimator encodes them: for ``"classes"`` int64 of shape (N,), from 0 to K - 1; for
            ``"values"`` and ``"indicators"`` the outputs' shape and dtype.
        weights : ndarray of shape (N,), the outputs' dtype
            Row ``i`` counts ``weights[i]`` times.
        gradient : ndarray of the outputs' shape and dtype
            Overwritten with the derivative of the returned sum with respect to the outputs.
        n_threads : int, default=1
            May not change the result.
        """
        ...

    def predictions(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return predictions in the shape and dtype of the outputs: class probabilities, or values."""
        ...


def target_kind(loss: object) -> str:
    """Return what a loss compares outputs with, one of `TARGET_KINDS`."""
    return str(getattr(loss, "target_kind", TARGET_KINDS[0]))


def has_logarithms(loss: object) -> bool:
    """Return whether a loss computes logarithms of its predictions itself, and not those of a base class's."""
    for kind in type(loss).__mro__:
        if "log_predictions" in vars(kind):
            return True
        if "predictions" in vars(kind):
            return False
    return False


def _verify(plugin: object) -> None:
    """Raise TypeError unless the plugin has the methods of a loss and a known kind of targets."""
    require(plugin, Loss.value_and_gradient)
    require(plugin, Loss.predictions)
    if target_kind(plugin) not in TARGET_KINDS:
        raise TypeError(f"{plugin!r}: target_kind must be one of {TARGET_KINDS}, got {target_kind(plugin)!r}")


registry: Registry[Loss] = Registry("pyconvx.losses", _verify, GuardedLoss)
