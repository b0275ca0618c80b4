"""Weights that a new network takes over from another one, or from the user."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from pyconvx._core.caller import warn_caller
from pyconvx._core.types import Array
from pyconvx.exceptions import TrainingWarning
from pyconvx.network import Network


def is_source(value: Any) -> bool:
    """Return whether weights can be taken from this."""
    if isinstance(value, Mapping):
        return all(isinstance(name, str) for name in value)
    return value is None or isinstance(value, (str, os.PathLike, Network)) or hasattr(value, "get_params")


def arrays_for(network: Network, source: Any, load: Callable[[Any], Any]) -> Mapping[str, Array]:
    """Return what a network can take over from a source.

    Parameters
    ----------
    network : Network
    source : mapping, estimator, Network or path
        Of a mapping everything is taken; of a network what has the same name and shape, except the last layer.
    load : callable
        Reads a model file.

    Raises
    ------
    NotFittedError
        If an estimator is not fitted.
    ValueError
        If nothing fits.

    Warns
    -----
    TrainingWarning
        If an array has the name of one here, and another shape.
    """
    if isinstance(source, Mapping):
        return {name: np.asarray(array) for name, array in source.items()}
    given = _network_of(source, load)
    own = network.parameters
    there = {name: array for name, array in given.parameters.items() if name.split(".")[0] != given.names[-1]}
    fitting = {name: array for name, array in there.items() if name in own and own[name].shape == array.shape}
    if not fitting:
        raise ValueError(
            f"init_from: nothing has a name and shape of this network: {_shapes(there)} there, {_shapes(own)} here"
        )
    others = [name for name in there if name in own and name not in fitting]
    if others:
        words = ", ".join(f"{name} {there[name].shape} ({own[name].shape} here)" for name in others)
        warn_caller(f"init_from: these have another shape and begin anew: {words}", TrainingWarning)
    return fitting


def numbers_of(source: Any) -> list[Array]:
    """Return what tells one source from another, for a fingerprint."""
    if isinstance(source, (str, os.PathLike)):
        return [np.fromfile(source, np.uint8)]
    if isinstance(source, Mapping):
        return [np.asarray(source[name]) for name in sorted(source)]
    network = source if isinstance(source, Network) else getattr(source, "network_", None)
    return [np.empty(0)] if network is None else [network.buffer, network.state_buffer]


def _network_of(source: Any, load: Callable[[Any], Any]) -> Network:
    """Return the network of an estimator or a file."""
    if isinstance(source, (str, os.PathLike)):
        source = load(source)
    if isinstance(source, Network):
        return source
    network = getattr(source, "network_", None)
    if not isinstance(network, Network):
        raise NotFittedError(
            f"init_from={type(source).__name__}: it is not fitted. A clone, as searches make them, loses what was "
            "learnt: pass its network_, or its model file"
        )
    return network


def _shapes(arrays: Mapping[str, Array]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in arrays.items())[:1000]
