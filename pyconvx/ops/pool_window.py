"""The window of a pool, checked: every window sees at least one cell of the image."""

from __future__ import annotations

from pyconvx._core.types import Padding, Pair, Shape
from pyconvx.ops.geometry import LARGEST, Window, WindowAxis, as_pair, window


def pool_window(
    where: str,
    shape: Shape,
    pool_size: int | Pair,
    stride: int | Pair | None,
    padding: Padding,
    dilation: int | Pair,
    ceil_mode: bool,
) -> Window:
    """Check a pool's parameters, given as for `pyconvx.ops.max_pool2d`, and return its window over (N, H, W, C).

    Raises
    ------
    TypeError, ValueError
        As `pyconvx.ops.geometry.window` does, and if a window would see padding alone. Messages
        begin with `where`.
    """
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
    refuse_taps(where, w, LARGEST)
    _refuse_windows_in_padding(where, "height", w.rows)
    _refuse_windows_in_padding(where, "width", w.columns)
    return w


def whole_window(shape: Shape) -> Window:
    """Return the window of a global pool over (N, H, W, C), as large as the map."""
    rows, columns = (WindowAxis(size, size, 1, 1, 0, 0, 1) for size in shape[1:3])
    return Window(rows, columns)


def _refuse_windows_in_padding(where: str, axis: str, w: WindowAxis) -> None:
    """Refuse windows without data: they have no largest value, and 0 / 0 for a mean."""
    padding = (w.before, w.after)
    if max(padding) >= w.extent:
        raise ValueError(
            f"{where}: padding {max(padding)} along the {axis} must be less than the window's extent "
            f"{w.extent}, or a window would lie wholly in padding"
        )
    if w.dilation <= w.size:
        return
    # taps that are further apart than the image is long can step over it if their window starts before it
    windows_before = -(-w.before // w.stride)
    start = -w.before % w.dilation
    empty = 0
    if start < w.size:
        step = w.stride % w.dilation
        beyond = _first_beyond(step, w.dilation, w.size - start, w.dilation - 1 - start)
        empty = w.positions if beyond is None else beyond
    if empty < min(windows_before, w.positions):
        raise ValueError(
            f"{where}: window {empty} along the {axis} has no tap in the image of {w.size}: "
            f"padding {padding} is too large for dilation {w.dilation}"
        )


def _first_beyond(step: int, modulus: int, low: int, high: int) -> int | None:
    """Return the least i for which ``i * step % modulus`` lies from low to high, by Euclid's algorithm."""
    if low == 0:
        return 0
    if 2 * step > modulus:  # shorter steps, backwards
        step, low, high = modulus - step, modulus - high, modulus - low
    if step == 0:
        return None
    i = -(-low // step)
    if i * step <= high:
        return i
    turns = _first_beyond(-modulus % step, step, low % step, high % step)
    return None if turns is None else -(-(low + modulus * turns) // step)


def refuse_taps(where: str, w: Window, most: int) -> None:
    """Refuse a window of more than so many taps."""
    taps = w.KH * w.KW
    if taps > most:
        raise ValueError(f"{where}: a window of {w.KH}x{w.KW} is too large")
