"""Sizes, strides and padding of windows: one place for convolution and pooling.

Everything here is integers; no array is touched. `Window` is what the kernels get.
"""

from dataclasses import dataclass

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
    if steps < 0:
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
        Round up instead of down, as pooling may; a last window that would start in the padding
        after the data is dropped.

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


@dataclass(frozen=True, slots=True)
class Window:
    """A window that slides over (H, W): everything resolved to plain integers.

    `OH` and `OW` count its positions. With `ceil_mode`, the last windows may reach beyond the padded input; what
    lies there counts as padding.
    """

    H: int
    W: int
    KH: int
    KW: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    top: int
    bottom: int
    left: int
    right: int
    OH: int
    OW: int

    @property
    def sizes(self) -> tuple[int, int, int, int, int, int, int, int]:
        """Return KH, KW, strides, first paddings and dilations, as pooling kernels take them."""
        return (
            self.KH, self.KW, self.stride_h, self.stride_w,
            self.top, self.left, self.dilation_h, self.dilation_w,
        )  # fmt: skip


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
    (H, W), (KH, KW) = size, kernel_size
    strides = as_pair(f"{where}: stride", stride, 1)
    gaps = as_pair(f"{where}: dilation", dilation, 1)
    ceil_mode = as_bool(f"{where}: ceil_mode", ceil_mode)
    dilations = (gaps[0] if KH > 1 else 1, gaps[1] if KW > 1 else 1)  # one tap has no gaps
    extents = tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel_size, strict=True))
    sides = as_padding(padding)
    if isinstance(sides, str):
        rows = _same_padding(H, extents[0], strides[0])
        columns = _same_padding(W, extents[1], strides[1])
    else:
        rows, columns = sides
    if extents[0] > H + sum(rows) or extents[1] > W + sum(columns):
        raise ValueError(
            f"{where}: kernel {KH}x{KW} (dilation {dilations[0]}x{dilations[1]}) exceeds the padded input "
            f"{H + sum(rows)}x{W + sum(columns)}: make the kernel smaller or the padding larger"
        )
    OH = _output_size(H, KH, strides[0], rows, dilations[0], ceil_mode)
    OW = _output_size(W, KW, strides[1], columns, dilations[1], ceil_mode)
    # a step larger than the input is legal with a single window, and then never taken
    steps = (min(strides[0], H + sum(rows)), min(strides[1], W + sum(columns)))
    return Window(H, W, KH, KW, *steps, *dilations, *rows, *columns, OH, OW)


def check_size(where: str, *shape: int) -> None:
    """Refuse a shape whose bytes cannot be counted; the product is made in Python, which cannot overflow."""
    count = 1
    for length in shape:
        count *= length
    if count > LARGEST:
        raise ValueError(f"{where}: an array of shape {shape} is too large")
