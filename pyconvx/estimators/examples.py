"""Checked data: rows to train on, or to score after each epoch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.types import Array, FloatArray


@dataclass(frozen=True, eq=False)
class Examples:
    """Samples and what is to be learnt of each; the first axis of all arrays is rows.

    Parameters
    ----------
    X : array
        In the form that the user gave.
    y : array
        As the user gave it, which scorers take.
    targets : array
        The same, encoded, which the loss takes.
    weights : array of shape (n,)
    """

    X: Array
    y: Array
    targets: Array
    weights: FloatArray

    def take(self, rows: npt.NDArray[np.int64]) -> "Examples":
        """Return copies of some rows."""
        return Examples(self.X[rows], self.y[rows], self.targets[rows], self.weights[rows])


def check_together(X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
    """Refuse half of the validation data."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val belong together: pass both, or neither")
    if X_val is None and sample_weight_val is not None:
        raise ValueError("sample_weight_val needs X_val and y_val")
