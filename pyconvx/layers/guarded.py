"""Layers of other packages: a plan runs them inside `Guarded`, so that built-in ones pay nothing.

They get read-only views, so that a layer that writes its input fails there instead of spoiling what other
layers read again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx.layers.base import Arrays, Context, Kind, Layer, ParameterSpec, belongs_to_forward, registry
from pyconvx.layers.program import Program
from pyconvx.registry.claims import is_foreign
from pyconvx.registry.guard import Guard, read_only


@dataclass(frozen=True)
class Guarded(Layer):
    """A layer that is not pyconvx's own, its calls checked."""

    layer: Any

    @property
    def takes_activation(self) -> bool:  # type: ignore[override]
        """The layer's."""
        return belongs_to_forward(self.layer, "takes_activation") and bool(self.layer.takes_activation)

    def output_shape(self, input_shape: Shape) -> Shape:
        """The layer's."""
        return announced_shape(self.layer, input_shape)

    def parts(self) -> tuple[tuple[Layer, ...], ...]:
        """The layer's."""
        return self.layer.parts() if hasattr(self.layer, "parts") else ()

    def forward(self, x: FloatArray, params: Arrays, context: Context, *activation: Any) -> tuple[FloatArray, Any]:
        """The layer's; an activation is handed on to layers that take one."""
        guard, shape = self._guard(context.scope), (len(x), *self.output_shape(x.shape[1:]))
        given = read_only(x), _views(params), context
        found = guard.call("forward", self.layer.forward, *given, *activation)
        if not (isinstance(found, tuple) and len(found) == 2):
            guard.refuse("forward", found, "an array and what backward needs, (y, cache)")
        y = guard.kept("forward", found[0], shape, x.dtype, context.workspace)
        guard.finite("forward", y, x, *params.values())
        # with an activation its derivative follows from what is second in the cache
        return y, (found[1], found[1][1] if activation else None, x.shape)

    def bind(self, x: FloatArray, params: Arrays, program: Program, *activation: Any) -> FloatArray:
        """Add the layer to a program: by its own bind, where that belongs to its forward."""
        if not belongs_to_forward(self.layer, "bind"):
            keep = [False] * len(activation)
            return program.bind_forward(self, x, params, *activation, *keep)
        guard, before = self._guard(program.scope), len(program.calls)
        found = guard.call("bind", self.layer.bind, read_only(x), _views(params), program, *activation)
        program.calls[before:] = [_guarded_call(guard, call) for call in program.calls[before:]]
        return guard.array("bind", found, (len(x), *self.output_shape(x.shape[1:])), x.dtype)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """The layer's."""
        guard, given = self._guard(context.scope), (read_only(dy), cache[0], _views(params), grads, context)
        found = guard.call("backward", self.layer.backward, *given)
        for name, grad in grads.items():
            guard.finite(f"backward (the gradient of {name})", grad, dy)
        if not context.needs_dx:
            return None
        dx = guard.kept("backward", found, cache[2], dy.dtype, context.workspace)
        guard.finite("backward", dx, dy)
        return dx

    def _guard(self, scope: str) -> Guard:
        return Guard(registry, self.layer, scope.removesuffix("."))


def guarded(layer: Any) -> Any:
    """The layer, under guard where it is another package's."""
    return Guarded(layer) if is_foreign(layer) else layer


def announced_shape(layer: Any, input_shape: Shape) -> Shape:
    """What `output_shape` says; ValueError and TypeError are its own words about the input."""
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
    """What `parameters` says."""
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


def _guarded_call(guard: Guard, call: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: guard.call("a call that bind added", call)
