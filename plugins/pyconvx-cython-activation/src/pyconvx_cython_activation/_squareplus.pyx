# cython: language_level=3
"""Passes the C functions on: a capsule with pyconvx's tag around their struct."""

from cpython.pycapsule cimport PyCapsule_New

cdef extern from "functions.h":
    const char *PYCONVX_ACTIVATION_TAG
    ctypedef struct pyconvx_activation:
        pass
    const pyconvx_activation SQUAREPLUS

capsule = PyCapsule_New(<void *> &SQUAREPLUS, PYCONVX_ACTIVATION_TAG, NULL)
