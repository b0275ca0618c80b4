"""A forward pass bound once and run many times: a list of kernel calls with all their arguments.

For predicting: arrays, scratch and what follows from the parameters are made when a layer is bound, so that a
run has nothing left to decide. A layer may define ``bind(x, params, program)``, which adds its calls and
returns the array that they write; of others `forward` is called.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx._core.workspace import Workspace
from pyconvx.layers.base import Arrays, Context, Layer, belongs_to_forward
from pyconvx.ops import convolution
from pyconvx.ops._direct import Pooled
from pyconvx.ops._winograd import Prepared
from pyconvx.ops.geometry import Window


class Program:
    """Calls for batches of one size.

    Parameters
    ----------
    n_threads : int
    prepared : dict
        What follows from kernels alone; programs of other sizes share it.

    Attributes
    ----------
    scope : str
        Prefix of the names of the layer that is bound.
    calls : list
        What a run does, in order.
    workspace : Workspace
        Where maps and scratch come from; scratch may be given back once a call is bound.
    """

    def __init__(self, n_threads: int, prepared: Prepared) -> None:
        self.n_threads = resolve_threads(n_threads)
        self.prepared = prepared
        self.scope = ""
        self.calls: list[Callable[[], Any]] = []
        self.workspace = Workspace()
        self._passing = Workspace()

    def take(self, shape: Shape, dtype: npt.DTypeLike) -> Array:
        """An array that stays."""
        return self.workspace.take(shape, dtype)

    def bind(self, layer: Any, x: FloatArray, params: Arrays) -> FloatArray:
        """Add a layer; returns its output for the input `x`, written when the program runs."""
        if belongs_to_forward(layer, "bind"):
            y: FloatArray = layer.bind(x, params, self)
            return y
        return self.bind_forward(layer, x, params)

    def bind_forward(self, layer: Layer, x: FloatArray, params: Arrays, *more: Any) -> FloatArray:
        """Add a layer that knows no programs; its `forward` gets `more` behind the context."""
        y = self.take((len(x), *layer.output_shape(x.shape[1:])), x.dtype)
        context = Context(False, self._passing, self.n_threads, scope=self.scope)

        def run() -> None:
            self._passing.reset()
            np.copyto(y, layer.forward(x, params, context, *more)[0])

        self.calls.append(run)
        return y

    def bind_convolution(
        self,
        x: FloatArray,
        params: Arrays,
        y: FloatArray,
        view: Window,
        groups: int,
        activation: Any,
        pooled: Pooled | None = None,
    ) -> None:
        """Add a convolution that writes `y`, or the pool behind it."""
        mark = self.workspace.mark()
        call = convolution.forward_call(
            x, params["kernel"], params.get("bias"), y, view, groups, self.workspace, self.n_threads,
            y, activation, pooled, self.prepared,
        )  # fmt: skip
        self.workspace.release(mark)
        self.calls.append(call)

    def run(self) -> None:
        """Run the calls."""
        for call in self.calls:
            call()
