"""y as class numbers, sample weights, and the rows that are trained and validated on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split
from sklearn.utils import assert_all_finite
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d

from pyconvx._core.arrays import refuse_odd_array
from pyconvx._core.types import Array, FloatArray

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Validation:
    """Rows that are scored after each epoch."""

    X: Any
    y: Array
    codes: Codes
    weights: FloatArray


def check_labels(estimator: Any, X: Array, y: Any, name: str = "y") -> Array:
    """Labels as a 1-D array, one per row of X."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None"
        )
    refuse_odd_array(name, y)
    labels: Array = column_or_1d(y, warn=True)
    assert_all_finite(labels, input_name=name)
    check_consistent_length(X, labels)
    distinct(labels)  # refuses mixed kinds in plainer words than the next line
    check_classification_targets(labels)
    return labels


def distinct(labels: Array) -> Array:
    """The classes, sorted."""
    try:
        return np.unique(labels)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels})
        raise TypeError(f"labels must be uniformly strings or numbers, got {kinds}") from None


def encode(labels: Array, classes: Array, name: str = "y") -> Codes:
    """Place of each label among the sorted classes."""
    unknown = np.setdiff1d(labels, classes)
    if len(unknown):
        raise ValueError(f"`{name}` has classes not in `self.classes_`. Unknown: {unknown}, known: {classes}.")
    return np.searchsorted(classes, labels).astype(np.int64)


def check_weights(sample_weight: Any, n: int, name: str = "sample_weight") -> FloatArray:
    """Weights as float64 (n,): finite, not negative, not all zero."""
    if sample_weight is None:
        return np.ones(n)
    refuse_odd_array(name, sample_weight)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.ndim == 0:
        weights = np.full(n, weights)
    if weights.shape != (n,):
        raise ValueError(f"{name}.shape == {weights.shape}, expected {(n,)}!")
    if not np.isfinite(weights).all():
        raise ValueError(f"Input {name} contains NaN or infinity.")
    if (weights < 0).any():
        raise ValueError(f"{name} must not contain a negative weight, the smallest is {weights.min()}")
    if not weights.any():
        raise ValueError(f"{name} must contain at least one non-zero weight")
    return weights


def with_class_weight(sample_weight: Any, class_weight: Any, labels: Array) -> FloatArray:
    """Sample weights times their classes' weights, checked: together too they may not all be zero."""
    weights = check_weights(sample_weight, len(labels))
    if class_weight is None:
        return weights
    shares = check_weights(compute_sample_weight(class_weight, labels), len(labels), "class_weight")
    return check_weights(weights * shares, len(labels), "sample_weight * class_weight")


def hold_out(codes: Codes, index: Codes, fraction: float, seed: int) -> tuple[Codes, Codes]:
    """Training and validation rows, the classes in equal shares."""
    train, held = train_test_split(index, test_size=fraction, stratify=codes[index], random_state=seed % 2**32)
    return np.sort(train), np.sort(held)
