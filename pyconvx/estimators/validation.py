"""Data that are scored after each epoch: the user's own, or rows held out."""

from dataclasses import dataclass
from typing import Any

from pyconvx._core.types import Array, FloatArray


@dataclass(frozen=True)
class Validation:
    """Rows that are scored after each epoch.

    Parameters
    ----------
    X : array
    y : array
        As the user gave it, which scorers take.
    targets : array
        The same, encoded, which the loss takes.
    weights : array of shape (n,)
    """

    X: Any
    y: Array
    targets: Array
    weights: FloatArray


def check_together(X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
    """Refuse half of the validation data."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val belong together: pass both, or neither")
    if X_val is None and sample_weight_val is not None:
        raise ValueError("sample_weight_val needs X_val and y_val")
