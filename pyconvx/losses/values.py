"""Losses of real numbers: squared error, and Huber's loss, which grows more slowly far from the target."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import FLOATS, check_array
from pyconvx._core.numbers import require_real
from pyconvx._core.threads import resolve_threads

__all__ = ["Huber", "SquaredError"]


class _ValueLoss(ABC):
    """A loss that is the mean of a function of the differences between outputs and targets."""

    target_kind: ClassVar[str] = "values"

    @abstractmethod
    def _limit(self) -> float:
        """Return the difference up to which the loss grows as its square."""

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
        outputs : ndarray of shape (N, ...), float32 or float64, C-contiguous
        targets : ndarray of the outputs' shape and dtype
        weights : ndarray of shape (N,), the outputs' dtype
            A row of weight 0 counts for nothing, whatever its loss.
        gradient : ndarray of the outputs' shape and dtype
            Overwritten with the derivative of the returned sum with respect to the outputs.
        n_threads : int, default=1
            Does not change the result: one thread does the work.

        Returns
        -------
        float
            Computed in double precision.

        Raises
        ------
        TypeError
            For arrays of another dtype.
        ValueError
            If shapes do not fit together, an array would have to be copied, or there is no output.
        """
        check_rows(outputs, targets, weights, gradient)
        resolve_threads(n_threads)
        per_row = math.prod(outputs.shape[1:])
        limit = self._limit()
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at the value
            difference = np.subtract(outputs, targets, dtype=np.float64).reshape(len(outputs), per_row)
            difference[weights == 0] = 0
            slope = difference if limit == math.inf else np.clip(difference, -limit, limit)
            scale = weights.astype(np.float64)[:, None] / per_row
            value = float((slope * (difference - 0.5 * slope) * scale).sum())
            gradient[...] = (slope * scale).reshape(gradient.shape)
        return value

    def predictions(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a copy of the outputs: they are the predictions."""
        check_array("outputs", outputs, FLOATS, np.ndim(outputs))
        return outputs.copy()


@dataclass(frozen=True)
class SquaredError(_ValueLoss):
    """Half the mean of the squared differences of a row's outputs from its targets, as in scikit-learn's MLP."""

    def _limit(self) -> float:
        """Return infinity: the loss is a square everywhere."""
        return math.inf


@dataclass(frozen=True)
class Huber(_ValueLoss):
    """``d * d / 2`` for differences d up to `delta`, ``delta * (|d| - delta / 2)`` beyond; the mean over a row.

    Few targets that are far off then move the fit less than with squared error (Huber 1964,
    doi:10.1214/aoms/1177703732).

    Parameters
    ----------
    delta : float, default=1.0
        Above 0, in the unit of the targets.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        require_real("delta", self.delta)
        if not 0.0 < self.delta < math.inf:
            raise ValueError(f"delta must be above 0 and finite, got {self.delta!r}")

    def _limit(self) -> float:
        """Return the difference beyond which the loss grows linearly."""
        return float(self.delta)


def check_rows(
    outputs: npt.NDArray[Any],
    targets: npt.NDArray[Any],
    weights: npt.NDArray[Any],
    gradient: npt.NDArray[Any],
) -> None:
    """Raise TypeError or ValueError unless outputs, targets and gradient are alike, with one weight per row."""
    axes = max(1, np.ndim(outputs))
    check_array("outputs", outputs, FLOATS, axes)
    check_array("targets", targets, (outputs.dtype,), axes)
    check_array("weights", weights, (outputs.dtype,), 1)
    check_array("gradient", gradient, (outputs.dtype,), axes, written=True)
    if targets.shape != outputs.shape or weights.shape != outputs.shape[:1] or gradient.shape != outputs.shape:
        raise ValueError(
            f"outputs of shape {outputs.shape} need targets and a gradient like them and weights of shape "
            f"{outputs.shape[:1]}, got {targets.shape}, {gradient.shape} and {weights.shape}"
        )
    if 0 in outputs.shape[1:]:
        raise ValueError(f"rows of outputs hold no numbers: their shape is {outputs.shape}")
    if np.may_share_memory(outputs, gradient) or np.may_share_memory(targets, gradient):
        raise ValueError("gradient shares memory with outputs or targets")
