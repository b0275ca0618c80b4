"""Warnings about what is legal and yet hardly what was meant: unscaled samples, images flattened without a shape,
a second output layer.

`fit` gives each of them at most once, and nothing else does. They look at some rows only.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyconvx._core.caller import warn_caller
from pyconvx._core.types import Array
from pyconvx.estimators.constraints import listed
from pyconvx.exceptions import FlatImagesWarning, InputScaleWarning, TrainingWarning
from pyconvx.layers import Dense, Layer

_ROWS = 64  # that are looked at, evenly spaced
# Networks learn well from numbers up to about 3; of the digits of scikit-learn, from 0 to 16, they still do.
_LARGE = 32.0
_SHARE = 0.99  # of the numbers have to be smaller: standardised data may have outliers
_DARK = 64  # uint8 images whose brightest pixel is no brighter are hardly images with 256 shades
_SMALLEST_SIDE = 8
_FEWEST = 24  # numbers of a sample: fewer are no image and no signal


def of_scale(estimator: Any, X: Array) -> None:
    """Warn of X that needs another `input_scale`, unless the user gave one."""
    if not isinstance(estimator.input_scale, str) or X.dtype.kind == "b" or math.prod(X.shape[1:]) < _FEWEST:
        return
    some = X[:: max(1, len(X) // _ROWS)]
    if estimator.scales_uint8_:
        if some.max() <= _DARK and 0 < (top := int(X.max())) <= _DARK:
            scale = "1" if top == 1 else f"1/{top}"
            warn_caller(
                f"X is uint8 but holds numbers up to {top} only, which the scale of 1/255 makes as small as "
                f"{top / 255:.2g}: pass input_scale={scale} or, for other numbers than pixels, X.astype(float)",
                InputScaleWarning,
            )
        return
    sizes = np.abs(some, dtype=np.float64)
    if np.quantile(sizes, _SHARE) <= _LARGE:
        return
    low, high = float(some.min()), float(some.max())
    whole = X.dtype.kind in "iu" or bool((some == np.floor(some)).all())
    bits = next((bits for bits in (8, 16) if whole and low >= 0 and high < 2**bits), None)
    remedy = "put a StandardScaler, a MinMaxScaler or an ImageScaler before the network"
    if bits:
        remedy = f"pass input_scale=1/{2**bits - 1} if these are {bits}-bit pixels, or {remedy}"
    warn_caller(
        f"X holds numbers from {low:g} to {high:g}, far beyond the range of about -3 to 3 in which networks learn "
        f"well: {remedy}; input_scale=1 takes them as they are",
        InputScaleWarning,
    )


def of_shape(estimator: Any, X: Array) -> None:
    """Warn of rows that look like flattened images, if there are convolutions and nobody said what rows are."""
    if X.ndim != 2 or estimator.image_shape is not None or estimator.spatial_dims != 2:
        return
    slides = listed(estimator.filters) != [] if estimator.layers is None else _any_window(estimator.layers)
    columns = X.shape[1]
    shape = _square(columns)
    if shape is None or not slides:
        return
    if estimator.data_format == "channels_first" and len(shape) == 3:
        shape = (shape[2], *shape[:2])
    warn_caller(
        f"X has {columns} columns, like flattened images of shape {shape}, but is taken for images with one row "
        f"of {columns} pixels: pass image_shape={shape}, or image_shape=(1, {columns}) if that is right",
        FlatImagesWarning,
    )


def of_output_layer(hidden: Sequence[Layer], n_outputs: int) -> None:
    """Warn of layers that end in what may be the output layer of other libraries, without an activation."""
    last = hidden[-1] if hidden else None
    if isinstance(last, Dense) and last.units == n_outputs:
        warn_caller(
            f"layers end with {last}, as many units as there are outputs: the estimator adds the output layer "
            "itself. Leave this one out, or put an activation after it if it is a hidden layer",
            TrainingWarning,
        )


def _square(columns: int) -> tuple[int, ...] | None:
    """Return the shape of square images, grey or of three or four channels, with so many numbers; None if none."""
    for channels in (1, 3, 4):
        side = math.isqrt(columns // channels)
        if side >= _SMALLEST_SIDE and side * side * channels == columns:
            return (side, side) if channels == 1 else (side, side, channels)
    return None


def _any_window(layers: Any) -> bool:
    """Return whether some layer has a kernel that slides over more than one pixel, as architectures have."""
    members = listed(layers)
    return members is None or any(hasattr(layer, "kernel_size") for layer in members)
