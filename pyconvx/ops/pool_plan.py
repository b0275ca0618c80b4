"""Max and average pools planned for batches of one shape."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.threads import threads_for
from pyconvx._core.types import Shape
from pyconvx._ext import avg_pool, max_pool
from pyconvx.ops.geometry import Window
from pyconvx.ops.pool_window import refuse_taps

Run = Callable[..., None]  # a kernel that takes arrays


class MaxPoolPlan:
    """A max pool for batches of one shape.

    Parameters
    ----------
    input_shape : (N, H, W, C)
        Shape of the batch; N may be 0.
    window : Window
        The pool's window over (H, W), from `pool_window`; a window as large as the map makes a global pool.
    dtype : dtype
        float32 or float64.
    n_threads : int
        As `resolve_threads` returns it; a map that is too small to share takes one thread.

    Attributes
    ----------
    output_shape : (N, OH, OW, C)
    winner_dtype : dtype
        The smaller of uint8 and int32 that numbers the window's taps.
    n_threads : int
        Threads that are used; no result depends on it.

    Notes
    -----
    As for `ConvPlan`: arrays are C-contiguous, and a run raises ValueError for one of another shape or type.
    """

    def __init__(self, input_shape: Shape, window: Window, dtype: npt.DTypeLike, n_threads: int) -> None:
        self.output_shape = _output_shape(input_shape, window)
        self.winner_dtype = winner_dtype(window)
        itemsize = np.dtype(dtype).itemsize
        self.n_threads = _threads(input_shape, itemsize, n_threads)
        sizes = itemsize, self.winner_dtype.itemsize, self.n_threads
        self._pool = max_pool.MaxPool(input_shape, window, *sizes)

    @property
    def forward(self) -> Run:
        """Run ``forward(x, y, winner)``.

        Write the largest value of each window to `y`, and the number of its tap, kh * KW + kw, to `winner`, which
        has `y`'s shape and `winner_dtype`. The largest value is the first NaN if there is one, else the first of
        the largest.
        """
        return self._pool.forward

    @property
    def backward(self) -> Run:
        """Run ``backward(dy, winner, dx)``: write to `dx` what the windows give to their winners."""
        return self._pool.backward

    @property
    def places(self) -> Run:
        """Run ``places(winner, argmax)``: write h * W + w of each winner to `argmax`, an int64 array."""
        return self._pool.places


class AvgPoolPlan:
    """An average pool for batches of one shape.

    Parameters
    ----------
    input_shape, window, dtype, n_threads
        As for `MaxPoolPlan`, whose notes hold too.
    include_pad : bool, default=False
        Whether cells of the padding, zeros, count in a mean.

    Attributes
    ----------
    output_shape : (N, OH, OW, C)
    n_threads : int
        Threads that are used; no result depends on it.
    """

    def __init__(
        self,
        input_shape: Shape,
        window: Window,
        dtype: npt.DTypeLike,
        n_threads: int,
        include_pad: bool = False,
    ) -> None:
        self.output_shape = _output_shape(input_shape, window)
        itemsize = np.dtype(dtype).itemsize
        self.n_threads = _threads(input_shape, itemsize, n_threads)
        self._pool = avg_pool.AvgPool(input_shape, window, include_pad, itemsize, self.n_threads)

    @property
    def forward(self) -> Run:
        """Run ``forward(x, y)``: write the mean of each window to `y`."""
        return self._pool.forward

    @property
    def backward(self) -> Run:
        """Run ``backward(dy, dx)``: give each window's gradient, over its count, to all its cells."""
        return self._pool.backward


def winner_dtype(window: Window) -> np.dtype[Any]:
    """Return the smaller of uint8 and int32 that numbers a window's taps."""
    refuse_taps("max pool", window, 2**31)
    return np.dtype(np.uint8 if window.KH * window.KW <= 256 else np.int32)


def _output_shape(input_shape: Shape, window: Window) -> tuple[int, int, int, int]:
    """Return (N, OH, OW, C)."""
    return input_shape[0], window.OH, window.OW, input_shape[-1]


def _threads(input_shape: Shape, itemsize: int, n_threads: int) -> int:
    """Return the threads that share a map of this shape."""
    return threads_for(math.prod(input_shape) * itemsize, n_threads, "pooled bytes")
