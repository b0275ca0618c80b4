"""X as images: which shapes and dtypes are taken, and what fit remembers of them.

4-D is images, 3-D grey images, 2-D flattened images where `image_shape` says so and else signals of one
row. Nothing is guessed from sizes, and X is never copied whole.
"""

import math
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from pyconvx._core.arrays import refuse_odd_array
from pyconvx._core.types import Array, Shape
from pyconvx.estimators import _parameters as rule

_CHUNK = 1 << 22  # numbers that a finite check casts at a time

# The parameters that say how X is laid out.
SHAPE_RULES = {
    "image_shape": rule.either(
        rule.Rule(
            lambda v: isinstance(v, (tuple, list)) and len(v) in (2, 3) and rule.sizes.accepts(v),
            "two or three ints in the range [1, inf)",
        ),
        rule.nothing,
    ),
    "data_format": rule.choice("channels_last", "channels_first"),
}


def channels_last(shape: Shape, data_format: str) -> Shape:
    """(H, W, C) of a shape as the user orders it; (H, W) is grey."""
    if len(shape) == 2:
        return (*shape, 1)
    return (shape[1], shape[2], shape[0]) if data_format == "channels_first" else shape


def ordered(shape: Shape, data_format: str) -> Shape:
    """(H, W, C) as the user orders it."""
    H, W, C = shape
    return (C, H, W) if data_format == "channels_first" else shape


def check_images(estimator: Any, X: Any, *, reset: bool) -> Array:
    """X as an array of real, finite numbers in its own dtype; sets or checks n_features_in_.

    Raises
    ------
    TypeError
        For sparse matrices, masked arrays and numpy.matrix.
    ValueError
        For complex or non-finite numbers, dates, no samples, no features, more than four axes.
    """
    refuse_odd_array("X", X)
    X = _as_array(estimator, X)
    if getattr(X, "ndim", 2) <= 2:
        array: Array = validate_data(estimator, X, reset=reset)
    else:
        array = X
        if reset:
            estimator.n_features_in_ = math.prod(array.shape[1:])
            if hasattr(estimator, "feature_names_in_"):
                del estimator.feature_names_in_
    if array.dtype.kind not in "biuf":
        raise ValueError(f"X must hold real numbers, got {array.dtype}")
    return array


def _as_array(estimator: Any, X: Any) -> Array:
    """Any array-like of 3 or 4 axes, checked; one of fewer, and a frame's names, are left to validate_data."""
    array = X if hasattr(X, "ndim") else np.asarray(X)
    if array.ndim <= 2:
        return X  # type: ignore[no-any-return]
    if array.ndim > 4:
        raise ValueError(f"Found array with dim {array.ndim}. {type(estimator).__name__} expected <= 4.")
    checked: Array = check_array(array, allow_nd=True, estimator=estimator, input_name="X")
    if 0 in checked.shape[1:]:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={checked.shape}) while a minimum of 1 is required by "
            f"{type(estimator).__name__}."
        )
    return checked


def first_shape(estimator: Any, X: Array) -> Shape:
    """(H, W, C) of the images that fit gets."""
    given = None if estimator.image_shape is None else tuple(int(size) for size in estimator.image_shape)
    if X.ndim == 2:
        if given is None:
            return 1, X.shape[1], 1
        if math.prod(given) != X.shape[1]:
            raise ValueError(f"image_shape={given} has {math.prod(given)} pixels, X has {X.shape[1]} features")
        return channels_last(given, estimator.data_format)
    shape = channels_last(X.shape[1:], estimator.data_format)
    if given is not None and channels_last(given, estimator.data_format) != shape:
        raise ValueError(f"X has images of shape {X.shape[1:]}, but image_shape={given}")
    return shape


def check_same_shape(estimator: Any, X: Array) -> None:
    """Refuse images of another shape than fit saw; flat rows were compared by count already."""
    expected = estimator.input_shape_
    if X.ndim > 2 and channels_last(X.shape[1:], estimator.data_format) != expected:
        raise ValueError(
            f"X has images of shape {X.shape[1:]}, but {type(estimator).__name__} was fitted on images of "
            f"shape {ordered(expected, estimator.data_format)}"
        )


def check_same_kind(estimator: Any, X: Array, name: str = "X") -> None:
    """Refuse float images for a network fitted on uint8 ones, and the other way round."""
    if estimator.scales_uint8_ == (X.dtype == np.uint8):
        return
    if estimator.scales_uint8_:
        raise ValueError(
            f"{type(estimator).__name__} was fitted on uint8 images, scaled by 1/255, got {name} of {X.dtype}: "
            "pass uint8, or fit on X / 255"
        )
    raise ValueError(
        f"{type(estimator).__name__} was fitted on {name} that was not uint8, got uint8, which would be scaled "
        f"by 1/255: pass {name}.astype(float)"
    )


def computing_dtype(dtype: Any, X: Array) -> np.dtype[Any]:
    """The precision of the network: float64 stays, everything else computes in float32."""
    if dtype is None:
        dtype = np.float64 if X.dtype.newbyteorder("=") == np.float64 else np.float32
    chosen: np.dtype[Any] = np.dtype(dtype)
    return chosen


def check_cast(X: Array, dtype: np.dtype[Any]) -> None:
    """Refuse finite numbers that the network's precision cannot hold; reads X a piece at a time."""
    if X.dtype.kind not in "fiu" or X.dtype.itemsize <= dtype.itemsize or not len(X):
        return
    limit = float(np.finfo(dtype).max)
    rows = max(1, _CHUNK // max(1, math.prod(X.shape[1:])))
    for start in range(0, len(X), rows):
        piece = X[start : start + rows]
        if max(float(piece.max()), -float(piece.min())) > limit:
            raise ValueError(f"Input X contains infinity or a value too large for {dtype!r}.")
