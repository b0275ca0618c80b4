"""softmax and its logarithm, row by row, and their gradients.

No row depends on the others: the same bits for any number of threads.
"""

from cython.parallel cimport prange

from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.common.threads cimport useful_threads

cdef extern from "elementwise/softmax.h" nogil:
    void row_softmax_float(const float *x, float *y, Py_ssize_t n)
    void row_softmax_double(const double *x, double *y, Py_ssize_t n)
    void row_log_softmax_float(const float *x, float *y, Py_ssize_t n)
    void row_log_softmax_double(const double *x, double *y, Py_ssize_t n)
    void row_softmax_gradient_float(const float *y, const float *dy, float *dx, Py_ssize_t n)
    void row_softmax_gradient_double(const double *y, const double *dy, double *dx, Py_ssize_t n)
    void row_log_softmax_gradient_float(const float *y, const float *dy, float *dx, Py_ssize_t n)
    void row_log_softmax_gradient_double(const double *y, const double *dy, double *dx, Py_ssize_t n)

LEVEL = PYCONVX_LEVEL.decode()


cdef void softmax_part(bint logarithm, const real *x, real *y, Py_ssize_t N, Py_ssize_t K,
                       Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(N * t // parts, N * (t + 1) // parts):
        if real is float:
            if logarithm:
                row_log_softmax_float(x + i * K, y + i * K, K)
            else:
                row_softmax_float(x + i * K, y + i * K, K)
        else:
            if logarithm:
                row_log_softmax_double(x + i * K, y + i * K, K)
            else:
                row_softmax_double(x + i * K, y + i * K, K)


cdef void softmax_rows(bint logarithm, const real[:, ::1] x, real[:, ::1] y, Py_ssize_t n_threads):
    cdef Py_ssize_t N = x.shape[0], K = x.shape[1], t, threads = useful_threads(N * K, n_threads)
    if N * K == 0:
        return
    if threads == 1:
        with nogil:
            softmax_part(logarithm, &x[0, 0], &y[0, 0], N, K, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            softmax_part(logarithm, &x[0, 0], &y[0, 0], N, K, t, threads)


def softmax(
    const real[:, ::1] x not None,      # IN  (N, K)
    real[:, ::1] y not None,            # OUT (N, K) overwritten; may be x
    Py_ssize_t n_threads,
):
    """y = e^x / sum of e^x, row by row"""
    softmax_rows(False, x, y, n_threads)


def log_softmax(
    const real[:, ::1] x not None,      # IN  (N, K)
    real[:, ::1] y not None,            # OUT (N, K) overwritten; may be x
    Py_ssize_t n_threads,
):
    """y = x - ln(sum of e^x), row by row"""
    softmax_rows(True, x, y, n_threads)


cdef void gradient_part(bint logarithm, const real *y, const real *dy, real *dx, Py_ssize_t N, Py_ssize_t K,
                        Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(N * t // parts, N * (t + 1) // parts):
        if real is float:
            if logarithm:
                row_log_softmax_gradient_float(y + i * K, dy + i * K, dx + i * K, K)
            else:
                row_softmax_gradient_float(y + i * K, dy + i * K, dx + i * K, K)
        else:
            if logarithm:
                row_log_softmax_gradient_double(y + i * K, dy + i * K, dx + i * K, K)
            else:
                row_softmax_gradient_double(y + i * K, dy + i * K, dx + i * K, K)


cdef void gradient_rows(bint logarithm, const real[:, ::1] y, const real[:, ::1] dy, real[:, ::1] dx,
                        Py_ssize_t n_threads):
    cdef Py_ssize_t N = y.shape[0], K = y.shape[1], t, threads = useful_threads(N * K, n_threads)
    if N * K == 0:
        return
    if threads == 1:
        with nogil:
            gradient_part(logarithm, &y[0, 0], &dy[0, 0], &dx[0, 0], N, K, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            gradient_part(logarithm, &y[0, 0], &dy[0, 0], &dx[0, 0], N, K, t, threads)


def softmax_backward(
    const real[:, ::1] y not None,      # IN  (N, K) what softmax gave
    const real[:, ::1] dy not None,     # IN  (N, K)
    real[:, ::1] dx not None,           # OUT (N, K) overwritten; may be dy
    Py_ssize_t n_threads,
):
    """dx = y (dy - sum of y dy), row by row"""
    gradient_rows(False, y, dy, dx, n_threads)


def log_softmax_backward(
    const real[:, ::1] y not None,      # IN  (N, K) what log_softmax gave
    const real[:, ::1] dy not None,     # IN  (N, K)
    real[:, ::1] dx not None,           # OUT (N, K) overwritten; may be dy
    Py_ssize_t n_threads,
):
    """dx = dy - e^y (sum of dy), row by row"""
    gradient_rows(True, y, dy, dx, n_threads)
