"""2-D X: rows of numbers, or the pixels of images in a row."""

import math
from typing import Any

from sklearn.utils.validation import validate_data

from pyconvx._core.types import Array


def checked_rows(estimator: Any, X: Any, *, reset: bool, **options: Any) -> Array:
    """Return 2-D X checked by scikit-learn, with names of columns.

    After a fit to images, rows of their pixels are taken too: the number of columns then has to fit
    ``input_shape_``, since ``n_features_in_`` is the length of the second axis of images.

    Parameters
    ----------
    estimator : estimator
    X : array-like
    reset : bool
        Whether names and the number of columns are remembered, or compared.
    **options
        For `sklearn.utils.validation.validate_data`.

    Raises
    ------
    ValueError
        In scikit-learn's words.
    """
    size = math.prod(estimator.input_shape_) if hasattr(estimator, "input_shape_") else None
    if reset or size in (None, estimator.n_features_in_) or getattr(X, "ndim", 2) != 2:
        checked: Array = validate_data(estimator, X, reset=reset, **options)
        return checked
    checked = validate_data(estimator, X, reset=False, ensure_2d=False, **options)
    if checked.ndim != 2 or checked.shape[1] != size:
        name, features = type(estimator).__name__, checked.shape[1] if checked.ndim == 2 else checked.shape
        raise ValueError(f"X has {features} features, but {name} is expecting {size} features as input.")
    return checked
