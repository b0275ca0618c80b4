"""One kernel on one image or many: cross-correlation of each channel separately."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import refuse_odd_array
from pyconvx._core.types import FloatArray, Padding
from pyconvx.filters.kernels import get_kernel
from pyconvx.ops import conv2d


def apply_filter(image: npt.ArrayLike, kernel: str | npt.ArrayLike, *, padding: Padding = "same") -> FloatArray:
    """Filter an image.

    Parameters
    ----------
    image : array of shape (H, W), (H, W, C) or (N, H, W, C)
        float64 stays float64; all other numbers are computed in float32. An array of three axes is one image
        with channels, so a batch of grey images needs a last axis of 1.
    kernel : str or array of shape (KH, KW)
        A name from `pyconvx.filters.KERNELS`, or numbers of your own; not flipped.
    padding : int, (height, width), ((top, bottom), (left, right)), "same" or "valid"
        Zeros around the image; "same" preserves its size. At the border the zeros look like a dark edge.

    Returns
    -------
    array with as many axes as `image`
        Each channel is filtered separately.

    Raises
    ------
    TypeError
        If the image or the kernel does not hold real numbers.
    ValueError
        If a shape or name does not fit, a number is too large for float32, or the kernel exceeds the padded
        image.

    Examples
    --------
    >>> from pyconvx.filters import SEVEN, apply_filter
    >>> apply_filter(SEVEN, "horizontal", padding="valid")
    array([[ 3.,  2.,  2.],
           [-1., -1.,  0.],
           [-1.,  0.,  0.]])
    """
    pixels = _as_float(image)
    if pixels.ndim not in (2, 3, 4):
        raise ValueError(
            f"apply_filter: image must have shape (H, W), (H, W, C) or (N, H, W, C), got {pixels.shape}"
        )
    shape = {2: (1, *pixels.shape, 1), 3: (1, *pixels.shape), 4: pixels.shape}[pixels.ndim]
    taps = _cast("kernel", get_kernel(kernel), pixels.dtype)
    C = shape[3]
    kernels = np.repeat(taps[:, :, None, None], C, axis=3)
    y = conv2d(pixels.reshape(shape), kernels, padding=padding, groups=C)
    if pixels.ndim == 2:
        return y[0, :, :, 0]
    return y[0] if pixels.ndim == 3 else y


def _as_float(image: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return the image in float64 if it is already, else in float32."""
    refuse_odd_array("apply_filter: image", image)
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "buif":
        raise TypeError(f"apply_filter: image must hold real numbers, got {pixels.dtype}")
    return pixels if pixels.dtype.newbyteorder("=") == np.float64 else _cast("image", pixels, np.dtype(np.float32))


def _cast(name: str, values: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Convert numbers to another type; ValueError if one is too large for it."""
    with np.errstate(over="ignore"):
        converted = values.astype(dtype)
    lost = np.isinf(converted) & ~np.isinf(values)
    if lost.any():
        raise ValueError(f"apply_filter: {name} holds {values[lost][0]}, too large for {dtype}")
    return converted
