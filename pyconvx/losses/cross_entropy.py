"""Softmax cross-entropy, from logits, for classes that exclude one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import FLOATS, check_array
from pyconvx._core.numbers import require_real
from pyconvx._core.threads import resolve_threads, threads_for
from pyconvx.ops import losses, softmax

__all__ = ["CrossEntropy"]


@dataclass(frozen=True)
class CrossEntropy:
    """``log(sum exp(x)) - sum(q * x)`` of each row x of logits.

    The distribution q is 1 at the true class; with label smoothing s (Szegedy et al. 2015,
    arXiv:1512.00567) it is ``1 - s`` there, plus ``s / K`` everywhere.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        From 0 to 1.
    """

    label_smoothing: float = 0.0
    target_kind: ClassVar[str] = "classes"

    def __post_init__(self) -> None:
        require_real("label_smoothing", self.label_smoothing)
        if not 0.0 <= self.label_smoothing <= 1.0:
            raise ValueError(f"label_smoothing must be from 0 to 1, got {self.label_smoothing!r}")

    def value_and_gradient(
        self,
        outputs: npt.NDArray[Any],
        targets: npt.NDArray[np.int64],
        weights: npt.NDArray[Any],
        gradient: npt.NDArray[Any],
        *,
        n_threads: int = 1,
    ) -> float:
        """Return the weighted sum of the rows' losses and write its gradient.

        Parameters
        ----------
        outputs : ndarray of shape (N, K), float32 or float64, C-contiguous
            The logits. Values up to the type's largest give finite gradients.
        targets : ndarray of int64 of shape (N,)
            Classes, 0 to K - 1.
        weights : ndarray of shape (N,), the logits' dtype
            A row of weight 0 counts for nothing, whatever its loss.
        gradient : ndarray of shape (N, K), the logits' dtype
            Overwritten with the derivative of the returned sum with respect to the logits.
        n_threads : int, default=1
            Does not change the bits of the result: sums run through 16 fixed blocks of rows.

        Returns
        -------
        float
            Summed in double precision.

        Raises
        ------
        TypeError
            For arrays of another dtype.
        ValueError
            If shapes do not fit together, a target is no class, an array would have to be copied, or the
            gradient shares memory with the logits.
        """
        _check_arrays(outputs, targets, weights, gradient)
        threads = threads_for(outputs.size, resolve_threads(n_threads), "logits")
        return losses.cross_entropy(outputs, targets, weights, self.label_smoothing, gradient, threads)

    def predictions(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the softmax of each row of logits, the probabilities, in the logits' shape (N, K) and dtype."""
        check_array("logits", outputs, FLOATS, 2)
        probabilities = np.empty_like(outputs)
        softmax.softmax(outputs, probabilities, 1)
        return probabilities

    def log_predictions(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the logarithms of the probabilities: finite even if a probability underflows to 0."""
        check_array("logits", outputs, FLOATS, 2)
        logarithms = np.empty_like(outputs)
        softmax.log_softmax(outputs, logarithms, 1)
        return logarithms


def _check_arrays(
    logits: npt.NDArray[Any],
    targets: npt.NDArray[np.int64],
    weights: npt.NDArray[Any],
    gradient: npt.NDArray[Any],
) -> None:
    """Raise TypeError or ValueError for arrays that the kernel would read or write past their end."""
    check_array("logits", logits, FLOATS, 2)
    check_array("targets", targets, (np.dtype(np.int64),), 1)
    check_array("weights", weights, (logits.dtype,), 1)
    check_array("gradient", gradient, (logits.dtype,), 2, written=True)
    rows = logits.shape[:1]
    if targets.shape != rows or weights.shape != rows or gradient.shape != logits.shape:
        raise ValueError(
            f"logits of shape {logits.shape} need targets and weights of shape {rows} and a gradient "
            f"like the logits, got {targets.shape}, {weights.shape} and {gradient.shape}"
        )
