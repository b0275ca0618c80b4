"""Architectures: named stacks of layers, everything before the output layer.

    base            the contract, the registry, what the built-in ones share
    guarded         the adapter around architectures of other packages
    blocks          pieces that several are made of
    one file each   Digits, Letters, VGGSmall, ResNet, ResNet18, MobileNetSmall, InceptionSmall, AllConv224 for
                    images; FCN1D, ResNet1D, InceptionTime for signals

`CNNClassifier(layers="digits")` takes one by name, `layers=ResNet(depth=32)` as an object.
"""

from pyconvx.architectures.all_conv224 import AllConv224
from pyconvx.architectures.base import Architecture, registry
from pyconvx.architectures.digits import Digits
from pyconvx.architectures.fcn1d import FCN1D
from pyconvx.architectures.inception_small import InceptionSmall
from pyconvx.architectures.inception_time import InceptionTime
from pyconvx.architectures.letters import Letters
from pyconvx.architectures.mobilenet_small import MobileNetSmall
from pyconvx.architectures.resnet import ResNet
from pyconvx.architectures.resnet1d import ResNet1D
from pyconvx.architectures.resnet18 import ResNet18
from pyconvx.architectures.vgg_small import VGGSmall

__all__ = [
    "AllConv224",
    "Architecture",
    "Digits",
    "FCN1D",
    "InceptionSmall",
    "InceptionTime",
    "Letters",
    "MobileNetSmall",
    "ResNet",
    "ResNet1D",
    "ResNet18",
    "VGGSmall",
    "registry",
]
