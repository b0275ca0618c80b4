"""Checks of array arguments: float32 or float64, plain C order, shapes with both sides in the message."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.types import FloatArray
from pyconvx._ext import batches

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def refuse_odd_array(name: str, value: object) -> None:
    """Reject array subclasses whose arithmetic differs from ndarray's; TypeError."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; fill it first, hidden values would be used")
    if isinstance(value, np.matrix):
        raise TypeError(f"{name} is a numpy.matrix; pass numpy.asarray of it")


def as_numpy(value: Any) -> Any:
    """Return an array of another library, such as a tensor, as one of NumPy's; all else as it is."""
    if isinstance(value, (np.ndarray, np.generic)) or not hasattr(value, "__dlpack__"):
        return value
    value = value.detach() if hasattr(value, "detach") else value  # a tensor that records its history
    try:
        return np.from_dlpack(value)
    except (BufferError, TypeError, ValueError, RuntimeError):  # another device, or kind of number
        return np.asarray(value)


def as_stack(name: str, value: Any) -> Any:
    """Return what holds samples as one array: a list, an object array or a column, of arrays of one shape too.

    Whatever is neither, such as a data frame, comes back as it is.

    Raises
    ------
    ValueError
        If the samples have several shapes.
    """
    value = as_numpy(value)
    refuse_odd_array(name, value)
    if hasattr(value, "to_numpy") and value.shape[1:] in ((), (1,)):  # a column, or a frame of one
        column = value.to_numpy()
        if column.ndim == 1 or (column.size and isinstance(column[0, 0], (np.ndarray, str, os.PathLike))):
            value = column.reshape(len(column), *column.shape[2:])
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
        if not value.size or not all(isinstance(sample, np.ndarray) for sample in value):
            return value
        value = list(value)
    if not isinstance(value, (list, tuple)):
        return value
    try:
        return np.asarray(value)
    except ValueError as error:
        shapes = _shapes(value)
        if len(shapes) < 2:
            raise
        raise ValueError(
            f"{name} holds samples of {len(shapes)} shapes, such as {shapes[0]} and {shapes[1]}: bring them to "
            "one shape first, by resizing, cropping or padding"
        ) from error


def _shapes(samples: Any) -> list[tuple[int, ...]]:
    """Return the shapes that samples have, in the order of their first sample; of ragged ones it is unknown."""
    try:
        return list(dict.fromkeys(np.shape(sample) for sample in samples))
    except (TypeError, ValueError):
        return []


def as_floats(where: str, name: str, value: npt.ArrayLike) -> FloatArray:
    """Return a C-contiguous, aligned array in native byte order; the value itself if it is one already.

    Raises
    ------
    TypeError
        If it is not an array of float32 or float64.
    """
    array: npt.NDArray[Any] = np.asarray(as_stack(f"{where}: {name}", value))
    if array.dtype.newbyteorder("=") not in FLOATS:
        raise TypeError(f"{where}: {name} must be float32 or float64, got {array.dtype}")
    return np.require(array, array.dtype.newbyteorder("="), ["C_CONTIGUOUS", "ALIGNED"])


def as_float_array(where: str, name: str, value: npt.ArrayLike, ndim: int) -> FloatArray:
    """Return such an array with `ndim` axes, none but the first of length 0; else ValueError."""
    array = as_floats(where, name, value)
    if array.ndim != ndim:
        raise ValueError(f"{where}: {name} must have {ndim} axes, got shape {array.shape}")
    if 0 in array.shape[1:]:
        raise ValueError(f"{where}: {name} of shape {array.shape} has a zero dimension")
    return array


def same_dtype(where: str, names: Sequence[str], arrays: Sequence[FloatArray]) -> None:
    """Reject a mix of float32 and float64: a silent cast would cost speed or precision."""
    for name, array in zip(names[1:], arrays[1:], strict=True):
        if array.dtype != arrays[0].dtype:
            raise TypeError(
                f"{where}: {names[0]} is {arrays[0].dtype}, {name} is {array.dtype}: convert one of them"
            )


def same_shape(where: str, name: str, array: FloatArray, expected: tuple[int, ...]) -> None:
    """Reject an array of another shape."""
    if array.shape != expected:
        raise ValueError(f"{where}: {name} must have shape {expected}, got {array.shape}")


def check_array(
    name: str, array: object, dtypes: Sequence[npt.DTypeLike], ndim: int, *, written: bool = False
) -> None:
    """Reject an array that a kernel cannot use without a copy, for functions that promise not to copy."""
    if type(array) is np.ndarray and array.ndim == ndim and array.dtype in dtypes and array.flags.carray:
        return  # what every step asks
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a numpy array, got {type(array).__name__}")
    if array.dtype not in dtypes:
        raise TypeError(f"{name} must be {' or '.join(str(np.dtype(kind)) for kind in dtypes)}, got {array.dtype}")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"{name} of shape {array.shape} must be C-contiguous and aligned")
    if written and not array.flags.writeable:
        raise ValueError(f"{name} of shape {array.shape} is read-only, but it is written")


def all_finite(array: FloatArray, n_threads: int = 1) -> bool:
    """Return whether an array has neither NaN nor infinity."""
    return bool(batches.all_finite(np.ascontiguousarray(array).reshape(-1), n_threads))
