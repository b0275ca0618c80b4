"""Binary cross-entropy: for labels that do not exclude one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from pyconvx._core.arrays import FLOATS, check_array
from pyconvx._core.numbers import require_real
from pyconvx._core.threads import resolve_threads
from pyconvx.losses.values import check_rows

__all__ = ["BinaryCrossEntropy"]


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """The sum over the labels of a row of ``-t log p - (1 - t) log(1 - p)``, with ``p = 1 / (1 + exp(-output))``.

    It is that of scikit-learn's MLP for multilabel targets, computed from outputs so that it is finite for any.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        From 0 to 1: targets become ``t * (1 - label_smoothing) + label_smoothing / 2``.
    """

    label_smoothing: float = 0.0

    target_kind: ClassVar[str] = "indicators"

    def __post_init__(self) -> None:
        require_real("label_smoothing", self.label_smoothing)
        if not 0.0 <= self.label_smoothing <= 1.0:
            raise ValueError(f"label_smoothing must be from 0 to 1, got {self.label_smoothing!r}")

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
        outputs : ndarray of shape (N, K), float32 or float64, C-contiguous
        targets : ndarray of the outputs' shape and dtype
            0 or 1 for each label.
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
        rows = weights != 0
        scale = weights[rows].astype(np.float64).reshape(-1, *[1] * (outputs.ndim - 1))
        logits = outputs[rows].astype(np.float64)
        wanted = targets[rows] * (1.0 - self.label_smoothing) + self.label_smoothing / 2
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at the value
            # max(z, 0) - z t + log(1 + exp(-|z|)): no exponential is larger than 1
            losses = np.maximum(logits, 0) - logits * wanted + np.log1p(np.exp(-np.abs(logits)))
            value = float((losses * scale).sum())
            gradient.fill(0)
            gradient[rows] = (expit(logits) - wanted) * scale
        return value

    def predictions(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the probability of each label; they do not add up to 1."""
        check_array("outputs", outputs, FLOATS, np.ndim(outputs))
        probabilities: npt.NDArray[Any] = expit(outputs)
        return probabilities

    def log_predictions(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the logarithms of the probabilities: finite even if a probability underflows to 0.

        Probabilities that are equal as numbers, such as two that round to 1, have equal logarithms.
        """
        check_array("outputs", outputs, FLOATS, np.ndim(outputs))
        below = np.minimum(outputs, 0)
        logarithms: npt.NDArray[Any] = np.where(
            outputs > 0, np.log(self.predictions(np.maximum(outputs, 0))), below - np.log1p(np.exp(below))
        )
        return logarithms
