"""Compiled activations as objects: PyCapsules that hold C functions for both directions and both precisions.

What a capsule holds is written in pyconvx/include/pyconvx/activation.h. A kernel takes the capsule and calls its
functions on numbers that are still in cache; `pyconvx.ops.elementwise` applies it to whole arrays.

NAMES            names of the built-in activations
capsule          the capsule of a built-in one
check_capsule    TypeError for anything that the kernels could not call
flags            FROM_OUTPUT: the derivative follows from y, so x need not be kept; NON_DECREASING: x <= x' implies
                 f(x) <= f(x'), so the activation may follow a max pool instead of preceding it
TAG, ABI         the name and the version that a capsule must have
"""

from pyconvx._ext.activations import (
    ABI,
    FROM_OUTPUT,
    NAMES,
    NON_DECREASING,
    TAG,
    capsule,
    check_capsule,
    flags,
)

__all__ = ["ABI", "FROM_OUTPUT", "NAMES", "NON_DECREASING", "TAG", "capsule", "check_capsule", "flags"]
