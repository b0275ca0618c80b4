"""Dense layers on arrays, unchecked: memory comes from a workspace, results go to given arrays."""

from functools import lru_cache, partial
from typing import Any

from pyconvx._core.types import FloatArray
from pyconvx._core.workspace import Workspace
from pyconvx.ops._direct import Call
from pyconvx.ops.dense_plan import DensePlan

_planned = lru_cache(maxsize=1024)(DensePlan)


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
    """What `forward` runs. Its scratch is taken from the workspace."""
    plan = _planned(len(x), x.shape[1], y.shape[1], x.dtype, n_threads)
    scratch = workspace.take((plan.forward_scratch,), x.dtype)
    return partial(plan.forward, x, weights, bias, y, after, activation, scratch)


def backward_input(
    dy: FloatArray, weights: FloatArray, dx: FloatArray, workspace: Workspace, n_threads: int
) -> None:
    """Write dy @ weights.T to `dx`."""
    plan = _planned(len(dy), dx.shape[1], dy.shape[1], dy.dtype, n_threads)
    mark = workspace.mark()
    plan.backward_input(dy, weights, dx, workspace.take((plan.backward_scratch,), dy.dtype))
    workspace.release(mark)


def backward_weights(
    x: FloatArray, dy: FloatArray, dweights: FloatArray, workspace: Workspace, n_threads: int
) -> None:
    """Add x.T @ dy to `dweights`."""
    plan = _planned(len(x), x.shape[1], dy.shape[1], dy.dtype, n_threads)
    mark = workspace.mark()
    plan.backward_weights(x, dy, dweights, workspace.take((plan.backward_scratch,), dy.dtype))
    workspace.release(mark)
