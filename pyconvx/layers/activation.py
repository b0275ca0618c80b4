"""An activation function as a layer."""

from dataclasses import dataclass
from typing import Any

from pyconvx import activations
from pyconvx._types import FloatArray, Shape
from pyconvx.layers.base import Arrays, Context, Layer


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

    def function(self) -> activations.Activation:
        """The activation itself; PluginError where the name is unknown."""
        return activations.registry.resolve(self.activation)

    def output_shape(self, input_shape: Shape) -> Shape:
        """The input's."""
        return input_shape

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """f(x)."""
        y = self.function().forward(x)
        return y, (x, y)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """dy * f'(x)."""
        return self.function().backward(dy, *cache) if context.needs_dx else None
