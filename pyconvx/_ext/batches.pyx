"""Rows of a data set as a batch, and a search for numbers that are not finite.

Callers check the shapes (`pyconvx.training`), indices are checked here.
"""

from cython.parallel import prange
from libc.stdint cimport int64_t, uint8_t

from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.common.shapes cimport expect_below
from pyconvx._ext.tuning cimport SUM_BLOCKS

cdef extern from "common/streaming.h":
    pass

LEVEL = PYCONVX_LEVEL.decode()

ctypedef fused pixel:
    uint8_t
    float
    double


cdef void gather_part(
    const pixel *X, const int64_t *index, real *out, Py_ssize_t B, Py_ssize_t F, double scale,
    Py_ssize_t t, Py_ssize_t parts,
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef const pixel *row
    for i in range(B * t // parts, B * (t + 1) // parts):
        row = X + index[i] * F
        for j in range(F):
            out[i * F + j] = <real>(row[j] * scale)


def gather(
    const pixel[:, ::1] X not None,     # IN (n, F): uint8, float32 or float64
    const int64_t[::1] index not None,  # IN (B,), 0 to n - 1
    real[:, ::1] out not None,          # OUT (B, F), overwritten
    double scale,
    int n_threads,
):
    """out = X[index] * scale, multiplied in double and rounded once to the type of out."""
    cdef Py_ssize_t t, B = index.shape[0], F = X.shape[1]
    if B == 0 or F == 0:
        return
    cdef const pixel *x = &X[0, 0]
    cdef const int64_t *rows = &index[0]
    cdef real *y = &out[0, 0]
    expect_below("rows", rows, B, X.shape[0])
    if n_threads == 1:
        with nogil:
            gather_part(x, rows, y, B, F, scale, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            gather_part(x, rows, y, B, F, scale, t, n_threads)


cdef void all_finite_part(
    const real *x, Py_ssize_t n, int *bad, Py_ssize_t t, Py_ssize_t parts
) noexcept nogil:
    cdef Py_ssize_t b, i
    cdef int found
    for b in range(SUM_BLOCKS * t // parts, SUM_BLOCKS * (t + 1) // parts):
        found = 0
        for i in range(n * b // SUM_BLOCKS, n * (b + 1) // SUM_BLOCKS):
            # a NaN where x is not finite; a branch here would keep the loop from vectorising
            found |= (x[i] - x[i]) != 0
        bad[b] = found


def all_finite(
    const real[::1] values not None,  # IN (n,)
    int n_threads,
):
    """Whether no value is NaN or infinite."""
    cdef int[SUM_BLOCKS] bad
    cdef int *out = &bad[0]
    cdef int found = 0
    cdef Py_ssize_t t, b, n = values.shape[0]
    if n == 0:
        return True
    cdef const real *x = &values[0]
    if n_threads == 1:
        with nogil:
            all_finite_part(x, n, out, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            all_finite_part(x, n, out, t, n_threads)
    for b in range(SUM_BLOCKS):
        found |= bad[b]
    return found == 0
