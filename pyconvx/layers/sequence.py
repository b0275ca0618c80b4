"""Layers one after the other: names, shapes, parameters, and the passes through them.

The network and the layers that are made of layers share it. Names count per class, ``conv2d_1``,
``conv2d_2``; parameters carry the path, ``residual_1.conv2d_2.kernel``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pyconvx._core.types import FloatArray, Shape
from pyconvx.exceptions import PluginError
from pyconvx.layers.base import Arrays, Layer, ParameterSpec, has_capability
from pyconvx.layers.context import Context
from pyconvx.layers.fusion import Step, fuse
from pyconvx.layers.guarded import announced_parameters, announced_shape

Layers = Sequence[Layer]


def layer_names(layers: Layers) -> tuple[str, ...]:
    """Return names: the class in lower case and the number among its kind, from 1."""
    seen: Counter[str] = Counter()
    names = []
    for layer in layers:
        kind = type(layer).__name__.lower()
        seen[kind] += 1
        names.append(f"{kind}_{seen[kind]}")
    return tuple(names)


def output_shapes(layers: Layers, input_shape: Shape) -> list[Shape]:
    """Return the shape after each layer; an error names the layer's place and its input."""
    shapes = []
    for i, layer in enumerate(layers):
        try:
            input_shape = announced_shape(layer, input_shape)
        except (ValueError, TypeError) as error:
            kind = next(kind for kind in (PluginError, ValueError, TypeError) if isinstance(error, kind))
            raise kind(f"layer {i}, {layer}, cannot take input of shape {input_shape}: {error}") from error
        shapes.append(input_shape)
    return shapes


def sequence_parameters(layers: Layers, input_shape: Shape) -> dict[str, ParameterSpec]:
    """Return all parameters, by path."""
    shapes = [input_shape, *output_shapes(layers, input_shape)]
    return {
        f"{name}.{key}": spec
        for name, layer, shape in zip(layer_names(layers), layers, shapes[:-1], strict=True)
        for key, spec in announced_parameters(layer, shape, name).items()
    }


def fewest_rows(layers: Layers, input_shape: Shape, scope: str = "") -> tuple[int, str]:
    """Return the rows that a batch needs for every layer to learn, and the path of the layer that needs them."""
    needs = [(1, "")]
    shapes = [input_shape, *output_shapes(layers, input_shape)]
    for name, layer, shape in zip(layer_names(layers), layers, shapes[:-1], strict=True):
        if has_capability(layer, "fewest_rows"):
            needs.append((int(layer.fewest_rows(shape)), scope + name))
        for i, path in enumerate(layer.parts() if hasattr(layer, "parts") else ()):
            needs.append(fewest_rows(path, shape, f"{scope}{name}.{path_scope(layer, i)}"))
    return max(needs, key=lambda need: need[0])


def below(arrays: Arrays, name: str) -> dict[str, Any]:
    """Return the arrays of one layer, by their names within it."""
    start = name + "."
    return {key[len(start) :]: value for key, value in arrays.items() if key.startswith(start)}


def arrays_of_path(arrays: Arrays, layer: Any, i: int) -> Arrays:
    """Return the arrays of path i of a layer that is made of others, by their names on the path."""
    scope = path_scope(layer, i)
    return below(arrays, scope.removesuffix(".")) if scope else arrays


def path_scope(layer: Any, i: int) -> str:
    """Return the prefix of names on path i of a layer that is made of others, such as ``skip.``."""
    name: str = layer.path_names()[i] if hasattr(layer, "path_names") else ("skip" if i else "")
    return f"{name}." if name else ""


def by_layer(arrays: Arrays) -> dict[str, dict[str, Any]]:
    """Return the arrays of each layer, by their names within it."""
    found: dict[str, dict[str, Any]] = {}
    for path, value in arrays.items():
        name, _, key = path.partition(".")
        found.setdefault(name, {})[key] = value
    return found


def leaves(layers: Layers, scope: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield every layer that is not made of others, with its path, in the order in which data pass them."""
    for name, layer in zip(layer_names(layers), layers, strict=True):
        parts = layer.parts() if hasattr(layer, "parts") else ()
        if not parts:
            yield scope + name, layer
        for i, path in enumerate(parts):
            yield from leaves(path, f"{scope}{name}.{path_scope(layer, i)}")


def steps_of(layers: Layers) -> tuple[Step, ...]:
    """Return the fused steps; names of activations are looked up each time: they may be registered anew."""
    resolved = tuple(layer.resolved() if isinstance(layer, Layer) else layer for layer in layers)
    try:
        return _steps(resolved)
    except TypeError:  # a layer that holds somebody's unhashable object
        return fuse(resolved, layer_names(resolved))


@functools.lru_cache(maxsize=1024)
def _steps(layers: tuple[Layer, ...]) -> tuple[Step, ...]:
    return fuse(layers, layer_names(layers))


def sequence_forward(layers: Layers, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
    """Run the steps in order; the tape holds them and what they keep for backward."""
    tape, arrays = [], by_layer(params)
    for step in steps_of(layers):
        name = step.names[0]
        x, cache = step.layer.forward(x, arrays.get(name, {}), context.within(name))
        tape.append((step, cache))
    return x, tape


def sequence_backward(
    dy: FloatArray, tape: Any, params: Arrays, grads: Arrays, context: Context, overwrite: bool = False
) -> FloatArray | None:
    """Run the steps' backward; without needs_dx the first computes no dx. Without `overwrite` dy stays."""
    dx: FloatArray | None = dy
    given, arrays, gradients = dy, by_layer(params), by_layer(grads)
    inner = dataclasses.replace(context, needs_dx=True)
    for i, (step, cache) in reversed(list(enumerate(tape))):
        name = step.names[0]
        if step.overwrites and not overwrite and np.may_share_memory(dy, given):
            copy = context.take(dy.shape, dy.dtype)  # what was given, another path reads again
            context.run(np.copyto, copy, dy)
            dy = copy
        within = (inner if i else context).within(name)
        dx = step.layer.backward(dy, cache, arrays.get(name, {}), gradients.get(name, {}), within)
        dy = dy if dx is None else dx
    return dx
