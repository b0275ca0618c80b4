"""Max, average and global average pooling of channels-last images, forward and backward.

Each channel is pooled on its own, and nothing is learnt. Arguments are checked here; the loops are in
`pyconvx._ext.pool`. Padding is not data: it cannot win a maximum and counts in a mean only if asked for.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import as_float_array, refuse_odd_array, same_shape
from pyconvx._core.numbers import as_bool
from pyconvx._core.types import FloatArray, Padding, Pair
from pyconvx._ext import pool
from pyconvx.ops._pool_arguments import input_shape_of, pool_threads, pool_window, winner_dtype
from pyconvx.ops.geometry import check_size


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
    """Largest value of each window, and where it stands.

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
        window that would start in the padding behind the data is dropped.
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
    threads = pool_threads(n_threads, x)
    shape = (x.shape[0], w.OH, w.OW, x.shape[3])
    check_size(where, *shape)
    y = np.empty(shape, x.dtype)
    winner = np.empty(shape, winner_dtype(where, w))
    argmax = np.empty(shape, np.int64)
    pool.max_pool(x, y, winner, *w.sizes, threads)
    pool.winner_to_argmax(winner, argmax, w.W, *w.sizes, threads)
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
    N, H, W, C = input_shape_of(where, input_shape, dy)
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
    pool.argmax_scatter(dy.reshape(N, cells, C), places.reshape(N, cells, C), dx, pool_threads(n_threads, dx))
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
    shape = (x.shape[0], w.OH, w.OW, x.shape[3])
    check_size(where, *shape)
    y = np.empty(shape, x.dtype)
    pool.avg_pool(x, y, *w.sizes[:6], w.bottom, w.right, count_include_pad, pool_threads(n_threads, x))
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
    shape = input_shape_of(where, input_shape, dy)
    w = pool_window(where, shape, pool_size, stride, padding, 1, ceil_mode)
    same_shape(where, "dy", dy, (shape[0], w.OH, w.OW, shape[3]))
    dx = np.empty(shape, dy.dtype)
    sizes = (*w.sizes[:6], w.bottom, w.right)
    pool.avg_pool_backward(dy, dx, *sizes, count_include_pad, pool_threads(n_threads, dx))
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
    y = np.empty((x.shape[0], x.shape[3]), x.dtype)
    pool.global_avg_pool(x, y, pool_threads(n_threads, x))
    return y


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
    dx = np.empty(input_shape_of(where, input_shape, dy), dy.dtype)
    pool.global_avg_pool_backward(dy, dx, pool_threads(n_threads, dx))
    return dx
