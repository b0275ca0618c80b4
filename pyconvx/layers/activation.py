"""An activation function as a layer."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pyconvx import activations
from pyconvx._core.types import FloatArray, Shape
from pyconvx._ext import pointwise
from pyconvx.layers.base import Arrays, Context, Layer
from pyconvx.layers.program import Program
from pyconvx.registry.claims import is_foreign
from pyconvx.registry.guard import at


@dataclass(frozen=True)
class Activation(Layer):
    """Applies a function to every cell.

    Parameters
    ----------
    activation : str or object
        A name from `pyconvx.activations`, an installed plugin's, or an object with ``forward(x)`` and
        ``backward(dy, x, y)``.

    Notes
    -----
    Behind a Conv2D, DepthwiseConv2D or Dense, a compiled activation runs inside that layer's loops.
    """

    activation: Any = "relu"

    def resolved(self) -> "Activation":
        """The layer with the activation itself instead of its name; PluginError where that is unknown.

        A network resolves its layers once, not at every step.
        """
        return Activation(activations.registry.resolve(self.activation))

    def _function(self) -> Any:
        return self.resolved().activation if is_foreign(self.activation) else self.activation  # a str is, too

    def output_shape(self, input_shape: Shape) -> Shape:
        """The input's."""
        return input_shape

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """f(x)."""
        function = self._function()
        capsule = getattr(function, "capsule", None)
        y = context.workspace.take(x.shape, x.dtype)
        if capsule is None:
            np.copyto(y, at(function, context.scope.removesuffix(".")).forward(x))
        else:
            pointwise.forward(capsule, x.reshape(-1), y.reshape(-1), context.n_threads)
        return y, (x, y)

    def bind(self, x: FloatArray, params: Arrays, program: Program) -> FloatArray:
        """Add a compiled function to a program."""
        capsule = getattr(self._function(), "capsule", None)
        if capsule is None:
            return program.bind_forward(self, x, params)
        y = program.take(x.shape, x.dtype)
        program.calls.append(partial(pointwise.forward, capsule, x.reshape(-1), y.reshape(-1), program.n_threads))
        return y

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Dy * f'(x)."""
        if not context.needs_dx:
            return None
        function, (x, y) = self._function(), cache
        capsule = getattr(function, "capsule", None)
        dx = context.workspace.take(dy.shape, dy.dtype)
        if capsule is None:
            np.copyto(dx, at(function, context.scope.removesuffix(".")).backward(dy, x, y))
            return dx
        v = y if pointwise.flags(capsule) & pointwise.FROM_OUTPUT else x
        pointwise.backward(capsule, v.reshape(-1), dy.reshape(-1), dx.reshape(-1), context.n_threads)
        return dx
