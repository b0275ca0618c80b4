"""Layers one behind the other: names, shapes, parameters, and the pass through them.

The network and the layers that are made of layers (Residual, SeparableConv2D) share it. Names count per
class, ``conv2d_1``, ``conv2d_2``; parameters carry the path, ``residual_1.conv2d_2.kernel``.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pyconvx._types import FloatArray, Shape
from pyconvx.layers.base import Arrays, Context, Layer, ParameterSpec

Layers = Sequence[Layer]


def layer_names(layers: Layers) -> tuple[str, ...]:
    """The class name in lower case and its number among its kind, from 1."""
    seen: Counter[str] = Counter()
    names = []
    for layer in layers:
        kind = type(layer).__name__.lower()
        seen[kind] += 1
        names.append(f"{kind}_{seen[kind]}")
    return tuple(names)


def output_shapes(layers: Layers, input_shape: Shape) -> list[Shape]:
    """The shape behind each layer; an error names the layer's place and its input."""
    shapes = []
    for i, layer in enumerate(layers):
        try:
            input_shape = layer.output_shape(input_shape)
        except (ValueError, TypeError) as error:
            raise type(error)(f"layer {i}, {layer}, cannot take input of shape {input_shape}: {error}") from error
        shapes.append(input_shape)
    return shapes


def sequence_parameters(layers: Layers, input_shape: Shape) -> dict[str, ParameterSpec]:
    """All parameters, by path."""
    shapes = [input_shape, *output_shapes(layers, input_shape)]
    return {
        f"{name}.{key}": spec
        for name, layer, shape in zip(layer_names(layers), layers, shapes[:-1], strict=True)
        for key, spec in layer.parameters(shape).items()
    }


def below(arrays: Arrays, name: str) -> dict[str, Any]:
    """The arrays of one layer, by their names within it."""
    start = name + "."
    return {key[len(start) :]: value for key, value in arrays.items() if key.startswith(start)}


def sequence_forward(layers: Layers, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
    """Run layer by layer; the cache holds theirs."""
    caches = []
    for name, layer in zip(layer_names(layers), layers, strict=True):
        x, cache = layer.forward(x, below(params, name), context.within(name))
        caches.append(cache)
    return x, caches


def sequence_backward(
    layers: Layers, dy: FloatArray, caches: Any, params: Arrays, grads: Arrays, context: Context
) -> FloatArray | None:
    """Run backward; without needs_dx the first layer makes no dx."""
    dx: FloatArray | None = dy
    inner = dataclasses.replace(context, needs_dx=True)
    for i, name in reversed(list(enumerate(layer_names(layers)))):
        within = (inner if i else context).within(name)
        dx = layers[i].backward(dy, caches[i], below(params, name), below(grads, name), within)
        dy = dy if dx is None else dx
    return dx


def leaves(layers: Layers, scope: str = "") -> Iterator[tuple[str, Layer]]:
    """Every layer that is not made of others, with its path, in the order of the data's way."""
    for name, layer in zip(layer_names(layers), layers, strict=True):
        inner = layer.parts() if hasattr(layer, "parts") else ()
        if not inner:
            yield scope + name, layer
        for i, part in enumerate(inner):
            yield from leaves(part, f"{scope}{name}.{part_scope(i)}")


def part_scope(i: int) -> str:
    """Prefix of the names on path i of a layer made of others: none on the first, ``skip.`` on the other."""
    return "skip." if i else ""
