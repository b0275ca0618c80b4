"""Shapes and outputs of layers: an independent answer for the fuzz tests, by the oracle."""

import dataclasses

import activation_oracles
import numpy as np
import oracle
from fuzz_geometry import Windows, is_on
from fuzzing import both

from pyconvx import layers
from pyconvx.layers.sequence import below

ON_IMAGES = {
    layers.Conv1D: layers.Conv2D,
    layers.MaxPool1D: layers.MaxPool2D,
    layers.AvgPool1D: layers.AvgPool2D,
    layers.GlobalAvgPool1D: layers.GlobalAvgPool2D,
    layers.GlobalMaxPool1D: layers.GlobalMaxPool2D,
}


def on_images(layer):
    """Return the layer that does to images with one row what a layer does to signals."""
    fields = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)}
    for name, along_rows in {
        "kernel_size": 1,
        "pool_size": 1,
        "stride": 1,
        "dilation": 1,
        "padding": (0, 0),
    }.items():
        size = fields.get(name)
        if size is None or isinstance(size, str):
            continue
        size = size[0] if isinstance(size, tuple) and len(size) == 1 else size
        both_sides = name == "padding" and not isinstance(size, tuple)
        fields[name] = (along_rows, (size, size) if both_sides else size)
    return ON_IMAGES[type(layer)](**fields)


def windows_of(layer, shape):
    """Return the windows of a convolution or pool over images of a shape."""
    pool = hasattr(layer, "pool_size")
    size = both(layer.pool_size if pool else layer.kernel_size)
    options = {"stride": layer.stride or size, "padding": layer.padding, "dilation": getattr(layer, "dilation", 1)}
    return Windows(shape[:2], size, options, is_on(getattr(layer, "ceil_mode", False)))


def shape_behind(layer, shape):
    """Return the shape after a layer; None if it cannot take the input."""
    if isinstance(layer, (layers.Activation, layers.Dropout, layers.BatchNorm)):
        return shape
    if isinstance(layer, layers.Flatten):
        return (int(np.prod(shape, dtype=object)),)
    if isinstance(layer, layers.Dense):
        return (layer.units,) if len(shape) == 1 else None
    if isinstance(layer, layers.SqueezeExcite):
        return shape if len(shape) > 1 else None
    if isinstance(layer, (layers.Residual, layers.Bottleneck)):
        main, skip = [*ends_of(layer, shape), shape][:2]
        return main if main == skip else None
    if isinstance(layer, layers.Concat):
        ends = ends_of(layer, shape)
        if not all(ends) or len({end[:-1] for end in ends}) > 1:
            return None
        return (*ends[0][:-1], sum(end[-1] for end in ends))
    if type(layer) in ON_IMAGES:
        images = shape_behind(on_images(layer), (1, *shape)) if len(shape) == 2 else None
        return images and images[-2:]
    if len(shape) != 3:
        return None
    if isinstance(layer, (layers.GlobalAvgPool2D, layers.GlobalMaxPool2D)):
        return (shape[2],)
    w = windows_of(layer, shape)
    if shape[2] % getattr(layer, "groups", 1):
        return None
    if not all(w.out) or (hasattr(layer, "pool_size") and w.empty_faults()):
        return None
    channels = shape[2] * getattr(layer, "multiplier", 1)
    return (*w.out, getattr(layer, "filters", channels))


def ends_of(layer, shape):
    """Return the shape at the end of each path of a layer that is made of others; None for one that fails."""
    shapes = [[shape, *expected_shapes(path, shape)] for path in layer.parts()]
    return [
        found[-1] if len(found) > len(path) else None for found, path in zip(shapes, layer.parts(), strict=True)
    ]


def expected_shapes(chain, shape):
    """Return the shape after each layer, up to the first that cannot take its input."""
    shapes = []
    for layer in chain:
        shape = shape_behind(layer, shape)
        if shape is None:
            return shapes
        shapes.append(shape)
    return shapes


def slow_forward(layer, x, params):
    """Compute a layer's output outside training, by the oracle in float64."""
    if isinstance(layer, layers.Activation):
        return activation_oracles.VALUES[layer.activation](x)
    if isinstance(layer, layers.Dropout):
        return x
    if isinstance(layer, layers.Flatten):
        return x.reshape(len(x), -1)
    if isinstance(layer, layers.Dense):
        return x @ np.float64(params["weights"]) + np.float64(params.get("bias", 0))
    if isinstance(layer, layers.BatchNorm):
        p = {name: np.float64(array) for name, array in params.items()}
        return (x - p["running_mean"]) / np.sqrt(p["running_variance"] + layer.eps) * p["gamma"] + p["beta"]
    if type(layer) in ON_IMAGES:
        if "kernel" in params:
            params = dict(params) | {"kernel": params["kernel"][None]}
        y = slow_forward(on_images(layer), x[:, None], params)
        return y.reshape(len(x), *y.shape[-2:]) if y.ndim == 4 else y
    if isinstance(layer, layers.GlobalAvgPool2D):
        return oracle.global_avg_pool2d(x)
    if isinstance(layer, layers.GlobalMaxPool2D):
        return x.max((1, 2))
    if isinstance(layer, layers.Concat):
        ends = [slow_chain(path, x, below(params, f"path_{i}")) for i, path in enumerate(layer.paths, 1)]
        return np.concatenate(ends, axis=-1)
    if isinstance(layer, layers.SqueezeExcite):
        p = {name: np.float64(array) for name, array in params.items()}
        means = x.mean(tuple(range(1, x.ndim - 1)))
        hidden = np.maximum(means @ p["dense_1.weights"] + p["dense_1.bias"], 0)
        factors = 1 / (1 + np.exp(-(hidden @ p["dense_2.weights"] + p["dense_2.bias"])))
        return x * factors.reshape(len(x), *[1] * (x.ndim - 2), -1)
    if isinstance(layer, (layers.Residual, layers.Bottleneck, layers.SeparableConv2D)):
        paths = layer.parts()
        y = slow_chain(paths[0], x, params)
        if isinstance(layer, layers.SeparableConv2D):
            return y
        return y + (slow_chain(paths[1], x, below(params, "skip")) if len(paths) > 1 else x)
    w = windows_of(layer, x.shape[1:])
    if isinstance(layer, layers.MaxPool2D):
        return oracle.max_pool2d(x, w.kernel_size, w.stride, w.padding, w.dilation, layer.ceil_mode)[0]
    if isinstance(layer, layers.AvgPool2D):
        return oracle.avg_pool2d(x, w.kernel_size, w.stride, w.padding, layer.ceil_mode, layer.count_include_pad)
    groups = x.shape[3] if isinstance(layer, layers.DepthwiseConv2D) else layer.groups
    return oracle.conv2d(x, params["kernel"], params.get("bias"), w.stride, w.padding, w.dilation, groups)


def slow_chain(chain, x, params):
    """Compute the output of layers one after the other."""
    for name, layer in zip(layers_named(chain), chain, strict=True):
        x = slow_forward(layer, x, below(params, name))
    return x


def layers_named(chain):
    """Return names as a network gives them: the class and the number among its kind."""
    kinds = [type(layer).__name__.lower() for layer in chain]
    return [f"{kind}_{kinds[: i + 1].count(kind)}" for i, kind in enumerate(kinds)]
