"""The arrays of a network: which there are, where they stand in the flat buffer, and how they start.

Order in the buffer: weights, then biases and norms, then what is frozen. So weight decay, a solver step
and saving are each one pass over one array.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx import activations, initializers
from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx.initializers import Dirac
from pyconvx.layers import Activation, Layer, ParameterSpec
from pyconvx.layers.sequence import leaves, sequence_parameters
from pyconvx.registry.guard import at, unguarded

Specs = dict[str, ParameterSpec]


class Layout:
    """Names, shapes and places of a network's arrays.

    Parameters
    ----------
    layers : sequence of layers
    input_shape : tuple of int
    frozen : collection of str
        Full names of parameters, or of layers, that training leaves alone.

    Attributes
    ----------
    parameters, states : dict
        Specs by full name, in the buffer's order.
    n_weights, n_trainable : int
        Numbers at the head of the buffer that decay, and that a solver moves.
    """

    def __init__(self, layers: Sequence[Layer], input_shape: Shape, frozen: Collection[str] = ()) -> None:
        specs = sequence_parameters(layers, input_shape)
        covered = {name: frozenset(_covering(name)) for name in specs}
        unknown = sorted(set(frozen).difference(*covered.values()))
        if unknown:
            raise ValueError(f"frozen names {unknown[:10]} match none of {', '.join(specs)[:2000]}")

        chosen = frozenset(frozen)

        def rank(name: str) -> int:
            if chosen & covered[name]:
                return 2
            return 0 if specs[name].kind == "weight" else 1

        names = sorted((n for n in specs if specs[n].kind != "state"), key=rank)
        self.parameters: Specs = {name: specs[name] for name in names}
        self.states: Specs = {name: spec for name, spec in specs.items() if spec.kind == "state"}
        sizes = {name: math.prod(spec.shape) for name, spec in specs.items()}
        self.n_weights = sum(sizes[name] for name in names if rank(name) == 0)
        self.n_trainable = sum(sizes[name] for name in names if rank(name) < 2)
        self.trainable = tuple(name for name in names if rank(name) < 2)
        self.fixed = tuple(name for name in specs if rank(name) == 2)
        self.size = sum(sizes[name] for name in names)
        self.state_size = sum(sizes[name] for name in self.states)

    def rates(self, factors: Mapping[str, float]) -> list[tuple[slice, float]]:
        """Return where trainable parameters stand whose steps have a factor, by names of layers or parameters.

        Raises
        ------
        ValueError
            If a name is none of the network's.
        """
        known = {part for name in (*self.parameters, *self.states) for part in _covering(name)}
        unknown = sorted(set(factors) - known)
        if unknown:
            raise ValueError(
                f"rate_factors names {unknown[:10]} match none of {', '.join(self.parameters)[:2000]}"
            )
        places, start = [], 0
        for name in self.trainable:
            stop = start + math.prod(self.parameters[name].shape)
            given = [factors[part] for part in _covering(name) if part in factors]
            if given:
                places.append((slice(start, stop), float(given[-1])))  # the longest name
            start = stop
        return places


def _covering(name: str) -> list[str]:
    """Return the names that stand for a parameter: its own, and those of the layers that contain it."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def views(buffer: npt.NDArray[Any], specs: Mapping[str, ParameterSpec]) -> dict[str, Array]:
    """Return each array as a view into the flat buffer."""
    result, offset = {}, 0
    for name, spec in specs.items():
        size = math.prod(spec.shape)
        result[name] = buffer[offset : offset + size].reshape(spec.shape)
        offset += size
    return result


def default_initializers(layers: Sequence[Layer]) -> dict[str, str]:
    """Return, by path, the initializer that the activation after a layer declares; Xavier's if none follows."""
    result: dict[str, str] = {}
    waiting: list[str] = []
    for path, layer in leaves(layers):
        waiting.append(path)
        if isinstance(layer, Activation):
            chosen = activations.initializer_of(layer.resolved().activation)
            result |= dict.fromkeys(waiting, chosen)
            waiting = []
    return result | dict.fromkeys(waiting, "xavier_uniform")


def initial_values(name: str, spec: ParameterSpec, default: object, trainable: bool, seed: int) -> FloatArray:
    """Return the starting values of one array; its random numbers depend on the seed and its name alone.

    Raises
    ------
    ValueError
        If a trainable kernel starts with filters that could never become different.
    PluginError
        If another package's initializer does not keep its contract.
    """
    chosen: Any = spec.initializer if spec.initializer is not None else default
    initializer = initializers.registry.resolve(chosen)
    rng = np.random.Generator(np.random.Philox(key=(seed << 64) + zlib.crc32(name.encode())))
    values = at(initializer, name)(spec.shape, spec.fan_in, spec.fan_out, rng)
    fixed = isinstance(unguarded(initializer), Dirac)
    if spec.kind == "weight" and trainable and values.size > 1 and not fixed:
        _refuse_symmetry(name, chosen, values)
    return values


def _refuse_symmetry(name: str, chosen: object, values: FloatArray) -> None:
    """Refuse filters that are all equal, which get equal gradients, or all zero, which ReLU passes no gradient."""
    layer = name.rpartition(".")[0]
    remedy = f"use a random initializer such as 'he_uniform', or freeze the layer with frozen=[{layer!r}]"
    if not values.any():
        raise ValueError(
            f"{name}: initializer {chosen!r} starts the kernel all zero, it would not learn: {remedy}"
        )
    if values.shape[-1] > 1 and (values == values[..., :1]).all():
        raise ValueError(
            f"{name}: initializer {chosen!r} starts all {values.shape[-1]} filters equal, they would stay "
            f"equal and learn one feature: {remedy}"
        )
