"""Fully connected layer."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from pyconvx._core.numbers import as_int
from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx.initializers import zeros
from pyconvx.layers.base import Affine, Arrays, Layer, ParameterSpec, cached, expect_flat
from pyconvx.layers.context import Context
from pyconvx.layers.conv import absorbed
from pyconvx.layers.epilogue import NOTHING, Epilogue
from pyconvx.ops.dense_plan import DensePlan


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

    def __post_init__(self) -> None:
        """Refuse a layer without units."""
        super().__post_init__()
        as_int("Dense: units", self.units, 1)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (units,)."""
        expect_flat(self, input_shape)
        return (self.units,)

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Return weights, and bias if there is one."""
        inputs = expect_flat(self, input_shape)
        specs = {"weights": ParameterSpec((inputs, self.units), self.initializer, inputs, self.units)}
        if self.bias:
            specs["bias"] = ParameterSpec((self.units,), zeros, kind="bias")
        return specs

    def multiplications(self, input_shape: Shape) -> int:
        """Count features * units."""
        return expect_flat(self, input_shape) * self.units

    def takes(self, epilogue: Epilogue) -> bool:
        """Accept an activation: it runs on outputs that are still in cache."""
        return epilogue.pool is None

    def absorb(self, params: Arrays, affine: Affine) -> tuple[Layer, dict[str, Array]]:
        """Return the layer with scaled weights."""
        return absorbed(self, "weights", params, affine)

    def forward(
        self, x: FloatArray, params: Arrays, context: Context, epilogue: Epilogue = NOTHING
    ) -> tuple[FloatArray, Any]:
        """Multiply and activate; the cache holds x, and the values before the activation if they are needed."""
        shape = (len(x), self.units)
        y = context.take(shape, x.dtype)
        activated = context.take(shape, x.dtype) if epilogue.keeps_input(context.training) else y
        plan = _plan(self, x.shape, x.dtype, context.n_threads)
        context.run(
            plan.forward, x, params["weights"], params.get("bias"), y, activated, epilogue.capsule,
            context.scratch(plan.forward_scratch, x.dtype),
        )  # fmt: skip
        return activated, (x, y)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Compute the gradients of weights, bias and input."""
        x = cache[0]
        plan = _plan(self, x.shape, x.dtype, context.n_threads)
        if "weights" in grads:
            scratch = context.scratch(plan.backward_scratch, x.dtype)
            context.run(plan.backward_weights, x, dy, grads["weights"], scratch)
        if "bias" in grads:
            context.run(plan.backward_bias, dy, grads["bias"], context.scratch(plan.backward_scratch, x.dtype))
        if not context.needs_dx:
            return None
        dx = context.take(x.shape, x.dtype)
        scratch = context.scratch(plan.backward_scratch, x.dtype)
        context.run(plan.backward_input, dy, params["weights"], dx, scratch)
        return dx


@cached
def _plan(layer: Dense, shape: Shape, dtype: Any, n_threads: int) -> DensePlan:
    """Return the plan for batches of this shape."""
    return DensePlan(shape[0], shape[1], layer.units, dtype, n_threads)
