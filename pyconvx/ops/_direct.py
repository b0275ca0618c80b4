"""Convolutions on arrays by the direct kernels, unchecked: memory comes from a workspace, no array is empty."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.threads import threads_for
from pyconvx._core.types import FloatArray
from pyconvx._core.workspace import Workspace
from pyconvx._ext import conv, conv_gradient, conv_input
from pyconvx.ops.geometry import Window

Call = Callable[[], None]  # a kernel with all its arguments


@dataclass(frozen=True)
class Pooled:
    """A max pool behind a convolution: windows that share no cell and lie inside the map.

    Parameters
    ----------
    winner : uint8 array of shape (N, PH, PW, OC)
        The tap of each maximum in its window, kh * KW + kw; written forward, read backward.
    view : Window
        The pool's, over the convolution's map. At least two and at most 254 taps, no padding, dilation 1.
    """

    winner: npt.NDArray[np.uint8]
    view: Window

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """What a kernel takes: height, width, strides."""
        return self.view.sizes[:4]


def _plan(
    x: FloatArray,
    y: FloatArray,
    kernel: FloatArray,
    view: Window,
    groups: int,
    n_threads: int,
    pooled: Pooled | None,
) -> tuple[npt.NDArray[np.uint8] | None, tuple[int, int, int, int], tuple[int, ...], int]:
    """Winners, the pool's sizes, the sizes that scratch functions take, and the threads for the work."""
    N = len(x)
    _, PH, PW, OC = y.shape
    pool = (1, 1, 1, 1) if pooled is None else pooled.sizes
    cells = N * ((PH - 1) * pool[2] + pool[0]) * ((PW - 1) * pool[3] + pool[1])
    threads = threads_for(cells * kernel.size, n_threads)
    winner = None if pooled is None else pooled.winner
    return winner, pool, (*x.shape, PH, PW, OC, *view.sizes, groups, *pool, x.itemsize, threads), threads


def forward_call(
    x: FloatArray,
    kernel: FloatArray,
    bias: FloatArray | None,
    y: FloatArray,
    view: Window,
    groups: int,
    workspace: Workspace,
    n_threads: int,
    after: FloatArray | None,
    activation: Any,
    pooled: Pooled | None,
) -> Call:
    """As `pyconvx.ops.convolution.forward_call`."""
    winner, pool, plan, threads = _plan(x, y, kernel, view, groups, n_threads, pooled)
    scratch = workspace.take((conv.forward_scratch(*plan),), x.dtype)
    return partial(
        conv.forward, x, kernel, bias, y, after, winner, activation, *view.sizes, groups, *pool, scratch, threads
    )


def backward_input(
    dy: FloatArray,
    kernel: FloatArray,
    dx: FloatArray,
    view: Window,
    groups: int,
    workspace: Workspace,
    n_threads: int,
    pooled: Pooled | None = None,
) -> None:
    """Write the gradient of the input to `dx`, given that of the output, or of the pool behind it."""
    winner, pool, plan, threads = _plan(dx, dy, kernel, view, groups, n_threads, pooled)
    mark = workspace.mark()
    scratch = workspace.take((conv_input.backward_input_scratch(*plan),), dy.dtype)
    conv_input.backward_input(dy, winner, kernel, dx, *view.sizes, groups, *pool, scratch, threads)
    workspace.release(mark)


def backward_kernel(
    x: FloatArray,
    dy: FloatArray,
    dkernel: FloatArray,
    view: Window,
    groups: int,
    workspace: Workspace,
    n_threads: int,
    pooled: Pooled | None = None,
) -> None:
    """Add the gradient of the kernel to `dkernel`, given that of the output, or of the pool behind it."""
    winner, pool, plan, threads = _plan(x, dy, dkernel, view, groups, n_threads, pooled)
    mark = workspace.mark()
    scratch = workspace.take((conv_gradient.backward_kernel_scratch(*plan),), x.dtype)
    conv_gradient.backward_kernel(x, dy, winner, dkernel, *view.sizes, groups, *pool, scratch, threads)
    workspace.release(mark)


def backward_bias(dy: FloatArray, dbias: FloatArray, workspace: Workspace, n_threads: int) -> None:
    """Add the gradient of the bias, the sum of `dy` over all but the last axis, to `dbias`."""
    channels = dy.shape[-1]
    mark = workspace.mark()
    scratch = workspace.take((16 * channels,), dy.dtype)
    conv_gradient.backward_bias(dy.reshape(len(dy), -1, channels), dbias, scratch, threads_for(dy.size, n_threads))
    workspace.release(mark)
