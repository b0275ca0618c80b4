"""Compiled activations as the kernels call them: the struct in a plugin's capsule (pyconvx/activation.h)."""

from cpython.pycapsule cimport (
    PyCapsule_CheckExact, PyCapsule_GetName, PyCapsule_GetPointer, PyCapsule_IsValid,
)

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


cdef inline const pyconvx_activation *functions_of(object candidate) except NULL:
    """Return the struct in a capsule; TypeError for anything else."""
    cdef const char *name
    if not PyCapsule_IsValid(candidate, PYCONVX_ACTIVATION_TAG):
        got = repr(candidate)
        if PyCapsule_CheckExact(candidate):
            name = PyCapsule_GetName(candidate)
            got = "one without a name" if name == NULL else f"one named {name.decode(errors='replace')!r}"
        raise TypeError(f"expected a PyCapsule named {PYCONVX_ACTIVATION_TAG.decode()!r}, got {got}")
    return <const pyconvx_activation *> PyCapsule_GetPointer(candidate, PYCONVX_ACTIVATION_TAG)


cdef inline const pyconvx_activation *functions_in(object capsule) except? NULL:
    """Return the same, or NULL for None."""
    return NULL if capsule is None else functions_of(capsule)


cdef inline void activate(const pyconvx_activation *f, const real *x, real *y, Py_ssize_t n) noexcept nogil:
    """Write f(x) to y, in either precision."""
    if real is float:
        f.f_float(x, y, n)
    else:
        f.f_double(x, y, n)
