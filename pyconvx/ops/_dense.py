"""Dense layers on arrays, unchecked: memory comes from a workspace, results go to given arrays."""

from functools import partial
from typing import Any

from pyconvx._core.threads import threads_for
from pyconvx._core.types import FloatArray
from pyconvx._core.workspace import Workspace
from pyconvx._ext import dense
from pyconvx.ops._direct import Call


def forward(
    x: FloatArray,
    weights: FloatArray,
    bias: FloatArray | None,
    y: FloatArray,
    workspace: Workspace,
    n_threads: int,
    after: FloatArray | None = None,
    activation: Any = None,
) -> None:
    """Write x @ weights + bias to `y` and, with an activation's capsule, f(y) to `after` (may be `y`)."""
    if not len(x):
        return
    mark = workspace.mark()
    forward_call(x, weights, bias, y, workspace, n_threads, after, activation)()
    workspace.release(mark)


def forward_call(
    x: FloatArray,
    weights: FloatArray,
    bias: FloatArray | None,
    y: FloatArray,
    workspace: Workspace,
    n_threads: int,
    after: FloatArray | None = None,
    activation: Any = None,
) -> Call:
    """What `forward` runs, for arrays that are not empty. Its scratch is taken from the workspace."""
    inputs, outputs = weights.shape
    scratch = workspace.take((dense.forward_scratch(len(x), inputs, outputs, x.itemsize),), x.dtype)
    threads = threads_for(len(x) * weights.size, n_threads)
    return partial(dense.forward, x, weights, bias, y, after, activation, scratch, threads)


def backward_input(
    dy: FloatArray, weights: FloatArray, dx: FloatArray, workspace: Workspace, n_threads: int
) -> None:
    """Write dy @ weights.T to `dx`."""
    if not len(dy):
        return
    inputs, outputs = weights.shape
    mark = workspace.mark()
    threads = threads_for(len(dy) * weights.size, n_threads)
    size = dense.backward_input_scratch(len(dy), inputs, outputs, dy.itemsize, threads)
    dense.backward_input(dy, weights, dx, workspace.take((size,), dy.dtype), threads)
    workspace.release(mark)


def backward_weights(
    x: FloatArray, dy: FloatArray, dweights: FloatArray, workspace: Workspace, n_threads: int
) -> None:
    """Add x.T @ dy to `dweights`."""
    if not len(x):
        return
    inputs, outputs = dweights.shape
    mark = workspace.mark()
    scratch = workspace.take((dense.backward_weights_scratch(len(x), inputs, outputs, x.itemsize),), x.dtype)
    dense.backward_weights(x, dy, dweights, scratch, threads_for(len(x) * dweights.size, n_threads))
    workspace.release(mark)
