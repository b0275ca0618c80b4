"""Checked data: rows to train on, or to score after each epoch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import _safe_indexing

from pyconvx._core.types import Array, FloatArray


@dataclass(frozen=True, eq=False)
class Examples:
    """Samples and what is to be learnt of each; the first axis of all arrays is rows.

    Parameters
    ----------
    X : array
        Checked.
    y : array
        As the user gave it, which scorers take.
    targets : array
        The same, encoded, which the loss takes.
    sample_weight : array of shape (n,)
        What the user gave, or ones.
    weights : array of shape (n,)
        What training takes, the weights of classes included.
    given : array-like
        X as scorers and callbacks get it: a data frame if it was one, else the array.
    """

    X: Array
    y: Array
    targets: Array
    sample_weight: FloatArray
    weights: FloatArray
    given: Any

    def take(self, rows: npt.NDArray[np.int64]) -> "Examples":
        """Return copies of some rows."""
        X = self.X[rows]
        given = X if self.given is self.X else _safe_indexing(self.given, rows)
        return Examples(X, self.y[rows], self.targets[rows], self.sample_weight[rows], self.weights[rows], given)


def shown(X: Any, checked: Array) -> Any:
    """Return X itself if it is a data frame, whose columns scorers may look at, else the checked array."""
    return X if hasattr(X, "columns") else checked


def check_together(X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
    """Refuse half of the validation data."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val belong together: pass both, or neither")
    if X_val is None and sample_weight_val is not None:
        raise ValueError("sample_weight_val needs X_val and y_val")
