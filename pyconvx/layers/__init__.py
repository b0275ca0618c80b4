"""Layers: frozen values that declare shapes and parameters and compute forward and backward.

    base            the contract: Layer, ParameterSpec, Context
    sequence        layers one behind the other: names, shapes, passes
    guarded         other packages' layers, under guard
    plan            which layers run together
    program         a forward pass bound once and run many times
    one file each   Conv2D, DepthwiseConv2D, SeparableConv2D, MaxPool2D, AvgPool2D, GlobalAvgPool2D,
                    Dense, Flatten, Dropout, BatchNorm, Activation, Residual

Other packages add layer classes through the entry-point group ``pyconvx.layers``.
"""

from pyconvx.layers.activation import Activation
from pyconvx.layers.avg_pool2d import AvgPool2D
from pyconvx.layers.base import Context, Layer, ParameterSpec, registry, verify_layer
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
