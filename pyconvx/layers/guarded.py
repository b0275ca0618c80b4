"""Layers of other packages run inside `Guarded`, so that built-in ones pay nothing.

They get read-only views, so that a layer that writes its input fails there instead of spoiling what other
layers read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx._core.workspace import Workspace
from pyconvx.layers.base import Arrays, Kind, Layer, ParameterSpec, has_capability, registry
from pyconvx.layers.context import Context
from pyconvx.layers.epilogue import Epilogue
from pyconvx.registry.claims import PYCONVX, is_foreign
from pyconvx.registry.guard import Guard, read_only


class _Pass:
    """One forward pass of a layer and the backward pass after it, in memory of their own.

    A layer of another package is called whenever a recorded pass runs, since what it does with its input is
    not known; so results are copied to where the other layers of the record look for them.
    """

    def __init__(self, layer: Any, context: Context) -> None:
        self.guard = Guard(registry, layer, context.scope.removesuffix("."))
        self.layer = layer
        self.memory = Workspace(), Workspace()
        self.cache: Any = None

    def forward(self, x: FloatArray, params: Arrays, context: Context, y: FloatArray, *more: Any) -> None:
        """Call the layer's forward, and write its result to y."""
        guard, inner = self.guard, context.unrecorded(_emptied(self.memory[0]))
        found = guard.call("forward", self.layer.forward, read_only(x), _views(params), inner, *more)
        if not (isinstance(found, tuple) and len(found) == 2):
            guard.refuse("forward", found, "an array and what backward needs, (y, cache)")
        np.copyto(y, guard.array("forward", found[0], y.shape, y.dtype))
        guard.finite("forward", y, x, *params.values())
        self.cache = found[1]

    def backward(
        self, dy: FloatArray, params: Arrays, grads: Arrays, context: Context, dx: FloatArray | None
    ) -> None:
        """Call the layer's backward, and write its result to dx."""
        guard, inner = self.guard, context.unrecorded(_emptied(self.memory[1]))
        given = read_only(dy), self.cache, _views(params), grads, inner
        found = guard.call("backward", self.layer.backward, *given)
        for name, grad in grads.items():
            guard.finite(f"backward (the gradient of {name})", grad, dy)
        if dx is not None:
            np.copyto(dx, guard.array("backward", found, dx.shape, dx.dtype))
            guard.finite("backward", dx, dy)

    def derivative_from(self, out: FloatArray) -> None:
        """Copy the values that the derivative of the activation is computed from."""
        np.copyto(out, self.cache[1])


@dataclass(frozen=True)
class Guarded(Layer):
    """A layer that is not pyconvx's own, its calls checked."""

    layer: Any

    def takes(self, epilogue: Epilogue) -> bool:
        """Accept the epilogues that the layer accepts."""
        return has_capability(self.layer, "takes") and bool(self.layer.takes(epilogue))

    def _computes_as_ours(self) -> bool:
        """Return whether both passes are inherited from a layer of pyconvx, and so may be recorded."""
        passes = type(self.layer).forward, type(self.layer).backward
        return all(getattr(method, "__module__", "").partition(".")[0] == PYCONVX for method in passes)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the layer's output shape, checked."""
        return announced_shape(self.layer, input_shape)

    def parts(self) -> tuple[tuple[Layer, ...], ...]:
        """Return the paths of the layer."""
        return self.layer.parts() if hasattr(self.layer, "parts") else ()

    def forward(
        self, x: FloatArray, params: Arrays, context: Context, *epilogue: Epilogue
    ) -> tuple[FloatArray, Any]:
        """Run the layer's forward, with the epilogue if the layer takes one."""
        shape = self.output_shape(x.shape[1:])
        if epilogue and epilogue[0].pool is not None:
            shape = epilogue[0].pool.output_shape(shape)
        if self._computes_as_ours():
            guard = Guard(registry, self.layer, context.scope.removesuffix("."))
            made, cache = guard.call("forward", self.layer.forward, x, params, context, *epilogue)
            guard.array("forward", made, (len(x), *shape), x.dtype)
            return made, (cache, cache[1] if epilogue else None, x.shape)
        y = context.take((len(x), *shape), x.dtype)
        run = _Pass(self.layer, context)
        context.run(run.forward, x, params, context, y, *epilogue)
        values = None
        if epilogue and epilogue[0].activation is not None and context.training:
            values = context.take(y.shape, y.dtype)
            context.run(run.derivative_from, values)
        return y, (run, values, x.shape)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Run the layer's backward."""
        run, _, shape = cache
        if not isinstance(run, _Pass):
            guard = Guard(registry, self.layer, context.scope.removesuffix("."))
            found: FloatArray | None = guard.call("backward", self.layer.backward, dy, run, params, grads, context)
            return found
        dx = context.take(shape, dy.dtype) if context.needs_dx else None
        context.run(run.backward, dy, params, grads, context, dx)
        return dx


def _emptied(memory: Workspace) -> Workspace:
    memory.reset()
    return memory


def guarded(layer: Any) -> Any:
    """Return the layer, guarded if it is another package's."""
    return Guarded(layer) if is_foreign(layer) else layer


def announced_shape(layer: Any, input_shape: Shape) -> Shape:
    """Return what `output_shape` says, checked; its ValueError and TypeError about the input pass through."""
    if not is_foreign(layer):
        return layer.output_shape(input_shape)  # type: ignore[no-any-return]
    guard, what = Guard(registry, layer), "output_shape"
    try:
        found = layer.output_shape(input_shape)
    except (ValueError, TypeError):
        raise
    except Exception as error:
        guard.failed(what, error)
    if not _is_shape(found):
        guard.refuse(what, found, "a tuple of ints of at least 1")
    return found  # type: ignore[no-any-return]


def announced_parameters(layer: Any, input_shape: Shape, where: str) -> dict[str, ParameterSpec]:
    """Return what `parameters` says, checked."""
    if not is_foreign(layer):
        return layer.parameters(input_shape)  # type: ignore[no-any-return]
    guard, what = Guard(registry, layer, where), "parameters"
    found = guard.call(what, layer.parameters, input_shape)
    if not isinstance(found, dict) or not all(isinstance(name, str) and name for name in found):
        guard.refuse(what, found, "a dict of names and ParameterSpecs")
    kinds = get_args(Kind)
    for name, spec in found.items():
        if not (isinstance(spec, ParameterSpec) and _is_shape(spec.shape) and spec.kind in kinds):
            guard.refuse(what, spec, f"a ParameterSpec of positive sizes and a kind of {kinds} as {name!r}")
    return found


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(size) is int and size > 0 for size in value)


def _views(arrays: Arrays) -> dict[str, Array]:
    return {name: read_only(array) for name, array in arrays.items()}
