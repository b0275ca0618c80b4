"""An activation function as a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pyconvx import activations
from pyconvx._core.types import FloatArray, Shape
from pyconvx.layers.base import Arrays, Layer
from pyconvx.layers.context import Context
from pyconvx.layers.epilogue import Epilogue
from pyconvx.ops import capsules, elementwise
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
    A compiled activation after a layer that takes one, such as Conv2D or Dense, runs inside that layer's loops.
    """

    activation: Any = "relu"

    def resolved(self) -> Activation:
        """Return the layer with the activation itself in place of its name; PluginError if that is unknown.

        A network resolves its layers once, not at every step.
        """
        return Activation(activations.registry.resolve(self.activation))

    def _function(self) -> Any:
        return self.resolved().activation if is_foreign(self.activation) else self.activation  # a str is, too

    def epilogue(self) -> Epilogue | None:
        """Return a compiled function, which runs in the loops of the layer before."""
        function = self._function()
        return Epilogue(function) if hasattr(function, "capsule") else None

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the input."""
        return input_shape

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Apply the function."""
        function = self._function()
        y = context.take(x.shape, x.dtype)
        capsule = getattr(function, "capsule", None)
        if capsule is None:
            context.run(_write, at(function, context.scope.removesuffix(".")).forward, y, x)
        else:
            context.run(elementwise.activate, capsule, x.reshape(-1), y.reshape(-1), context.n_threads)
        return y, (x, y)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Multiply dy by the function's derivative."""
        if not context.needs_dx:
            return None
        function, (x, y) = self._function(), cache
        dx = context.take(dy.shape, dy.dtype)
        capsule = getattr(function, "capsule", None)
        if capsule is None:
            context.run(_write, at(function, context.scope.removesuffix(".")).backward, dx, dy, x, y)
            return dx
        v = y if capsules.flags(capsule) & capsules.FROM_OUTPUT else x
        flat = v.reshape(-1), dy.reshape(-1), dx.reshape(-1)
        context.run(elementwise.activate_backward, capsule, *flat, context.n_threads)
        return dx


def _write(function: Any, out: FloatArray, *arrays: FloatArray) -> None:
    """Write what a function gives."""
    np.copyto(out, function(*arrays))
