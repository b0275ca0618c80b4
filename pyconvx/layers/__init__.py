"""Layers: frozen values that declare shapes and parameters and compute forward and backward.

    base            the contract: Layer, ParameterSpec, Context
    sequence        layers one behind the other: names, shapes, passes
    plan            which layers run together
    program         a forward pass bound once and run many times
    one file each   Conv2D, DepthwiseConv2D, SeparableConv2D, MaxPool2D, AvgPool2D, GlobalAvgPool2D,
                    Dense, Flatten, Dropout, BatchNorm, Activation, Residual

Other packages add layer classes through the entry-point group ``pyconvx.layers``.
"""

from pyconvx._contracts import require
from pyconvx.layers.activation import Activation
from pyconvx.layers.avg_pool2d import AvgPool2D
from pyconvx.layers.base import Context, Layer, ParameterSpec
from pyconvx.layers.batch_norm import BatchNorm
from pyconvx.layers.conv2d import Conv2D
from pyconvx.layers.dense import Dense
from pyconvx.layers.depthwise_conv2d import DepthwiseConv2D
from pyconvx.layers.dropout import Dropout
from pyconvx.layers.flatten import Flatten
from pyconvx.layers.global_avg_pool2d import GlobalAvgPool2D
from pyconvx.layers.max_pool2d import MaxPool2D
from pyconvx.layers.residual import Residual
from pyconvx.layers.separable_conv2d import SeparableConv2D
from pyconvx.registry import Registry

__all__ = [
    "Activation",
    "AvgPool2D",
    "BatchNorm",
    "Context",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2D",
    "Layer",
    "MaxPool2D",
    "ParameterSpec",
    "Residual",
    "SeparableConv2D",
    "registry",
    "verify_layer",
]


def verify_layer(layer: object) -> None:
    """Raise TypeError unless a layer, or the class of one, has the methods of the contract."""
    for method in (Layer.output_shape, Layer.parameters, Layer.forward, Layer.backward):
        if isinstance(layer, type):
            if not callable(getattr(layer, method.__name__, None)):
                raise TypeError(f"{layer!r} has no method {method.__name__}")
        else:
            require(layer, method)


registry: Registry[type[Layer]] = Registry("pyconvx.layers", verify_layer, instantiate=False)
