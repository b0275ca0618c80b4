"""The window of a pool, checked: every window sees at least one cell of the image."""

from pyconvx._core.types import Padding, Pair, Shape
from pyconvx.ops.geometry import LARGEST, Window, as_pair, window


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
    _refuse_windows_in_padding(where, "height", w.H, w.KH, w.stride_h, (w.top, w.bottom), w.dilation_h, w.OH)
    _refuse_windows_in_padding(where, "width", w.W, w.KW, w.stride_w, (w.left, w.right), w.dilation_w, w.OW)
    return w


def whole_window(shape: Shape) -> Window:
    """Return the window of a global pool over (N, H, W, C), as large as the map."""
    _, H, W, _ = shape
    return Window(H, W, H, W, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1)


def _refuse_windows_in_padding(
    where: str, axis: str, size: int, taps: int, stride: int, padding: Pair, dilation: int, windows: int
) -> None:
    """Refuse windows without data: they have no largest value, and 0 / 0 for a mean."""
    extent = dilation * (taps - 1) + 1
    if max(padding) >= extent:
        raise ValueError(
            f"{where}: padding {max(padding)} along the {axis} must be less than the window's extent "
            f"{extent}, or a window would lie wholly in padding"
        )
    if dilation <= size:
        return
    # taps that are further apart than the image is long can step over it if their window starts before it
    before = -(-padding[0] // stride)
    start = -padding[0] % dilation
    empty = 0 if start >= size else _first_beyond(stride % dilation, dilation, size - start, dilation - 1 - start)
    if empty is not None and empty < min(before, windows):
        raise ValueError(
            f"{where}: window {empty} along the {axis} has no tap in the image of {size}: "
            f"padding {padding} is too large for dilation {dilation}"
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
