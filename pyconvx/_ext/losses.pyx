"""Losses over rows of outputs: value and gradient in one pass.

Sums run through 16 fixed blocks of rows that are added in order, so no result depends on the number of threads.
Callers check the shapes (`pyconvx.losses`), indices are checked here.
"""

from cython.parallel import prange
from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.common.shapes cimport expect_below
from pyconvx._ext.tuning cimport ROW_LANES, SUM_BLOCKS

cdef extern from "common/streaming.h":
    pass

cdef extern from "common/arith.h" nogil:
    double pyconvx_fma(double a, double b, double c)

cdef extern from "elementwise/vmath.h" nogil:
    double exp "vm_exp_double"(double x)
    double log "vm_log_double"(double x)

LEVEL = PYCONVX_LEVEL.decode()


cdef double cross_entropy_row(
    const real *x, int64_t target, double weight, double smoothing, real *gradient, Py_ssize_t K
) noexcept nogil:
    """One row's loss; its gradient times the weight goes to gradient. In double for both types."""
    cdef double[ROW_LANES] lane
    cdef double top = -INFINITY, total = 0.0, shifted = 0.0, share, loss, on, off
    cdef Py_ssize_t j, k
    for j in range(K):
        if x[j] > top:
            top = x[j]
    for k in range(ROW_LANES):
        lane[k] = 0.0
    for j in range(K):
        share = exp(x[j] - top)
        gradient[j] = <real>share
        lane[j % ROW_LANES] += share
    for k in range(ROW_LANES):
        total += lane[k]
    off = smoothing / K
    on = 1.0 - smoothing
    loss = pyconvx_fma(on, top - x[target], log(total))
    if smoothing != 0.0:  # else an overflowing sum times 0 would be NaN
        for k in range(ROW_LANES):
            lane[k] = 0.0
        for j in range(K):
            lane[j % ROW_LANES] += top - x[j]
        for k in range(ROW_LANES):
            shifted += lane[k]
        loss = pyconvx_fma(off, shifted, loss)
    share = 1.0 / total
    for j in range(K):
        gradient[j] = <real>(weight * pyconvx_fma(gradient[j], share, -(off + on if j == target else off)))
    return loss


cdef void cross_entropy_part(
    const real *x, const int64_t *targets, const real *weights, double smoothing, real *gradient,
    double *sums, Py_ssize_t N, Py_ssize_t K, Py_ssize_t t, Py_ssize_t parts,
) noexcept nogil:
    cdef Py_ssize_t b, i, j
    cdef double total, loss
    for b in range(SUM_BLOCKS * t // parts, SUM_BLOCKS * (t + 1) // parts):
        total = 0.0
        for i in range(N * b // SUM_BLOCKS, N * (b + 1) // SUM_BLOCKS):
            if weights[i] == 0:  # absent, whatever its loss
                for j in range(K):
                    gradient[i * K + j] = 0
                continue
            loss = cross_entropy_row(x + i * K, targets[i], weights[i], smoothing, gradient + i * K, K)
            total = pyconvx_fma(weights[i], loss, total)
        sums[b] = total


def cross_entropy(
    const real[:, ::1] logits not None,     # IN (N, K)
    const int64_t[::1] targets not None,    # IN (N,), 0 to K - 1
    const real[::1] weights not None,       # IN (N,)
    double smoothing,
    real[:, ::1] gradient not None,         # OUT (N, K), overwritten
    int n_threads,
):
    """Sum of weight * (log sum exp(x) - sum q x) with q = (1 - smoothing) [target] + smoothing / K."""
    cdef double[SUM_BLOCKS] sums
    cdef double *out = &sums[0]
    cdef double total = 0.0
    cdef Py_ssize_t t, b, N = logits.shape[0], K = logits.shape[1]
    if N == 0:
        return 0.0
    cdef const int64_t *y = &targets[0]
    expect_below("targets", y, N, K)
    cdef const real *x = &logits[0, 0]
    cdef const real *w = &weights[0]
    cdef real *g = &gradient[0, 0]
    if g < x + N * K and x < g + N * K:     # a row's gradient is written while its logits are read
        raise ValueError("gradient and logits share memory: give the gradient an array of its own")
    if n_threads == 1:
        with nogil:
            cross_entropy_part(x, y, w, smoothing, g, out, N, K, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            cross_entropy_part(x, y, w, smoothing, g, out, N, K, t, n_threads)
    for b in range(SUM_BLOCKS):
        total += sums[b]
    return total
