"""Starting values of the weights.

    base               the contract, the registry
    guarded            the adapter around initializers of other packages
    variance_scaling   He, Xavier (Glorot), LeCun: normal or uniform with a variance from the fans
    orthogonal         orthonormal columns or rows
    random             normal, uniform or truncated normal of a given scale
    dirac              convolutions and matrices that copy their input to their output
    constant           zeros, ones and other constants, for biases and norms

A network refuses to start a trainable kernel with a constant; the initializers themselves do not.
"""

from pyconvx.initializers.base import Initializer, registry
from pyconvx.initializers.constant import Constant, ones, zeros
from pyconvx.initializers.dirac import Dirac
from pyconvx.initializers.orthogonal import Orthogonal
from pyconvx.initializers.random import RandomNormal, RandomUniform, TruncatedNormal
from pyconvx.initializers.variance_scaling import (
    VarianceScaling,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    xavier_fan_in_normal,
    xavier_normal,
    xavier_uniform,
)

__all__ = [
    "Constant",
    "Dirac",
    "Initializer",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "registry",
    "xavier_fan_in_normal",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
