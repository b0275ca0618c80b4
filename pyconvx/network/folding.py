"""Batch norm folded into the layer before it, for predicting.

With running statistics a batch norm is y = scale * (x - mean) + beta, scale = gamma / sqrt(variance + eps).
Behind a layer whose outputs are sums of products, scale goes into its kernel and the rest into its bias.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from pyconvx._core.types import Array
from pyconvx.layers import BatchNorm, Conv2D, Dense, DepthwiseConv2D, Layer, Residual
from pyconvx.layers.base import Arrays
from pyconvx.layers.sequence import below, layer_names

_FOLDABLE = {Conv2D: "kernel", DepthwiseConv2D: "kernel", Dense: "weights"}  # channels come last


def folded(layers: Sequence[Layer], params: Arrays) -> tuple[tuple[Layer, ...], dict[str, Array]]:
    """Layers and arrays by path that give the same predictions, up to rounding, with fewer batch norms."""
    found: list[tuple[Layer, dict[str, Array]]] = []
    for name, layer in zip(layer_names(layers), layers, strict=True):
        own = below(params, name)
        if type(layer) is BatchNorm and found and type(found[-1][0]) in _FOLDABLE:
            found[-1] = _with_norm(*found[-1], layer, own)
        elif type(layer) is Residual:
            found.append(_inside(layer, own))
        else:
            found.append((layer, own))
    kept = tuple(layer for layer, _ in found)
    arrays: dict[str, Array] = {}
    for name, (_, own) in zip(layer_names(kept), found, strict=True):
        arrays |= {f"{name}.{key}": value for key, value in own.items()}
    return kept, arrays


def _inside(layer: Residual, params: Arrays) -> tuple[Layer, dict[str, Array]]:
    """The same on both paths of a block."""
    main, arrays = folded(layer.layers, {k: v for k, v in params.items() if not k.startswith("skip.")})
    skip, others = folded(layer.skip, below(params, "skip"))
    block = dataclasses.replace(layer, layers=main, skip=skip)
    return block, arrays | {f"skip.{key}": value for key, value in others.items()}


def _with_norm(
    layer: Layer, params: dict[str, Array], norm: BatchNorm, statistics: Arrays
) -> tuple[Layer, dict[str, Array]]:
    """One layer that does what both did; computed in double precision."""
    key = _FOLDABLE[type(layer)]
    kernel = params[key]
    wide = {name: np.asarray(value, np.float64) for name, value in statistics.items()}
    scale = wide["gamma"] / np.sqrt(wide["running_variance"] + norm.eps)
    bias = scale * (params.get("bias", 0.0) - wide["running_mean"]) + wide["beta"]
    changed = {key: kernel * scale, "bias": bias}
    return dataclasses.replace(layer, bias=True), {k: v.astype(kernel.dtype) for k, v in changed.items()}  # type: ignore[call-arg]
