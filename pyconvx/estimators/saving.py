"""What an estimator keeps in a file, and how it comes back: its parameters, its network, the state of training."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import numpy as np

from pyconvx._core.types import Array
from pyconvx.exceptions import ModelFileError
from pyconvx.layers import Activation, verify_layer
from pyconvx.layers.sequence import leaves
from pyconvx.network import Network
from pyconvx.persistence import Reader, Writer
from pyconvx.registry.families import FAMILIES
from pyconvx.training import BestWeights, TrainingState, Weights

W = TypeVar("W", bound=Weights)

NOT_SAVED = ("checkpoint", "resume", "init_from")  # where a fit is stored and where it began, not what it learns
_TRAINING = "training."  # what arrays of the state of training are called
_BEST, _LATEST = _TRAINING, _TRAINING + "latest."  # and of the weights in it


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _is_number(value: Any) -> bool:
    return type(value) is float


def _is_curve(value: Any) -> bool:
    return type(value) is list and all(map(_is_number, value))


def _or_none(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or rule(value)


# fitted attributes that do not follow from the network or belong to the targets, and what they must be
_ATTRIBUTES: dict[str, Callable[[Any], bool]] = {
    "n_features_in_": _is_count,
    "feature_names_in_": lambda value: isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype == object,
    "scales_uint8_": lambda value: type(value) is bool,
    "input_scale_": lambda value: type(value) is float and 0 < value < math.inf,
    "n_iter_": _is_count,
    "t_": _is_count,
    "loss_": _is_number,
    "best_loss_": _or_none(_is_number),
    "loss_curve_": _is_curve,
    "validation_scores_": _or_none(_is_curve),
    "best_validation_score_": _or_none(_is_number),
}
_OPTIONAL = {"feature_names_in_", "input_scale_", "multilabel_"}
_STATE: dict[str, Callable[[Any], bool]] = {
    "seed": _is_count,
    "solver": lambda value: isinstance(value, str),
    "epoch": _is_count,
    "step": _is_count,
    "samples_seen": _is_count,
    "stalls": _is_count,
    "no_improvement": _is_count,
    "best_loss": _is_number,
    "best_score": _is_number,
    "loss_curve": _is_curve,
    "validation_scores": _is_curve,
    "averaged": _is_count,
}
_LATER = {"averaged": 0}  # what files from before such a thing existed stand for


def _attributes_of(kind: Any) -> dict[str, Callable[[Any], bool]]:
    """Return the rules of the fitted attributes of an estimator."""
    return _ATTRIBUTES | dict(kind._target_type.attributes)


def saved(estimator: Any, *, for_training: bool = True) -> tuple[Any, dict[str, Array]]:
    """Return document and arrays of a fitted estimator; the solver's memory only `for_training`."""
    writer, network, state = Writer(), estimator.network_, estimator._state
    parameters = estimator.get_params(deep=False)
    document = {
        "estimator": type(estimator).__name__,
        "parameters": {
            name: writer.write(value, name) for name, value in parameters.items() if name not in NOT_SAVED
        },
        "attributes": {
            name: writer.write(_plain(getattr(estimator, name)), name)
            for name in _attributes_of(estimator)
            if hasattr(estimator, name)
        },
        "network": {
            "layers": writer.write(network.layers, "layers"),
            "input_shape": list(network.input_shape),
            "frozen": list(network.frozen),
            "dtype": network.dtype.name,
        },
        "training": {name: writer.write(_plain(getattr(state, name)), name) for name in _STATE},
    }
    for family in FAMILIES.values():
        value = getattr(estimator, family.parameter)
        if family.one and isinstance(value, str) and value not in ("auto", "lbfgs"):
            writer.named(family.name, value)
    for _, layer in leaves(network.layers):
        if isinstance(layer, Activation) and isinstance(layer.activation, str):
            writer.named("activations", layer.activation)
    document["plugins"] = sorted([*plugin, *source] for plugin, source in writer.plugins.items())
    arrays = dict(writer.arrays) | dict(network.parameters)
    if for_training:
        arrays[_TRAINING + "slots"] = state.slots
    for kept, prefix in ((state.best, _BEST), (state.latest, _LATEST)):
        if for_training and kept is not None:
            arrays |= {prefix + key: value for key, value in vars(kept).items()}
    return document, arrays


def restored(kinds: Mapping[str, Any], document: Any, arrays: dict[str, Array]) -> Any:
    """Return the estimator of a document and arrays; ModelFileError if they do not fit together."""
    try:
        return _restored(kinds, document, dict(arrays))
    except (KeyError, TypeError, AttributeError, RecursionError, OverflowError, MemoryError) as error:
        raise ModelFileError(f"it holds no estimator: {type(error).__name__}: {error}") from error


def _restored(kinds: Mapping[str, Any], document: Any, arrays: dict[str, Array]) -> Any:
    if document["estimator"] not in kinds:
        raise ModelFileError(f"it holds no estimator, but {str(document['estimator'])[:80]!r}")
    reader = Reader(arrays, document["plugins"])
    parameters = {name: reader.read(value) for name, value in document["parameters"].items()}
    estimator = kinds[document["estimator"]](**parameters)
    if "averaging" in estimator.get_params(deep=False).keys() - parameters.keys():
        estimator.averaging = None  # a file of old
    attributes = {name: reader.read(value) for name, value in document["attributes"].items()}
    _check(attributes, _attributes_of(estimator), _OPTIONAL)
    state = _LATER | {name: reader.read(value) for name, value in document["training"].items()}
    _check(state, _STATE)
    beside = {name: arrays.pop(name) for name in list(arrays) if name.startswith((_TRAINING, "values."))}
    network = _network(document["network"], estimator.spatial_dims, reader, arrays)
    estimator.network_, estimator._state = network, _training_state(state, beside, network)
    if estimator.early_stopping and _TRAINING + "slots" not in beside and state["validation_scores"]:
        # written without the solver's memory: the weights are the best ones
        estimator._state.best = BestWeights.of(network)
    estimator.input_shape_ = network.input_shape
    attributes.setdefault("input_scale_", 1 / 255 if attributes["scales_uint8_"] else 1.0)  # a file of old
    if "multilabel_" in _attributes_of(estimator):
        attributes.setdefault("multilabel_", False)
    for name, value in attributes.items():
        setattr(estimator, name, value)
    estimator.n_parameters_, estimator.n_layers_ = network.n_parameters, len(network.layers)
    targets = estimator._target_type.of(estimator)
    estimator.n_outputs_, estimator.out_activation_ = targets.n_outputs, targets.out_activation
    estimator._check_parameters()
    _check_whole(estimator)
    return estimator


def _network(stored: Any, spatial_dims: int, reader: Reader, arrays: dict[str, Array]) -> Network:
    """Return the network that a document describes, of these arrays."""
    shape = stored["input_shape"]
    n, words = (2, "two") if spatial_dims == 1 else (3, "three")
    if not (isinstance(shape, list) and len(shape) == n and all(_is_count(size) and size for size in shape)):
        raise ModelFileError(f"input_shape must be {words} sizes, got {shape!r}")
    if not (isinstance(stored["frozen"], list) and all(isinstance(name, str) for name in stored["frozen"])):
        raise ModelFileError(f"frozen must be names, got {stored['frozen']!r}")
    if stored["dtype"] not in ("float32", "float64"):
        raise ModelFileError(f"dtype must be 'float32' or 'float64', got {stored['dtype']!r}")
    layers = reader.read(stored["layers"])
    for layer in {type(layer): layer for layer in layers}.values():  # one of each: it takes its time
        verify_layer(layer)
    return Network.from_arrays(layers, tuple(shape), arrays, dtype=stored["dtype"], frozen=stored["frozen"])


def _check(
    values: Mapping[str, Any], rules: Mapping[str, Callable[[Any], bool]], optional: Collection[str] = ()
) -> None:
    """Refuse a table with other names, or with values that break their rule."""
    if not rules.keys() - set(optional) <= values.keys() <= rules.keys():
        raise ModelFileError(f"it names {', '.join(sorted(values))[:200]}, expected {', '.join(sorted(rules))}")
    for name, value in values.items():
        if not rules[name](value):
            raise ModelFileError(f"{name} cannot be {str(value)[:80]}")


def _training_state(values: dict[str, Any], arrays: dict[str, Array], network: Network) -> TrainingState:
    """Return the state of training, with copies of the solver's memory and of what weights the file has."""
    slots = np.array(arrays.get(_TRAINING + "slots", np.empty((0, network.n_trainable), network.dtype)))
    if slots.ndim != 2 or slots.shape[1] != network.n_trainable or slots.dtype != network.dtype:
        raise ModelFileError(f"the solver's memory has shape {slots.shape}, {slots.dtype}")
    best = _weights(BestWeights, _BEST, arrays, network)
    latest = _weights(Weights, _LATEST, arrays, network)
    if latest is None:
        values = values | {"averaged": 0}  # training goes on from the mean
    return TrainingState(slots=slots, best=best, latest=latest, **values)


def _weights(kind: type[W], prefix: str, arrays: dict[str, Array], network: Network) -> W | None:
    """Return a copy of weights that the file holds beside those of the network."""
    if prefix + "buffer" not in arrays:
        return None
    kept = kind(np.array(arrays[prefix + "buffer"]), np.array(arrays[prefix + "state_buffer"]))
    same = kept.buffer.shape == network.buffer.shape and kept.state_buffer.shape == network.state_buffer.shape
    if not same or {kept.buffer.dtype, kept.state_buffer.dtype} != {network.dtype}:
        raise ModelFileError(f"the weights {prefix}buffer are another network's")
    return kept


def _check_whole(estimator: Any) -> None:
    """Refuse parts that belong to different estimators."""
    network = estimator.network_
    targets = estimator._target_type.of(estimator)
    if network.output_shape != (targets.n_outputs,):
        raise ModelFileError(f"{targets}, but the network gives {network.output_shape}")
    size = math.prod(network.input_shape)
    if estimator.n_features_in_ not in (size, network.input_shape[0], network.input_shape[-1]):
        raise ModelFileError(f"{estimator.n_features_in_} features, but the network takes {network.input_shape}")
    if len(getattr(estimator, "feature_names_in_", ())) not in (0, size):
        raise ModelFileError(f"{len(estimator.feature_names_in_)} names for {estimator.n_features_in_} features")


def _plain(value: Any) -> Any:
    """Return NumPy's numbers as Python's, so that there is one rule for what is read."""
    if isinstance(value, np.generic):
        return value.item()
    return [_plain(item) for item in value] if isinstance(value, list) else value
