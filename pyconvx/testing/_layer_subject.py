"""A layer under test, run as a network runs it.

It gets parameters, gradients and states as arguments, may use a workspace for its results, and has another
workspace for backward than for forward.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pyconvx._core.types import Shape
from pyconvx._core.workspace import Workspace
from pyconvx.layers import Context, Randomness
from pyconvx.testing._common import Array, call, expect

_SCOPE = "layer."


@dataclass
class Run:
    """Results of one forward and backward pass."""

    y: Array
    dx: Array | None
    grads: dict[str, Array]
    states: dict[str, Array]

    def bits(self) -> bytes:
        """Return every number, as bytes."""
        arrays = [self.y, *self.grads.values(), *self.states.values(), *([] if self.dx is None else [self.dx])]
        return b"".join(array.tobytes() for array in arrays)


@dataclass
class Subject:
    """A layer, its name for messages, and its parameters for one input shape."""

    layer: Any
    who: str
    params: dict[str, Array]
    states: dict[str, Array]

    def run(
        self,
        x: Array,
        *,
        training: bool = True,
        n_threads: int = 1,
        needs_dx: bool = True,
        start: float = 0.0,
        frozen: bool = False,
        litter: float = 0.0,
    ) -> Run:
        """Run forward, and in training backward from `slopes`; gradients begin at `start`."""
        params = {name: array.astype(x.dtype) for name, array in self.params.items()}
        states = {name: array.astype(x.dtype) for name, array in self.states.items()}
        inputs = {"x": x, **params}
        before = {name: array.tobytes() for name, array in inputs.items()}
        for array in params.values():
            array.flags.writeable = False

        samples, named = (
            np.arange(len(x), dtype=np.int64),
            {_SCOPE + name: array for name, array in states.items()},
        )

        def context() -> Context:
            workspace = _littered(litter)
            return Context(training, workspace, n_threads, needs_dx, Randomness(7, 0, samples), named, _SCOPE)

        y, cache = self._forward(x, params | states, context())
        grads = {} if frozen else {name: np.full_like(array, start) for name, array in params.items()}
        dx = self._backward(x, y, cache, params | states, grads, context()) if training else None
        for name, array in inputs.items():
            expect(before[name] == array.tobytes(), self.who, f"a pass writes {name}, which it may only read")
        return Run(y, dx, grads, states)

    def _forward(self, x: Array, params: dict[str, Array], context: Context) -> tuple[Array, Any]:
        """Run forward; returns the output and the cache."""
        result = call(self.who, f"forward ({x.dtype})", self.layer.forward, x, params, context)
        expect(isinstance(result, tuple) and len(result) == 2, self.who, "forward must return (y, cache)")
        return result  # type: ignore[no-any-return]

    def _backward(
        self, x: Array, y: Array, cache: Any, params: dict[str, Array], grads: dict[str, Array], context: Context
    ) -> Array | None:
        """Run backward; returns dx."""
        dy = slopes(y.shape).astype(x.dtype) if isinstance(y, np.ndarray) else y
        before = np.copy(dy)
        dx: Array | None = call(
            self.who, f"backward ({x.dtype})", self.layer.backward, dy, cache, params, grads, context
        )
        expect(np.array_equal(before, dy), self.who, "backward writes dy, which a skip path reads again")
        return dx


def slopes(shape: Shape) -> Array:
    """Return the gradient that backward begins with: that of sum(y * slopes)."""
    return np.random.default_rng(1).standard_normal(shape)


def _littered(value: float) -> Workspace:
    """Return a workspace whose memory holds a value everywhere."""
    workspace = Workspace()
    workspace.take((1 << 14,), np.float64).fill(value)
    workspace.reset()
    return workspace
