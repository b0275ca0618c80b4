"""Batch norm folded into the layer before it, for predicting.

With running statistics a batch norm is an affine map of each channel (`Layer.affine`). A layer whose outputs
are sums of products takes such a map into its parameters (`Layer.absorb`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyconvx._core.types import Array
from pyconvx.layers import Layer
from pyconvx.layers.base import Arrays, has_capability
from pyconvx.layers.sequence import arrays_of_path, below, layer_names, path_scope


def folded(layers: Sequence[Layer], params: Arrays) -> tuple[tuple[Layer, ...], dict[str, Array]]:
    """Return layers and arrays, by path, that give the same predictions up to rounding with fewer batch norms."""
    found: list[tuple[Any, dict[str, Array]]] = []
    for name, layer in zip(layer_names(layers), layers, strict=True):
        arrays = below(params, name)
        joined = _absorbed(found[-1], layer, arrays) if found else None
        if joined is not None:
            found[-1] = joined
        else:
            found.append(_with_folded_paths(layer, arrays))
    remaining = tuple(layer for layer, _ in found)
    named: dict[str, Array] = {}
    for name, (_, arrays) in zip(layer_names(remaining), found, strict=True):
        named |= {f"{name}.{key}": value for key, value in arrays.items()}
    return remaining, named


def _absorbed(
    before: tuple[Any, dict[str, Array]], layer: Any, arrays: dict[str, Array]
) -> tuple[Any, dict[str, Array]] | None:
    """Return the layer before with this one inside it; None if that is impossible."""
    if not (has_capability(layer, "affine") and has_capability(before[0], "absorb")):
        return None
    affine = layer.affine(arrays)
    return None if affine is None else before[0].absorb(before[1], affine)


def _with_folded_paths(layer: Any, params: dict[str, Array]) -> tuple[Any, dict[str, Array]]:
    """Do the same on each path of a layer that is made of others."""
    if not (has_capability(layer, "with_parts") and layer.parts()):
        return layer, params
    paths: list[tuple[Layer, ...]] = []
    arrays: dict[str, Array] = {}
    for i, path in enumerate(layer.parts()):
        inner, found = folded(path, arrays_of_path(params, layer, i))
        paths.append(inner)
        arrays |= {path_scope(layer, i) + key: value for key, value in found.items()}
    return layer.with_parts(tuple(paths)), arrays
