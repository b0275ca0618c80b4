"""Layers that slide windows over any number of axes, and what the 2-D kernels are given for them.

Sizes, strides and padding of a layer are written for its own axes: (height, width) for images, one number for
signals. A signal (length, channels) reaches the kernels as an image with one row; nothing is copied.
"""

from typing import Any

from pyconvx._core.numbers import as_int, as_tuples
from pyconvx._core.types import Pair, Shape
from pyconvx.layers.base import Layer
from pyconvx.ops.geometry import as_padding, as_pair

_KINDS = {1: "signals of shape (L, C)", 2: "images of shape (H, W, C)"}


def expect_maps(layer: Layer, shape: Shape, axes: int) -> Shape:
    """Return the shape, or raise an error that shows the layer if the number of axes is wrong."""
    if len(shape) != axes + 1:
        raise ValueError(f"{type(layer).__name__} expected {_KINDS[axes]}, got samples of shape {shape}")
    return shape


def check_sizes(name: str, value: object, axes: int) -> None:
    """Refuse anything but one size of at least 1 for each axis."""
    if axes == 1:
        _as_length(name, value, 1)
    else:
        as_pair(name, value, 1)


def _as_length(name: str, value: object, minimum: int) -> int:
    """Return a size along a signal, given as an int or as a tuple of one."""
    if isinstance(value, (tuple, list)) and len(value) == 1:
        return as_int(name, value[0], minimum)
    return as_int(name, value, minimum)


def as_image_sizes(value: Any, axes: int) -> Pair:
    """Return a checked size as (height, width); the row of a signal has height 1."""
    if axes == 2:
        return value if isinstance(value, tuple) else (value, value)
    return 1, value[0] if isinstance(value, tuple) else value


def as_image_padding(padding: Any, axes: int) -> Any:
    """Return checked padding as `pyconvx.ops` take it for images."""
    if axes == 2 or isinstance(padding, str):
        return padding
    if isinstance(padding, tuple):
        return (0, 0), (padding if len(padding) == 2 else padding * 2)
    return (0, 0), (padding, padding)


def check_padding(padding: object, axes: int) -> None:
    """Refuse padding that does not fit the number of axes."""
    padding = as_tuples(padding)
    if axes == 2 or isinstance(padding, str):
        as_padding(padding)
        return
    sides = padding if isinstance(padding, tuple) else (padding,)
    if not 1 <= len(sides) <= 2:
        raise ValueError(f'padding must be an int, (before, after), "same" or "valid", got {padding!r}')
    for side in sides:
        as_int("padding", side, 0)


def as_image_shape(shape: Shape) -> tuple[int, int, int]:
    """Return the shape of one sample as (H, W, C)."""
    return (1, *shape) if len(shape) == 2 else shape  # type: ignore[return-value]


def as_images(x: Any) -> Any:
    """Return a batch of signals as images with one row, in the same memory; images stay as they are."""
    return x.reshape(len(x), 1, *x.shape[1:]) if x.ndim == 3 else x
