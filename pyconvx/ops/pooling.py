"""Max, average and global average pooling of channels-last images, forward and backward.

Each channel is pooled on its own, and nothing is learnt. Arguments are checked here; the loops run by the plans of
`pyconvx.ops.pool_plan`. Padding is not data: it cannot win a maximum and counts in a mean only if asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import as_float_array, refuse_odd_array, same_shape
from pyconvx._core.numbers import as_bool, as_int
from pyconvx._core.threads import resolve_threads, threads_for
from pyconvx._core.types import FloatArray, Padding, Pair
from pyconvx._ext import max_pool
from pyconvx.ops.geometry import check_size
from pyconvx.ops.pool_plan import AvgPoolPlan, MaxPoolPlan
from pyconvx.ops.pool_window import pool_window, whole_window


def max_pool2d(
    x: npt.ArrayLike,
    pool_size: int | Pair,
    *,
    stride: int | Pair | None = None,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
    n_threads: int | None = None,
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Largest value of each window, and its place.

    Parameters
    ----------
    x : array of shape (N, H, W, C), float32 or float64
        Images, channels last. N may be 0.
    pool_size : int or (int, int)
        Height and width of the window, in pixels.
    stride : int or (int, int), optional
        Step between windows; by default `pool_size`, so that windows do not overlap.
    padding : int, (height, width), ((top, bottom), (left, right)), "same" or "valid"
        Cells around the image that are never the largest; each side less than the window's extent.
    dilation : int or (int, int)
        Distance between the taps of a window.
    ceil_mode : bool
        Round the output's size up: an 11 x 11 image pooled 2 x 2 gives 6 x 6 instead of 5 x 5. A last
        window that would start in the padding after the data is dropped.
    n_threads : int, optional
        As for `conv2d`; the result is the same for any number.

    Returns
    -------
    y : array of shape (N, OH, OW, C)
        Sizes as `conv_output_size` gives them. A NaN in a window is its largest value.
    argmax : int64 array of shape (N, OH, OW, C)
        ``h * W + w`` of the largest value in its plane: the first NaN, or the first of equals.

    Raises
    ------
    TypeError
        If `x` is neither float32 nor float64, or a size is no integer.
    ValueError
        If a window does not fit, or would lie wholly in padding.

    Examples
    --------
    >>> import numpy as np
    >>> from pyconvx.ops import max_pool2d
    >>> image = np.array([[1.0, 3, 2, 4], [5, 6, 1, 0], [2, 9, 7, 3], [4, 2, 8, 1]])
    >>> y, argmax = max_pool2d(image[None, :, :, None], 2)
    >>> y[0, :, :, 0]
    array([[6., 4.],
           [9., 8.]])
    >>> argmax[0, :, :, 0]
    array([[ 5,  3],
           [ 9, 14]])
    """
    where = "max_pool2d"
    x = as_float_array(where, "x", x, 4)
    w = pool_window(where, x.shape, pool_size, stride, padding, dilation, ceil_mode)
    plan = MaxPoolPlan(x.shape, w, x.dtype, resolve_threads(n_threads))
    check_size(where, *plan.output_shape)
    y = np.empty(plan.output_shape, x.dtype)
    winner = np.empty(plan.output_shape, plan.winner_dtype)
    argmax = np.empty(plan.output_shape, np.int64)
    plan.forward(x, y, winner)
    plan.places(winner, argmax)
    return y, argmax


def max_pool2d_backward(
    dy: npt.ArrayLike,
    argmax: npt.ArrayLike,
    input_shape: Sequence[int],
    *,
    n_threads: int | None = None,
) -> FloatArray:
    """Gradient of `max_pool2d` with respect to its input.

    Parameters
    ----------
    dy : array of shape (N, OH, OW, C), float32 or float64
        Gradient of the output.
    argmax : integer array of shape (N, OH, OW, C)
        As `max_pool2d` returned it.
    input_shape : (N, H, W, C)
        Shape of the input.
    n_threads : int, optional
        As for `conv2d`.

    Returns
    -------
    dx : array of shape (N, H, W, C)
        Each gradient at the place of its window's largest value; windows that overlap there add up.

    Raises
    ------
    TypeError
        If `dy` is neither float32 nor float64, or `argmax` holds no integers.
    ValueError
        If shapes disagree, or a place lies outside the plane.

    Examples
    --------
    >>> import numpy as np
    >>> from pyconvx.ops import max_pool2d, max_pool2d_backward
    >>> x = np.array([1.0, 7.0, 2.0, 5.0]).reshape(1, 2, 2, 1)
    >>> y, argmax = max_pool2d(x, 2)
    >>> max_pool2d_backward(np.full_like(y, 0.5), argmax, x.shape)[0, :, :, 0]
    array([[0. , 0.5],
           [0. , 0. ]])
    """
    where = "max_pool2d_backward"
    dy = as_float_array(where, "dy", dy, 4)
    N, H, W, C = _input_shape_of(where, input_shape, dy)
    refuse_odd_array(f"{where}: argmax", argmax)
    places = np.asarray(argmax)
    if places.dtype.kind not in "iu":
        raise TypeError(f"{where}: argmax must hold integers, got {places.dtype}")
    if places.shape != dy.shape:
        raise ValueError(f"{where}: argmax must have dy's shape {dy.shape}, got {places.shape}")
    if places.size and (places.min() < 0 or places.max() >= H * W):
        raise ValueError(
            f"{where}: argmax must lie in 0..{H * W - 1} for planes of {H}x{W}, "
            f"got {places.min()}..{places.max()}: pass the input's shape and max_pool2d's argmax"
        )
    places = np.require(places, np.int64, ["C_CONTIGUOUS", "ALIGNED"])
    dx = np.empty((N, H * W, C), dy.dtype)
    cells = dy.shape[1] * dy.shape[2]
    threads = threads_for(dx.nbytes, resolve_threads(n_threads), "pooled bytes")
    max_pool.argmax_scatter(dy.reshape(N, cells, C), places.reshape(N, cells, C), dx, threads)
    return dx.reshape(N, H, W, C)


def avg_pool2d(
    x: npt.ArrayLike,
    pool_size: int | Pair,
    *,
    stride: int | Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    n_threads: int | None = None,
) -> FloatArray:
    """Mean of each window.

    Parameters
    ----------
    x, pool_size, stride, padding, ceil_mode, n_threads
        As for `max_pool2d`.
    count_include_pad : bool
        Divide by the window's cells in image and padding, whose values are 0, instead of those in the
        image alone. What a last window of `ceil_mode` covers beyond the padding never counts.

    Returns
    -------
    array of shape (N, OH, OW, C)

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from pyconvx.ops import avg_pool2d
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> avg_pool2d(x, 2)[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    >>> float(9 * avg_pool2d(x, 3, stride=3, padding=1, count_include_pad=True)[0, 0, 0, 0])
    10.0
    """
    where = "avg_pool2d"
    count_include_pad = as_bool(f"{where}: count_include_pad", count_include_pad)
    x = as_float_array(where, "x", x, 4)
    w = pool_window(where, x.shape, pool_size, stride, padding, 1, ceil_mode)
    plan = AvgPoolPlan(x.shape, w, x.dtype, resolve_threads(n_threads), count_include_pad)
    check_size(where, *plan.output_shape)
    y = np.empty(plan.output_shape, x.dtype)
    plan.forward(x, y)
    return y


def avg_pool2d_backward(
    dy: npt.ArrayLike,
    input_shape: Sequence[int],
    pool_size: int | Pair,
    *,
    stride: int | Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    n_threads: int | None = None,
) -> FloatArray:
    """Gradient of `avg_pool2d` with respect to its input.

    Parameters
    ----------
    dy : array of shape (N, OH, OW, C), float32 or float64
        Gradient of the output.
    input_shape : (N, H, W, C)
        Shape of the input.
    pool_size, stride, padding, ceil_mode, count_include_pad, n_threads
        As they were for `avg_pool2d`.

    Returns
    -------
    dx : array of shape (N, H, W, C)
        Each gradient, divided by its window's count, in all the window's cells.

    Raises
    ------
    TypeError, ValueError
        As `avg_pool2d`; also if `dy` has not the output's shape.

    Examples
    --------
    >>> import numpy as np
    >>> from pyconvx.ops import avg_pool2d_backward
    >>> avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 2, 2, 1), 2)[0, :, :, 0]
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    where = "avg_pool2d_backward"
    count_include_pad = as_bool(f"{where}: count_include_pad", count_include_pad)
    dy = as_float_array(where, "dy", dy, 4)
    shape = _input_shape_of(where, input_shape, dy)
    w = pool_window(where, shape, pool_size, stride, padding, 1, ceil_mode)
    plan = AvgPoolPlan(shape, w, dy.dtype, resolve_threads(n_threads), count_include_pad)
    same_shape(where, "dy", dy, plan.output_shape)
    dx = np.empty(shape, dy.dtype)
    plan.backward(dy, dx)
    return dx


def global_avg_pool2d(x: npt.ArrayLike, *, n_threads: int | None = None) -> FloatArray:
    """Mean of each channel over the whole image.

    Parameters
    ----------
    x : array of shape (N, H, W, C), float32 or float64
        Images, channels last.
    n_threads : int, optional
        As for `conv2d`.

    Returns
    -------
    array of shape (N, C)

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from pyconvx.ops import global_avg_pool2d
    >>> global_avg_pool2d(np.arange(12.0).reshape(1, 2, 3, 2))
    array([[5., 6.]])
    """
    x = as_float_array("global_avg_pool2d", "x", x, 4)
    plan = AvgPoolPlan(x.shape, whole_window(x.shape), x.dtype, resolve_threads(n_threads))
    y = np.empty(plan.output_shape, x.dtype)
    plan.forward(x, y)
    return y.reshape(len(x), x.shape[3])


def global_avg_pool2d_backward(
    dy: npt.ArrayLike, input_shape: Sequence[int], *, n_threads: int | None = None
) -> FloatArray:
    """Gradient of `global_avg_pool2d` with respect to its input.

    Parameters
    ----------
    dy : array of shape (N, C), float32 or float64
        Gradient of the output.
    input_shape : (N, H, W, C)
        Shape of the input.
    n_threads : int, optional
        As for `conv2d`.

    Returns
    -------
    dx : array of shape (N, H, W, C)
        ``dy / (H * W)`` in every cell.

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from pyconvx.ops import global_avg_pool2d_backward
    >>> global_avg_pool2d_backward(np.array([[1.0]]), (1, 2, 2, 1)).ravel()
    array([0.25, 0.25, 0.25, 0.25])
    """
    where = "global_avg_pool2d_backward"
    dy = as_float_array(where, "dy", dy, 2)
    shape = _input_shape_of(where, input_shape, dy)
    plan = AvgPoolPlan(shape, whole_window(shape), dy.dtype, resolve_threads(n_threads))
    dx = np.empty(shape, dy.dtype)
    plan.backward(dy.reshape(plan.output_shape), dx)
    return dx


def _input_shape_of(where: str, input_shape: Sequence[int], dy: FloatArray) -> tuple[int, int, int, int]:
    """Return the shape of the input, checked against the gradient of the output."""
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
