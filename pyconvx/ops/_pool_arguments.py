"""Arguments of the pooling ops: the window's geometry, the input's shape, the number of threads."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyconvx._core.numbers import as_int
from pyconvx._core.threads import resolve_threads, threads_for
from pyconvx._core.types import FloatArray, Padding, Pair, Shape
from pyconvx.ops.geometry import LARGEST, Window, as_pair, check_size, window


def pool_threads(n_threads: int | None, array: FloatArray) -> int:
    """The threads to use; one where there is too little to share. The count is checked in any case."""
    return threads_for(array.nbytes, resolve_threads(n_threads), "pooled bytes")


def input_shape_of(where: str, input_shape: Sequence[int], dy: FloatArray) -> tuple[int, int, int, int]:
    """The input's shape, checked against the gradient of the output."""
    if not isinstance(input_shape, (tuple, list, np.ndarray)):
        raise TypeError(f"{where}: input_shape must be (N, H, W, C), got {input_shape!r}")
    if len(input_shape) != 4:
        raise ValueError(f"{where}: input_shape must be (N, H, W, C), got {tuple(input_shape)}")
    # only a batch may be of none
    N, H, W, C = (as_int(f"{where}: input_shape", n, min(axis, 1)) for axis, n in enumerate(input_shape))
    if (dy.shape[0], dy.shape[-1]) != (N, C):
        raise ValueError(
            f"{where}: input_shape {(N, H, W, C)} and dy of shape {dy.shape} differ in samples or channels"
        )
    check_size(where, N, H, W, C)
    return N, H, W, C


def pool_window(
    where: str,
    shape: Shape,
    pool_size: int | Pair,
    stride: int | Pair | None,
    padding: Padding,
    dilation: int | Pair,
    ceil_mode: bool,
) -> Window:
    """The window's geometry; every window has at least one cell of the image."""
    size = as_pair(f"{where}: pool_size", pool_size, 1)
    w = window(
        where,
        (shape[1], shape[2]),
        size,
        stride=size if stride is None else stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
    )
    _refuse_taps(where, w, LARGEST)
    _refuse_windows_in_padding(where, "height", w.H, w.KH, w.stride_h, (w.top, w.bottom), w.dilation_h, w.OH)
    _refuse_windows_in_padding(where, "width", w.W, w.KW, w.stride_w, (w.left, w.right), w.dilation_w, w.OW)
    return w


def _refuse_windows_in_padding(
    where: str, axis: str, size: int, taps: int, stride: int, padding: Pair, dilation: int, windows: int
) -> None:
    """A window without data has no largest value, and a mean of 0 / 0."""
    extent = dilation * (taps - 1) + 1
    if max(padding) >= extent:
        raise ValueError(
            f"{where}: padding {max(padding)} along the {axis} must be less than the window's extent "
            f"{extent}, or a window would lie wholly in padding"
        )
    if dilation <= size:
        return
    # taps further apart than the image is long can step over it: those of a window that starts before it
    before = -(-padding[0] // stride)
    start = -padding[0] % dilation
    empty = 0 if start >= size else _first_beyond(stride % dilation, dilation, size - start, dilation - 1 - start)
    if empty is not None and empty < min(before, windows):
        raise ValueError(
            f"{where}: window {empty} along the {axis} has no tap in the image of {size}: "
            f"padding {padding} is too large for dilation {dilation}"
        )


def _first_beyond(step: int, modulus: int, low: int, high: int) -> int | None:
    """The least i for which ``i * step % modulus`` lies from low to high, by Euclid's algorithm."""
    if low == 0:
        return 0
    if 2 * step > modulus:  # backwards it is a shorter way
        step, low, high = modulus - step, modulus - high, modulus - low
    if step == 0:
        return None
    i = -(-low // step)
    if i * step <= high:
        return i
    turns = _first_beyond(-modulus % step, step, low % step, high % step)
    return None if turns is None else -(-(low + modulus * turns) // step)


def winner_dtype(where: str, w: Window) -> np.dtype[Any]:
    """The smallest type that counts a window's taps."""
    _refuse_taps(where, w, 2**31)
    return np.dtype(np.uint8 if w.KH * w.KW <= 256 else np.int32)


def _refuse_taps(where: str, w: Window, most: int) -> None:
    """Refuse a window of more taps."""
    taps = w.KH * w.KW
    if taps > most:
        raise ValueError(f"{where}: a window of {w.KH}x{w.KW} is too large")
