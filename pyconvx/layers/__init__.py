"""Layers: frozen values that declare shapes and parameters and compute forward and backward.

    base            the contract: Layer, ParameterSpec
    context         what a pass needs besides, and how it is recorded
    epilogue        what runs inside the loops of the layer before it
    space           windows over any number of axes
    sequence        layers one after the other: names, shapes, passes
    fusion          which layers run together
    guarded         other packages' layers, under guard
    composite       layers that are made of layers
    one file each   Conv2D, Conv1D (on conv), DepthwiseConv2D, SeparableConv2D, MaxPool2D, MaxPool1D (on max_pool),
                    AvgPool2D, AvgPool1D (on avg_pool), GlobalAvgPool2D, GlobalAvgPool1D, GlobalMaxPool2D,
                    GlobalMaxPool1D (on global_pool), Dense, Flatten, Dropout, BatchNorm, Activation, Residual,
                    Bottleneck, Concat, SqueezeExcite

Other packages add layer classes through the entry-point group ``pyconvx.layers``.
"""

from pyconvx.layers.activation import Activation
from pyconvx.layers.avg_pool1d import AvgPool1D
from pyconvx.layers.avg_pool2d import AvgPool2D
from pyconvx.layers.base import Affine, Layer, ParameterSpec, registry, verify_layer
from pyconvx.layers.batch_norm import BatchNorm
from pyconvx.layers.bottleneck import Bottleneck
from pyconvx.layers.concat import Concat
from pyconvx.layers.context import Context, Program, Randomness
from pyconvx.layers.conv1d import Conv1D
from pyconvx.layers.conv2d import Conv2D
from pyconvx.layers.dense import Dense
from pyconvx.layers.depthwise_conv2d import DepthwiseConv2D
from pyconvx.layers.dropout import Dropout
from pyconvx.layers.epilogue import Epilogue
from pyconvx.layers.flatten import Flatten
from pyconvx.layers.global_avg_pool1d import GlobalAvgPool1D
from pyconvx.layers.global_avg_pool2d import GlobalAvgPool2D
from pyconvx.layers.global_max_pool1d import GlobalMaxPool1D
from pyconvx.layers.global_max_pool2d import GlobalMaxPool2D
from pyconvx.layers.max_pool1d import MaxPool1D
from pyconvx.layers.max_pool2d import MaxPool2D
from pyconvx.layers.residual import Residual
from pyconvx.layers.separable_conv2d import SeparableConv2D
from pyconvx.layers.squeeze_excite import SqueezeExcite

__all__ = [
    "Activation",
    "Affine",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNorm",
    "Bottleneck",
    "Concat",
    "Context",
    "Conv1D",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Epilogue",
    "Flatten",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "Layer",
    "MaxPool1D",
    "MaxPool2D",
    "ParameterSpec",
    "Program",
    "Randomness",
    "Residual",
    "SeparableConv2D",
    "SqueezeExcite",
    "registry",
    "verify_layer",
]
