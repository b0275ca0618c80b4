"""Layers, solver and schedule from the constructor's parameters."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from pyconvx import layers as layer_family
from pyconvx import schedules, solvers
from pyconvx._core.types import Padding, Pair, Shape
from pyconvx.exceptions import PluginError
from pyconvx.layers import Activation, BatchNorm, Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D
from pyconvx.layers.sequence import output_shapes
from pyconvx.layers.space import as_image_sizes
from pyconvx.ops.geometry import as_padding

# With the name of a solver or schedule, these parameters of the estimator apply: theirs -> ours.
_SCALARS = {
    "sgd": {"momentum": "momentum", "nesterov": "nesterovs_momentum"},
    "adam": {"beta_1": "beta_1", "beta_2": "beta_2", "epsilon": "epsilon"},
    "adamw": {"beta_1": "beta_1", "beta_2": "beta_2", "epsilon": "epsilon"},
    "rmsprop": {"epsilon": "epsilon"},
    "invscaling": {"power_t": "power_t"},
}


def hidden_layers(params: dict[str, Any], input_shape: Shape) -> tuple[Layer, ...]:
    """Everything before the output layer, flat at its end."""
    given = params["layers"]
    chosen = _default_stack(params, input_shape) if given is None else _given(given)
    shape = [input_shape, *output_shapes(chosen, input_shape)][-1]
    return chosen if len(shape) == 1 else (*chosen, Flatten())


def _given(values: Sequence[Any]) -> tuple[Layer, ...]:
    """The user's layers: values, or names of layers that need no arguments; Flatten before Dense."""
    chosen: list[Layer] = []
    flat = False
    for value in values:
        layer: Any = _named(value) if isinstance(value, str) else value
        try:
            layer_family.verify_layer(layer)
        except TypeError as error:
            raise TypeError(f"layers must hold layers or their names, got {value!r}: {error}") from None
        if isinstance(layer, type):
            raise TypeError(f"layers must hold layers or their names, got the class {layer.__name__}: call it")
        if isinstance(layer, Dense) and not flat:
            flat = any(isinstance(before, (Flatten, layer_family.GlobalAvgPool2D)) for before in chosen)
            if not flat:
                chosen.append(Flatten())
                flat = True
        chosen.append(layer)
    return tuple(chosen)


def _named(name: str) -> Layer:
    """A layer of a class that needs no arguments."""
    kind = layer_family.registry.get(name)
    try:
        return kind()
    except Exception as error:
        source, cause = layer_family.registry.claimed(name).source, f"{type(error).__name__}: {error}"
        raise PluginError(f"layer {name!r} from {source} cannot be made without arguments: {cause}") from error


def _default_stack(params: dict[str, Any], input_shape: Shape) -> tuple[Layer, ...]:
    """Conv - [BatchNorm] - Activation - MaxPool per entry of filters, then Dense - Activation - [Dropout].

    Kernel and pool are clipped to the axis, so that it works on any image, a row of numbers too.
    """
    stack: list[Layer] = []
    shape = input_shape
    function, norm = params["activation"], params["batch_norm"]
    for filters in _sizes(params["filters"]):
        kernel = _clipped(params["kernel_size"], shape, params["padding"])
        stack.append(Conv2D(filters, kernel, padding=params["padding"], bias=not norm))
        shape = stack[-1].output_shape(shape)
        stack += [BatchNorm()] if norm else []
        stack.append(Activation(function))
        pool = _clipped(params["pool_size"], shape, "valid")
        if pool != (1, 1):
            stack.append(MaxPool2D(pool))
            shape = stack[-1].output_shape(shape)
    stack.append(Flatten())
    for units in _sizes(params["hidden_layer_sizes"]):
        stack += [Dense(units), Activation(function)]
        stack += [Dropout(float(params["dropout"]))] if params["dropout"] else []
    return tuple(stack)


def _sizes(value: Any) -> list[int]:
    """One size or several as a list."""
    return [int(size) for size in ([value] if isinstance(value, Integral) else value)]


def _clipped(size: int | Pair, shape: Shape, padding: Padding) -> Pair:
    """A window that is no larger than the axes with their padding."""
    height, width = as_image_sizes(tuple(size) if isinstance(size, list) else size, 2)
    sides = as_padding(padding)
    rows, columns = ((0, 0), (0, 0)) if isinstance(sides, str) else sides
    return min(int(height), shape[0] + sum(rows)), min(int(width), shape[1] + sum(columns))


def output_layer(n_outputs: int) -> Layer:
    """One unit per class, with Xavier's start: softmax follows."""
    return Dense(n_outputs, initializer="xavier_uniform")


def make_solver(params: dict[str, Any]) -> solvers.Solver:
    """The solver; with a name the estimator's scalar parameters apply."""
    made: solvers.Solver = _with_scalars(solvers.registry.resolve(params["solver"]), params["solver"], params)
    return made


def make_schedule(params: dict[str, Any]) -> schedules.Schedule:
    """The schedule; with a name the estimator's scalar parameters apply."""
    chosen = params["learning_rate"]
    made: schedules.Schedule = _with_scalars(schedules.registry.resolve(chosen), chosen, params)
    return made


def _with_scalars(made: Any, value: Any, params: dict[str, Any]) -> Any:
    scalars = _SCALARS.get(value, {}) if isinstance(value, str) else {}
    return made.set_params(**{theirs: params[ours] for theirs, ours in scalars.items()}) if scalars else made
