"""An activation function as a layer."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from pyconvx import activations
from pyconvx._core.types import FloatArray, Shape
from pyconvx._ext import pointwise
from pyconvx.layers.base import Arrays, Context, Layer
from pyconvx.layers.program import Program
from pyconvx.registry.guard import Guard, is_foreign, read_only


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
        named = isinstance(self.activation, str)
        return self.resolved().activation if named else self.activation

    def output_shape(self, input_shape: Shape) -> Shape:
        """The input's."""
        return input_shape

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """f(x)."""
        function = self._function()
        capsule = getattr(function, "capsule", None)
        if capsule is None:
            y = self._apply("forward", function, context, x)
        else:
            y = context.workspace.take(x.shape, x.dtype)
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
        if capsule is None:
            return self._apply("backward", function, context, dy, x, y)
        v = y if pointwise.flags(capsule) & pointwise.FROM_OUTPUT else x
        dx = context.workspace.take(dy.shape, dy.dtype)
        pointwise.backward(capsule, v.reshape(-1), dy.reshape(-1), dx.reshape(-1), context.n_threads)
        return dx

    def _apply(self, method: str, function: Any, context: Context, *arrays: FloatArray) -> FloatArray:
        """What a function without a capsule makes of arrays, the first of which its result is like."""
        call = getattr(function, method)
        if not is_foreign(function):
            return call(*arrays)  # type: ignore[no-any-return]
        guard = Guard(activations.registry, function, context.scope.removesuffix("."))
        found = guard.call(method, call, *map(read_only, arrays))
        result = guard.kept(method, found, arrays[0].shape, arrays[0].dtype, context.workspace)
        guard.finite(method, result, *arrays)
        return result
