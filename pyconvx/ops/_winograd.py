"""Convolutions on arrays through Winograd's F(2x2, 3x3), unchecked: which ones, and the calls of the kernels."""

from typing import Any

from pyconvx._ext import pointwise, pool, winograd
from pyconvx._threads import threads_for
from pyconvx._types import FloatArray
from pyconvx._workspace import Workspace
from pyconvx.ops._direct import Pooled
from pyconvx.ops.geometry import Window

# Measured (docs/performance-notes.md): with fewer channels the transforms cost what the products save, and
# a larger kernel is written and read too often for what it multiplies.
_FEWEST_CHANNELS = 16
_LARGEST_KERNEL = 256 * 512
_TAPS = (3, 3, 1, 1)  # height, width, strides
_TILE = (2, 2, 2, 2)  # likewise of the pool that ends where a tile does


def suits(kernel: FloatArray, view: Window, groups: int) -> bool:
    """Whether a convolution takes this way: float32, 3x3 taps, stride 1, many channels.

    The shapes of one sample decide, never their number, so that a row's result does not depend on its batch.
    """
    _, _, C, OC = kernel.shape
    few, large = min(C, OC) < _FEWEST_CHANNELS, C * OC > _LARGEST_KERNEL
    if few or large or groups != 1 or kernel.dtype.itemsize != 4:
        return False
    return view.sizes[:4] == _TAPS and view.dilation_h == view.dilation_w == 1


def forward(
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
) -> None:
    """As `pyconvx.ops.convolution.forward`."""
    if pooled is not None and pooled.sizes != _TILE:
        _forward_then_pool(x, kernel, bias, y, view, workspace, n_threads, after, activation, pooled)
        return
    winner = None if pooled is None else pooled.winner
    sizes = (*x.shape, *y.shape[1:], pooled is not None)
    threads = threads_for(y[..., 0].size * kernel.size, n_threads)
    mark = workspace.mark()
    U = workspace.take(winograd.transformed_shape(*kernel.shape[2:], x.itemsize), x.dtype)
    winograd.transform(kernel, U, threads)
    scratch = workspace.take((winograd.forward_scratch(*sizes, x.itemsize, threads),), x.dtype)
    winograd.forward(x, U, bias, y, after, winner, activation, view.top, view.left, scratch, threads)
    workspace.release(mark)


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
) -> None:
    """For pools of other windows than the tiles."""
    mark = workspace.mark()
    cells = workspace.take((len(x), view.OH, view.OW, kernel.shape[3]), x.dtype)
    forward(x, kernel, bias, cells, view, workspace, n_threads, None, None, None)
    pool.max_pool(cells, y, pooled.winner, *pooled.view.sizes, n_threads)
    if activation is not None and after is not None:
        pointwise.forward(activation, y.reshape(-1), after.reshape(-1), n_threads)
    workspace.release(mark)


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
    wanted = (pooled is not None, dkernel is not None, dx is not None)
    threads = threads_for(dy[..., 0].size * kernel.size, n_threads)
    numbers = winograd.backward_scratch(*x.shape, *dy.shape[1:], *wanted, x.itemsize, threads)
    scratch = workspace.take((numbers,), x.dtype)
    winograd.backward(x, dy, winner, kernel, dkernel, dx, view.top, view.left, scratch, threads)
    workspace.release(mark)
