"""Loops over the channels of maps: a factor and a shift for each, sums of products, columns of a table.

A map is (P, C): positions and channels. Each cell is computed on its own, and a sum runs through the positions of
one sample in order: the same bits for any number of threads.
"""

from cython.parallel cimport prange
from libc.string cimport memcpy

from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.common.shapes cimport expect_like, expect_matrix
from pyconvx._ext.common.threads cimport useful_threads

LEVEL = PYCONVX_LEVEL.decode()


cdef void scale_part(const real *x, const real *factors, const real *shifts, real *y, Py_ssize_t N, Py_ssize_t P,
                     Py_ssize_t C, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t r, c, i, n
    for r in range(N * P * t // parts, N * P * (t + 1) // parts):
        i, n = r * C, r // P * C
        if shifts == NULL:
            for c in range(C):
                y[i + c] = x[i + c] * factors[n + c]
        else:
            for c in range(C):
                y[i + c] = x[i + c] * factors[n + c] + shifts[n + c]


def scale(
    const real[:, :, ::1] x not None,       # IN  (N, P, C)
    const real[:, ::1] factors not None,    # IN  (N, C)
    const real[:, ::1] shifts,              # IN  (N, C), or None
    real[:, :, ::1] y not None,             # OUT (N, P, C) overwritten; may be x
    Py_ssize_t n_threads,
):
    """y = x factors + shifts, the same for all positions of a sample"""
    cdef Py_ssize_t N = x.shape[0], P = x.shape[1], C = x.shape[2], t
    cdef Py_ssize_t threads = useful_threads(N * P * C, n_threads)
    cdef const real *shift = NULL
    expect_matrix("factors", factors.shape, N, C)
    expect_like("y", y.shape, x.shape, 3)
    if N * P * C == 0:
        return
    if shifts is not None:
        expect_matrix("shifts", shifts.shape, N, C)
        shift = &shifts[0, 0]
    if threads == 1:
        with nogil:
            scale_part(&x[0, 0, 0], &factors[0, 0], shift, &y[0, 0, 0], N, P, C, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            scale_part(&x[0, 0, 0], &factors[0, 0], shift, &y[0, 0, 0], N, P, C, t, threads)


cdef void products_part(const real *x, const real *y, double *sums, real *out, Py_ssize_t N, Py_ssize_t P,
                        Py_ssize_t C, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t n, p, c, i
    cdef double *row
    for n in range(N * t // parts, N * (t + 1) // parts):
        row = sums + n * C
        for c in range(C):
            row[c] = 0
        for p in range(P):
            i = (n * P + p) * C
            for c in range(C):
                row[c] += <double> x[i + c] * <double> y[i + c]
        for c in range(C):
            out[n * C + c] = <real> row[c]


def products(
    const real[:, :, ::1] x not None,       # IN  (N, P, C)
    const real[:, :, ::1] y not None,       # IN  (N, P, C)
    double[::1] sums not None,              # N C numbers or more of scratch, overwritten
    real[:, ::1] out not None,              # OUT (N, C) overwritten
    Py_ssize_t n_threads,
):
    """out = sum of x y over the positions of a sample, added in double"""
    cdef Py_ssize_t N = x.shape[0], P = x.shape[1], C = x.shape[2], t
    cdef Py_ssize_t threads = useful_threads(N * P * C, n_threads)
    expect_like("y", y.shape, x.shape, 3)
    expect_matrix("out", out.shape, N, C)
    if sums.shape[0] < N * C:
        raise ValueError(f"sums must have {N * C} numbers or more, got {sums.shape[0]}")
    if N * P * C == 0:
        out[:, :] = 0
        return
    if threads == 1:
        with nogil:
            products_part(&x[0, 0, 0], &y[0, 0, 0], &sums[0], &out[0, 0], N, P, C, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            products_part(&x[0, 0, 0], &y[0, 0, 0], &sums[0], &out[0, 0], N, P, C, t, threads)


cdef void copy_part(const real *x, Py_ssize_t XC, real *y, Py_ssize_t YC, Py_ssize_t width, Py_ssize_t R,
                    Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t r
    for r in range(R * t // parts, R * (t + 1) // parts):
        memcpy(y + r * YC, x + r * XC, width * sizeof(real))


def copy(
    const real[:, ::1] x not None,          # IN  (R, XC)
    Py_ssize_t from_column,
    real[:, ::1] y not None,                # OUT (R, YC), `width` columns overwritten; not x
    Py_ssize_t to_column,
    Py_ssize_t width,
    Py_ssize_t n_threads,
):
    """y[:, to_column : to_column + width] = x[:, from_column : from_column + width]"""
    cdef Py_ssize_t R = x.shape[0], XC = x.shape[1], YC = y.shape[1], t
    cdef Py_ssize_t threads = useful_threads(R * width, n_threads)
    if y.shape[0] != R:
        raise ValueError(f"y must have {R} rows, got {y.shape[0]}")
    if width < 0 or not 0 <= from_column <= XC - width or not 0 <= to_column <= YC - width:
        raise ValueError(f"{width} columns do not fit: from {from_column} of {XC}, to {to_column} of {YC}")
    if R * width == 0:
        return
    if threads == 1:
        with nogil:
            copy_part(&x[0, from_column], XC, &y[0, to_column], YC, width, R, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            copy_part(&x[0, from_column], XC, &y[0, to_column], YC, width, R, t, threads)
