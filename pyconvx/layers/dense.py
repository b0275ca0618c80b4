"""Fully connected layer."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from pyconvx._core.arrays import same_shape
from pyconvx._core.numbers import as_int
from pyconvx._core.types import FloatArray, Shape
from pyconvx.initializers import zeros
from pyconvx.layers.base import Arrays, Context, Layer, ParameterSpec, expect_flat
from pyconvx.layers.program import Program
from pyconvx.ops import _dense, _direct


@dataclass(frozen=True)
class Dense(Layer):
    """Every output is a weighted sum of all inputs: ``y = x @ weights + bias``.

    Parameters
    ----------
    units : int
        Outputs.
    bias : bool, default=True
    initializer : str, object or None, default=None
        Starting weights; None takes the network's.

    Notes
    -----
    Input (features,), output (units,); parameters ``weights`` (features, units) and ``bias`` (units,).
    """

    units: int
    _: KW_ONLY
    bias: bool = True
    initializer: object = None

    takes_activation: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a layer without units."""
        super().__post_init__()
        as_int("Dense: units", self.units, 1)

    def output_shape(self, input_shape: Shape) -> Shape:
        """(units,)."""
        expect_flat(self, input_shape)
        return (self.units,)

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Weights, and bias where wanted."""
        inputs = expect_flat(self, input_shape)
        specs = {"weights": ParameterSpec((inputs, self.units), self.initializer, inputs, self.units)}
        if self.bias:
            specs["bias"] = ParameterSpec((self.units,), zeros, kind="bias")
        return specs

    def multiplications(self, input_shape: Shape) -> int:
        """Features * units."""
        return expect_flat(self, input_shape) * self.units

    def forward(
        self, x: FloatArray, params: Arrays, context: Context, activation: Any = None, keep: bool = False
    ) -> tuple[FloatArray, Any]:
        """Multiply; `activation` and `keep` as for Conv2D."""
        shape = (len(x), self.units)
        y = context.workspace.take(shape, x.dtype)
        after = context.workspace.take(shape, x.dtype) if keep else y
        _dense.forward(
            x,
            params["weights"],
            params.get("bias"),
            y,
            context.workspace,
            context.n_threads,
            after,
            activation,
        )
        return after, (x, y)

    def bind(self, x: FloatArray, params: Arrays, program: Program, activation: Any = None) -> FloatArray:
        """Add the product to a program."""
        y = program.take((len(x), self.units), x.dtype)
        mark = program.workspace.mark()
        call = _dense.forward_call(
            x, params["weights"], params.get("bias"), y, program.workspace, program.n_threads, y, activation
        )
        program.workspace.release(mark)
        program.calls.append(call)
        return y

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Gradients of weights, bias and input."""
        x = cache[0]
        memory, threads = context.workspace, context.n_threads
        same_shape("Dense", "dy", dy, (len(x), self.units))
        if "weights" in grads:
            _dense.backward_weights(x, dy, grads["weights"], memory, threads)
        if "bias" in grads:
            _direct.backward_bias(dy, grads["bias"], memory, threads)
        if not context.needs_dx:
            return None
        dx = memory.take(x.shape, x.dtype)
        _dense.backward_input(dy, params["weights"], dx, memory, threads)
        return dx
