"""Layers, solver and schedule from the constructor's parameters."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from sklearn.base import clone

from pyconvx import activations, architectures, losses, schedules, solvers
from pyconvx import layers as layer_family
from pyconvx._core.numbers import as_tuples
from pyconvx._core.types import Shape
from pyconvx.estimators.constraints import listed
from pyconvx.estimators.default_stack import default_stack
from pyconvx.exceptions import PluginError
from pyconvx.layers import Activation, Dense, Dropout, Flatten, Layer
from pyconvx.layers.sequence import output_shapes
from pyconvx.registry.guard import unguarded
from pyconvx.training import LBFGS

# With the name of a solver or schedule, these parameters of the estimator apply: theirs -> ours.
_SCALARS = {
    "sgd": {"momentum": "momentum", "nesterov": "nesterovs_momentum"},
    "adam": {"beta_1": "beta_1", "beta_2": "beta_2", "epsilon": "epsilon"},
    "adamw": {"beta_1": "beta_1", "beta_2": "beta_2", "epsilon": "epsilon"},
    "rmsprop": {"epsilon": "epsilon"},
    "invscaling": {"power_t": "power_t"},
}

_SEQUENCES = ("filters", "kernel_size", "pool_size", "padding", "hidden_layer_sizes")
_SMOOTHING = "label_smoothing"


def hidden_layers(params: dict[str, Any], input_shape: Shape) -> tuple[Layer, ...]:
    """Return everything before the output layer, flat at its end."""
    params = params | {name: as_tuples(params[name]) for name in _SEQUENCES}
    given = params["layers"]
    if given is None:
        return default_stack(params, input_shape, norm=not is_full_batch(params["solver"]))
    if listed(given) is None:  # an architecture, or the name of one
        given = architectures.registry.resolve(given).layers(input_shape)
    chosen = _given(given, input_shape)
    return chosen if _is_flat(chosen, input_shape) else (*chosen, Flatten())


def _of_other_axes(layers: Sequence[Layer], spatial_dims: int) -> str:
    """Return for a message which layer is for samples with another number of axes, and the way out."""
    for layer in layers:
        axes = getattr(layer, "axes", spatial_dims)
        if axes != spatial_dims and axes in (1, 2):
            kind = type(layer).__name__
            return f"; {kind} needs spatial_dims={axes}, this estimator has spatial_dims={spatial_dims}"
    return ""


def _is_flat(layers: Sequence[Layer], input_shape: Shape) -> bool:
    """Return whether layers give one vector per sample; an error says if they need another `spatial_dims`."""
    try:
        return len([input_shape, *output_shapes(layers, input_shape)][-1]) == 1
    except ValueError as error:
        hint = _of_other_axes(layers, len(input_shape) - 1)
        if not hint:
            raise
        raise ValueError(f"{error}{hint}") from error


def _given(values: Sequence[Any], input_shape: Shape) -> tuple[Layer, ...]:
    """Return the user's layers, given as values or as names; Flatten is added before the first Dense if needed."""
    chosen: list[Layer] = []
    for value in values:
        layer: Any = _named(value) if isinstance(value, str) else value
        try:
            layer_family.verify_layer(layer)
        except TypeError as error:
            raise TypeError(f"layers must hold layers or their names, got {value!r}: {error}") from None
        if isinstance(layer, type):
            raise TypeError(f"layers must hold layers or their names, got the class {layer.__name__}: call it")
        if isinstance(layer, Dense) and not _is_flat(chosen, input_shape):
            chosen.append(Flatten())
        chosen.append(layer)
    _refuse_output(chosen)
    return tuple(chosen)


def _refuse_output(given: Sequence[Layer]) -> None:
    """Refuse layers that end in an output layer, as other libraries want them: there would be two of them."""
    last = given[-1] if given else None
    if not isinstance(last, Activation):
        return
    dense = next((layer for layer in given[-2::-1] if not isinstance(layer, Dropout)), None)
    function = unguarded(activations.registry.resolve(last.activation))
    single = isinstance(dense, Dense) and dense.units == 1 and function == activations.sigmoid
    if single or isinstance(function, (activations.Softmax, activations.LogSoftmax)):
        named = f"{dense}, {last}" if isinstance(dense, Dense) else f"{last}"
        raise ValueError(
            f"layers end with {named}, which looks like an output layer, but the estimator adds the output layer "
            "itself, with its activation: leave these out"
        )


def _named(name: str) -> Layer:
    """Return a layer of a class that needs no arguments."""
    kind = layer_family.registry.get(name)
    try:
        return kind()
    except Exception as error:
        source, cause = layer_family.registry.claimed(name).source, f"{type(error).__name__}: {error}"
        raise PluginError(f"layer {name!r} from {source} cannot be made without arguments: {cause}") from error


def frozen_names(value: Any) -> tuple[str, ...]:
    """Return one name or several as a tuple."""
    return (value,) if isinstance(value, str) else tuple(str(name) for name in value)


def output_layer(n_outputs: int) -> Layer:
    """Return a dense layer with one unit per output, with Xavier's start: the loss's link follows."""
    return Dense(n_outputs, initializer="xavier_uniform")


def make_loss(loss: Any, label_smoothing: float = 0.0) -> losses.Loss:
    """Return the loss; `label_smoothing` applies if the loss, given by name or as an object, has such a field.

    Raises
    ------
    ValueError
        If the loss has no such field, or says something else itself.
    """
    made: losses.Loss = losses.registry.resolve(loss)
    if not label_smoothing:
        return made
    plugin = unguarded(made)
    own = getattr(plugin, _SMOOTHING, None)
    settable = hasattr(plugin, "set_params") or dataclasses.is_dataclass(plugin)
    if own is None or not settable:
        raise ValueError(
            f"label_smoothing={label_smoothing!r}, but loss={loss!r} has no parameter of that name: set "
            "label_smoothing=0, or take a loss that has it, such as 'cross_entropy'"
        )
    if own not in (0, label_smoothing):
        raise ValueError(
            f"label_smoothing={label_smoothing!r}, but loss={loss!r} says {own!r}: give one of them only"
        )
    if hasattr(plugin, "set_params"):
        return losses.registry.resolve(clone(plugin).set_params(**{_SMOOTHING: label_smoothing}))
    return losses.registry.resolve(dataclasses.replace(plugin, **{_SMOOTHING: label_smoothing}))


def is_full_batch(solver: Any) -> bool:
    """Return whether a solver parameter asks for L-BFGS, which needs all rows at once."""
    return isinstance(solver, str) and solver == "lbfgs"


def make_solver(params: dict[str, Any]) -> Any:
    """Return the solver, or what stands for L-BFGS; with a name the estimator's scalar parameters apply."""
    if is_full_batch(params["solver"]):
        return LBFGS()
    made: solvers.Solver = _with_scalars(solvers.registry.resolve(params["solver"]), params["solver"], params)
    return made


def make_schedule(params: dict[str, Any]) -> schedules.Schedule:
    """Return the schedule; with a name the estimator's scalar parameters apply."""
    chosen = params["learning_rate"]
    made: schedules.Schedule = _with_scalars(schedules.registry.resolve(chosen), chosen, params)
    return made


def _with_scalars(made: Any, value: Any, params: dict[str, Any]) -> Any:
    scalars = _SCALARS.get(value, {}) if isinstance(value, str) else {}
    return made.set_params(**{theirs: params[ours] for theirs, ours in scalars.items()}) if scalars else made
