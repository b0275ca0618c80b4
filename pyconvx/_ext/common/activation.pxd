"""Compiled activations as the kernels call them: the struct in a plugin's capsule (pyconvx/activation.h)."""

from cpython.pycapsule cimport PyCapsule_GetPointer

from pyconvx._ext.common.real cimport real

cdef extern from "pyconvx/activation.h" nogil:
    const char *PYCONVX_ACTIVATION_TAG
    unsigned int PYCONVX_ACTIVATION_ABI, PYCONVX_FROM_OUTPUT, PYCONVX_NON_DECREASING
    ctypedef struct pyconvx_activation:
        unsigned int abi
        unsigned int flags
        void (*f_float)(const float *x, float *y, Py_ssize_t n) noexcept nogil
        void (*df_float)(const float *v, const float *dy, float *dx, Py_ssize_t n) noexcept nogil
        void (*f_double)(const double *x, double *y, Py_ssize_t n) noexcept nogil
        void (*df_double)(const double *v, const double *dy, double *dx, Py_ssize_t n) noexcept nogil


cdef inline const pyconvx_activation *functions_in(object capsule) except? NULL:
    """The struct in a capsule, NULL for None."""
    if capsule is None:
        return NULL
    return <const pyconvx_activation *> PyCapsule_GetPointer(capsule, PYCONVX_ACTIVATION_TAG)


cdef inline void activate(const pyconvx_activation *f, const real *x, real *y, Py_ssize_t n) noexcept nogil:
    """y = f(x), in either precision."""
    if real is float:
        f.f_float(x, y, n)
    else:
        f.f_double(x, y, n)
