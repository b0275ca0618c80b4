"""Sizes, strides and padding of windows: one place for convolution and pooling.

Everything here is integers; no array is touched. `Window` is what the kernels get.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pyconvx._core.numbers import as_bool, as_int
from pyconvx._core.types import Padding, Pair

# Numbers in an array: index arithmetic in the kernels is done in signed 64-bit integers, on bytes too.
LARGEST = 2**57


def as_pair(name: str, value: object, minimum: int) -> Pair:
    """Return an int for both axes, or a pair (height, width), as a pair."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be an int or a pair (height, width), got {value!r}")
        return as_int(name, value[0], minimum), as_int(name, value[1], minimum)
    number = as_int(name, value, minimum)
    return number, number


def _same_padding(size: int, extent: int, stride: int) -> Pair:
    """Return the padding that gives ceil(size / stride) cells; the smaller half comes before."""
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def as_padding(padding: object) -> str | tuple[Pair, Pair]:
    """Return padding as "same" or as ((top, bottom), (left, right)), whatever the size of the image."""
    ways = 'an int, (height, width), ((top, bottom), (left, right)), "same" or "valid"'
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"padding must be {ways}, got {padding!r}")
        return padding if padding == "same" else ((0, 0), (0, 0))
    if isinstance(padding, (tuple, list)):
        if len(padding) != 2:
            raise ValueError(f"padding must be {ways}, got {padding!r}")
        if all(isinstance(side, (tuple, list)) for side in padding):
            rows, columns = (as_pair("padding", side, 0) for side in padding)
            return rows, columns
    height, width = as_pair("padding", padding, 0)
    return (height, height), (width, width)


def _output_size(size: int, kernel_size: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool) -> int:
    """Count the cells along one axis; 0 or less if the window does not fit."""
    steps = size + sum(padding) - dilation * (kernel_size - 1) - 1
    if steps < 0 and not ceil_mode:
        return 0
    cells = (steps + stride - 1 if ceil_mode else steps) // stride + 1
    # a last window that starts in the padding after the data sees none of it
    if ceil_mode and (cells - 1) * stride >= size + padding[0]:
        cells -= 1
    return int(cells)


def conv_output_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: int | str | Pair = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Return the length of the output of a convolution or pooling along one axis.

    Parameters
    ----------
    size : int
        Length of the input, in pixels.
    kernel_size, stride, dilation : int
        Length of the kernel, step between windows, distance between taps.
    padding : int, (before, after), "same" or "valid"
        "same" gives ``ceil(size / stride)``, the smaller half of the padding before; "valid" is 0.
    ceil_mode : bool
        Round up instead of down, as pooling may: windows may reach beyond the padded input, also a first one
        that is larger by less than `stride`. A last window that would start in the padding after the data is
        dropped.

    Returns
    -------
    int
        ``floor((size + before + after - dilation * (kernel_size - 1) - 1) / stride) + 1``

    Raises
    ------
    TypeError
        If a size is not an integer.
    ValueError
        If a size is out of range, or the window does not fit into the padded input.

    Examples
    --------
    >>> from pyconvx.ops import conv_output_size
    >>> conv_output_size(28, 3)
    26
    >>> conv_output_size(11, 2, stride=2), conv_output_size(11, 2, stride=2, ceil_mode=True)
    (5, 6)
    >>> conv_output_size(224, 7, stride=2, padding="same")
    112
    """
    size = as_int("size", size, 1)
    kernel_size = as_int("kernel_size", kernel_size, 1)
    stride = as_int("stride", stride, 1)
    dilation = as_int("dilation", dilation, 1)
    ceil_mode = as_bool("ceil_mode", ceil_mode)
    sides = (as_pair("padding", padding, 0), (0, 0)) if isinstance(padding, (tuple, list)) else as_padding(padding)
    extent = dilation * (kernel_size - 1) + 1
    before_after = _same_padding(size, extent, stride) if isinstance(sides, str) else sides[0]
    cells = _output_size(size, kernel_size, stride, before_after, dilation, ceil_mode)
    if cells < 1:
        raise ValueError(
            f"kernel_size {kernel_size} (dilation {dilation}) exceeds the padded input of "
            f"{size + sum(before_after)}: make the kernel smaller or the padding larger"
        )
    return cells


class WindowAxis(NamedTuple):
    """A window along one axis, everything resolved to plain integers.

    Parameters
    ----------
    size, taps : int
        Length of the input and taps of the window.
    stride, dilation : int
        Step between windows and distance between taps.
    before, after : int
        Padding at both ends.
    positions : int
        Number of windows.
    """

    size: int
    taps: int
    stride: int
    dilation: int
    before: int
    after: int
    positions: int

    @property
    def extent(self) -> int:
        """Length of the input that a window spans."""
        return self.dilation * (self.taps - 1) + 1

    @property
    def padded_size(self) -> int:
        """Length of the input with its padding."""
        return self.size + self.before + self.after


@dataclass(frozen=True)
class Window:
    """A window of KH x KW taps that slides over (H, W), to OH x OW positions.

    With ``ceil_mode``, the last positions may reach beyond the padded input; what lies there counts as padding.
    """

    rows: WindowAxis
    columns: WindowAxis

    @property
    def H(self) -> int:
        """Height of the input."""
        return self.rows.size

    @property
    def W(self) -> int:
        """Width of the input."""
        return self.columns.size

    @property
    def KH(self) -> int:
        """Taps along the height."""
        return self.rows.taps

    @property
    def KW(self) -> int:
        """Taps along the width."""
        return self.columns.taps

    @property
    def OH(self) -> int:
        """Positions along the height."""
        return self.rows.positions

    @property
    def OW(self) -> int:
        """Positions along the width."""
        return self.columns.positions


def window(
    where: str,
    size: Pair,
    kernel_size: Pair,
    *,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
) -> Window:
    """Check the parameters of a sliding window and resolve them.

    Parameters
    ----------
    where : str
        The caller's name, with which every message begins.
    size, kernel_size : (int, int)
        Height and width of the input and of the kernel, in pixels.
    stride, padding, dilation, ceil_mode
        As for `conv_output_size`, for two axes.

    Raises
    ------
    TypeError, ValueError
        As `conv_output_size` does; messages name both sizes.
    """
    strides = as_pair(f"{where}: stride", stride, 1)
    gaps = as_pair(f"{where}: dilation", dilation, 1)
    ceil_mode = as_bool(f"{where}: ceil_mode", ceil_mode)
    sides = as_padding(padding)
    rows, columns = (
        _axis(
            size[i], kernel_size[i], strides[i], gaps[i], sides if isinstance(sides, str) else sides[i], ceil_mode
        )
        for i in range(2)
    )
    if rows.positions < 1 or columns.positions < 1:
        kernel = f"kernel {rows.taps}x{columns.taps} (dilation {rows.dilation}x{columns.dilation})"
        raise ValueError(
            f"{where}: {kernel} exceeds the padded input {rows.padded_size}x{columns.padded_size}: "
            "make the kernel smaller or the padding larger"
        )
    return Window(rows, columns)


def _axis(size: int, taps: int, stride: int, dilation: int, padding: str | Pair, ceil_mode: bool) -> WindowAxis:
    """Resolve a window along one axis."""
    dilation = dilation if taps > 1 else 1  # one tap has no gaps
    extent = dilation * (taps - 1) + 1
    before, after = _same_padding(size, extent, stride) if isinstance(padding, str) else padding
    positions = _output_size(size, taps, stride, (before, after), dilation, ceil_mode)
    # a stride larger than the input is legal with a single position, and then never used
    stride = min(stride, size + before + after)
    return WindowAxis(size, taps, stride, dilation, before, after, positions)


def check_size(where: str, *shape: int) -> None:
    """Refuse a shape whose bytes cannot be counted; the product is made in Python, which cannot overflow."""
    count = 1
    for length in shape:
        count *= length
    if count > LARGEST:
        raise ValueError(f"{where}: an array of shape {shape} is too large")
