"""Convolutions on arrays through Winograd's F(2x2, 3x3), unchecked: which ones, and the calls of the kernels."""

import math
from functools import lru_cache, partial
from typing import Any

from pyconvx._core.threads import threads_for
from pyconvx._core.types import FloatArray
from pyconvx._core.workspace import Workspace, aligned_empty
from pyconvx._ext import conv_winograd, pointwise, pool
from pyconvx.ops._direct import Call, Pooled
from pyconvx.ops.geometry import Window

Prepared = dict[int, FloatArray]  # what follows from a kernel alone, by its id

# Measured (docs/performance-notes.md): with fewer channels the transforms cost what the products save, and
# a larger kernel is written and read too often for what it multiplies. On small maps the direct way leaves out
# much padding, and tiles reach beyond the edge.
_FEWEST_CHANNELS = 16
_LARGEST_KERNEL = 256 * 512
_LEAST_SAVED = 1.3
_TAPS = (3, 3, 1, 1)  # height, width, strides
_TILE = (2, 2, 2, 2)  # likewise of the pool that ends where a tile does


def suits(kernel: FloatArray, view: Window, groups: int) -> bool:
    """Whether a convolution takes this way: float32, 3x3 taps, stride 1, many channels, products to save.

    The shapes of one sample decide, never their number, so that a row's result does not depend on its batch.
    """
    _, _, C, OC = kernel.shape
    few, large = min(C, OC) < _FEWEST_CHANNELS, C * OC > _LARGEST_KERNEL
    if few or large or groups != 1 or kernel.dtype.itemsize != 4:
        return False
    if view.sizes[:4] != _TAPS or (view.dilation_h, view.dilation_w) != (1, 1):
        return False
    return _saved(view.H, view.W, view.OH, view.OW, view.top, view.left) >= _LEAST_SAVED


@lru_cache(maxsize=1024)
def _saved(H: int, W: int, OH: int, OW: int, top: int, left: int) -> float:
    """Products of a map the direct way, which leaves out padding, over those of its tiles."""

    def taps(size: int, cells: int, before: int) -> int:
        return sum(max(0, min(size, i + 3) - max(0, i)) for i in range(-before, cells - before))

    tiles = -(-OH // 2) * -(-OW // 2)
    return taps(H, OH, top) * taps(W, OW, left) / (16 * tiles)


def forward_call(
    x: FloatArray,
    kernel: FloatArray,
    bias: FloatArray | None,
    y: FloatArray,
    view: Window,
    workspace: Workspace,
    n_threads: int,
    after: FloatArray | None,
    activation: Any,
    pooled: Pooled | None,
    prepared: Prepared | None,
) -> Call:
    """As `pyconvx.ops.convolution.forward_call`."""
    if pooled is not None and pooled.sizes != _TILE:
        return _forward_then_pool(
            x, kernel, bias, y, view, workspace, n_threads, after, activation, pooled, prepared
        )
    winner = None if pooled is None else pooled.winner
    (N, H, W, C), (_, OH, OW, OC) = x.shape, y.shape
    threads = threads_for(y[..., 0].size * kernel.size, n_threads)
    U = _transformed(kernel, workspace, prepared, threads)
    numbers = conv_winograd.forward_scratch(N, H, W, C, OH, OW, OC, pooled is not None, x.itemsize, threads)
    scratch = workspace.take((numbers,), x.dtype)
    return partial(
        conv_winograd.forward, x, U, bias, y, after, winner, activation, view.top, view.left, scratch, threads
    )


def _transformed(kernel: FloatArray, workspace: Workspace, prepared: Prepared | None, threads: int) -> FloatArray:
    """The transformed kernel: from those at hand, or made now."""
    if prepared is not None and id(kernel) in prepared:
        return prepared[id(kernel)]
    _, _, C, OC = kernel.shape
    shape = conv_winograd.transformed_shape(C, OC, kernel.itemsize)
    U: FloatArray
    if prepared is None:
        U = workspace.take(shape, kernel.dtype)
    else:
        U = prepared[id(kernel)] = aligned_empty(math.prod(shape), kernel.dtype).reshape(shape)
    conv_winograd.transform(kernel, U, threads)
    return U


def _forward_then_pool(
    x: FloatArray,
    kernel: FloatArray,
    bias: FloatArray | None,
    y: FloatArray,
    view: Window,
    workspace: Workspace,
    n_threads: int,
    after: FloatArray | None,
    activation: Any,
    pooled: Pooled,
    prepared: Prepared | None,
) -> Call:
    """For pools of other windows than the tiles."""
    cells = workspace.take((len(x), view.OH, view.OW, kernel.shape[3]), x.dtype)
    convolve = forward_call(x, kernel, bias, cells, view, workspace, n_threads, None, None, None, prepared)

    def run() -> None:
        convolve()
        pool.max_pool(cells, y, pooled.winner, *pooled.view.sizes, n_threads)
        if activation is not None and after is not None:
            pointwise.forward(activation, y.reshape(-1), after.reshape(-1), n_threads)

    return run


def backward(
    x: FloatArray,
    dy: FloatArray,
    kernel: FloatArray,
    dkernel: FloatArray | None,
    dx: FloatArray | None,
    view: Window,
    workspace: Workspace,
    n_threads: int,
    pooled: Pooled | None,
) -> None:
    """As `pyconvx.ops.convolution.backward`, without the bias."""
    mark = workspace.mark()
    if pooled is not None and pooled.sizes != _TILE:
        gradient = workspace.take((len(x), view.OH, view.OW, kernel.shape[3]), x.dtype)
        pool.max_pool_backward(dy, pooled.winner, gradient, *pooled.view.sizes, n_threads)
        dy, pooled = gradient, None
    winner = None if pooled is None else pooled.winner
    (N, H, W, C), (_, OH, OW, OC) = x.shape, dy.shape
    dw, di = dkernel is not None, dx is not None
    threads = threads_for(dy[..., 0].size * kernel.size, n_threads)
    numbers = conv_winograd.backward_scratch(
        N, H, W, C, OH, OW, OC, pooled is not None, dw, di, x.itemsize, threads
    )  # fmt: skip
    scratch = workspace.take((numbers,), x.dtype)
    conv_winograd.backward(x, dy, winner, kernel, dkernel, dx, view.top, view.left, scratch, threads)
    workspace.release(mark)
