"""X as samples: which shapes and dtypes are taken, and what fit remembers of them.

With ``spatial_dims=2``, 4-D X is images, 3-D grey images, 2-D flattened images if `image_shape` says so and
otherwise images with one row. With ``spatial_dims=1``, 3-D X is signals, 2-D signals of one channel, or flattened
ones. Nothing is guessed from sizes, and X is never copied whole.
"""

import math
import os
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from pyconvx._core.arrays import as_stack
from pyconvx._core.rows import checked_rows
from pyconvx._core.types import Array, Shape

_CHUNK = 1 << 22  # numbers that a finite check casts at a time


def noun(estimator: Any) -> str:
    """Return what messages call the samples."""
    return "signals" if estimator.spatial_dims == 1 else "images"


def channels_last(estimator: Any, shape: Shape) -> Shape:
    """Return (*space, C) of one sample's shape as the user orders it; without channels there is one."""
    if len(shape) == estimator.spatial_dims:
        return (*shape, 1)
    return (*shape[1:], shape[0]) if estimator.data_format == "channels_first" else shape


def ordered(estimator: Any, shape: Shape) -> Shape:
    """Return (*space, C) as the user orders it."""
    return (shape[-1], *shape[:-1]) if estimator.data_format == "channels_first" else shape


def check_samples(estimator: Any, X: Any, *, reset: bool, name: str = "X") -> Array:
    """Return X as an array of real, finite numbers in its own dtype; sets or checks n_features_in_.

    Raises
    ------
    TypeError
        For sparse matrices, masked arrays and numpy.matrix.
    ValueError
        For complex or non-finite numbers, dates, no samples, no features, too many axes.
    """
    X = as_stack(name, X)
    bytes_only = _holds_bytes(X)
    _refuse_text(X, name)
    if not reset and hasattr(estimator, "input_shape_"):
        _refuse_single(estimator, X, name)
    X = _as_array(estimator, X, name)
    if getattr(X, "ndim", 2) <= 2:
        array: Array = checked_rows(estimator, X, reset=reset)
    else:
        array = X
        if reset:
            estimator.n_features_in_ = array.shape[1]  # scikit-learn's convention for any X; shapes are compared
            if hasattr(estimator, "feature_names_in_"):
                del estimator.feature_names_in_
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers, got {array.dtype}")
    return array.astype(np.uint8, copy=False) if bytes_only else array


def _holds_bytes(X: Any) -> bool:
    """Return whether X is uint8 by another name: nullable or Arrow columns of a frame."""
    kinds = getattr(X, "dtypes", None)
    if kinds is None or not hasattr(X, "columns"):
        return False
    names = {str(kind).lower().removesuffix("[pyarrow]") for kind in list(kinds)}
    return names == {"uint8"}


def _refuse_text(X: Any, name: str) -> None:
    """Refuse names of files and other text, which scikit-learn would take for a vector."""
    first = X.reshape(-1)[0] if isinstance(X, np.ndarray) and X.ndim < 2 and X.size else X
    if isinstance(first, (str, bytes, os.PathLike)):
        words = f"{name} must hold numbers, got text such as {str(first)!r}"
        raise ValueError(f"{words}: read files into arrays first, as pyconvx.datasets.ImageReader does")


def _refuse_single(estimator: Any, X: Any, name: str) -> None:
    """Refuse one sample instead of an array of them, unless its shape can be read as several."""
    if not isinstance(X, np.ndarray):
        return
    expected, shape = estimator.input_shape_, X.shape
    full = ordered(estimator, expected)
    single = {full, expected[:-1]} if expected[-1] == 1 else {full}
    flat = (math.prod(expected),)
    legal = shape[1:] in single or shape[1:] == flat
    if shape not in single | {flat} or legal:
        return
    what = noun(estimator).removesuffix("s")
    if len(shape) == 1:
        raise ValueError(
            f"Expected 2D array, got 1D array instead, with the shape of a single {what}, {shape}. Reshape your "
            f"data with {name}.reshape(1, -1): the first axis must be samples"
        )
    raise ValueError(
        f"{name} has the shape of a single {what}, {shape}, but the first axis must be samples: pass "
        f"{name}[np.newaxis]"
    )


def _as_array(estimator: Any, X: Any, name: str) -> Array:
    """Check an array-like of three axes or more; validate_data does it for fewer, and reads a frame's names."""
    array = X if hasattr(X, "ndim") else np.asarray(X)
    if array.ndim <= 2:
        return X  # type: ignore[no-any-return]
    kind, most = type(estimator).__name__, estimator.spatial_dims + 2
    if array.ndim > most:
        text = f"Found array with dim {array.ndim}. {kind} expected <= {most}"
        if estimator.spatial_dims == 1:
            text += (
                f": with spatial_dims=1, {name} is (n, length, channels) or (n, length), got shape {array.shape}; "
                "images need spatial_dims=2"
            )
        raise ValueError(text.removesuffix(".") + ".")
    checked: Array = check_array(array, allow_nd=True, estimator=estimator, input_name=name)
    if 0 in checked.shape[1:]:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={checked.shape}) while a minimum of 1 is required by {kind}."
        )
    return checked


def first_shape(estimator: Any, X: Array) -> Shape:
    """Return (*space, C) of the samples that fit gets."""
    given = None if estimator.image_shape is None else tuple(int(size) for size in estimator.image_shape)
    if X.ndim == 2:
        if given is None:
            return (X.shape[1], 1) if estimator.spatial_dims == 1 else (1, X.shape[1], 1)
        if math.prod(given) != X.shape[1]:
            cells = "numbers" if estimator.spatial_dims == 1 else "pixels"
            raise ValueError(f"image_shape={given} has {math.prod(given)} {cells}, X has {X.shape[1]} features")
        return channels_last(estimator, given)
    shape = channels_last(estimator, X.shape[1:])
    if given is not None and channels_last(estimator, given) != shape:
        raise ValueError(f"X has {noun(estimator)} of shape {X.shape[1:]}, but image_shape={given}")
    return shape


def check_same_shape(estimator: Any, X: Array, name: str = "X") -> None:
    """Refuse samples of another shape than fit saw; flat rows were compared by count already."""
    expected = estimator.input_shape_
    axes = len(expected) - 1
    if axes != estimator.spatial_dims:
        raise ValueError(
            f"spatial_dims={estimator.spatial_dims}, but {type(estimator).__name__} was fitted with "
            f"spatial_dims={axes}: restore it, or fit again with warm_start=False"
        )
    if X.ndim > 2 and channels_last(estimator, X.shape[1:]) != expected:
        what = noun(estimator)
        raise ValueError(
            f"{name} has {what} of shape {X.shape[1:]}, but {type(estimator).__name__} was fitted on {what} of "
            f"shape {ordered(estimator, expected)}"
        )


def check_same_kind(estimator: Any, X: Array, name: str = "X") -> None:
    """Refuse floats for a network fitted on uint8, and the other way round, unless the user gave a scale."""
    if not isinstance(estimator.input_scale, str):
        return
    if estimator.scales_uint8_ == (X.dtype == np.uint8):
        return
    if estimator.scales_uint8_:
        raise ValueError(
            f"{type(estimator).__name__} was fitted on uint8 {noun(estimator)}, scaled by 1/255, got {name} of "
            f"{X.dtype}: pass uint8, or fit on X / 255"
        )
    raise ValueError(
        f"{type(estimator).__name__} was fitted on {name} that was not uint8, got uint8, which would be scaled "
        f"by 1/255: pass {name}.astype(float)"
    )


def computing_dtype(dtype: Any, X: Array) -> np.dtype[Any]:
    """Return the precision of the network: float64 stays, everything else computes in float32."""
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
