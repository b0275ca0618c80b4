"""What a training step needs beside the layers: loss, solvers, batches.

Everything is elementwise or row by row, or sums through 16 fixed blocks of consecutive items
added in order; so no result depends on the number of threads. Shapes are checked by the callers
(`pyconvx.losses`, `pyconvx.solvers`, the network), indices here.
"""

from cython.parallel import prange
from libc.math cimport INFINITY, sqrt, sqrtf
from libc.stdint cimport int64_t, uint8_t

from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.tuning cimport LONG_SUM_LANES, ROW_LANES, SUM_BLOCKS

cdef extern from *:
    """
    /* Buffers lie anywhere, and loops that stream through memory pay three times for 64-byte vectors that
       straddle cache lines; 32-byte ones cost nothing where all is aligned. */
    #if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
    #pragma GCC target("prefer-vector-width=256")
    #endif
    """

cdef extern from "common/arith.h" nogil:
    float pyconvx_fmaf(float a, float b, float c)
    double pyconvx_fma(double a, double b, double c)

cdef extern from "elementwise/vmath.h" nogil:
    double exp "vm_exp_double"(double x)
    double log "vm_log_double"(double x)

LEVEL = PYCONVX_LEVEL.decode()

ctypedef fused pixel:
    uint8_t
    float
    double


cdef int expect_below(str name, const int64_t *numbers, Py_ssize_t n, Py_ssize_t limit) except -1:
    """ValueError where a number is no index below the limit."""
    cdef Py_ssize_t i
    for i in range(n):
        if not 0 <= numbers[i] < limit:
            raise ValueError(f"{name} must be from 0 to {limit - 1}, got {numbers[i]} at {i}")
    return 0


cdef inline real fma(real a, real b, real c) noexcept nogil:
    """a * b + c, rounded once where the level has the instruction."""
    if real is float:
        return pyconvx_fmaf(a, b, c)
    else:
        return pyconvx_fma(a, b, c)


cdef inline real root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline Py_ssize_t cut(Py_ssize_t n, Py_ssize_t i, Py_ssize_t parts) noexcept nogil:
    """Where share i of n numbers begins: at a multiple of a cache line from the first."""
    return n if i == parts else n // 16 * i // parts * 16


# --- solvers: one fused pass over flat arrays ---------------------------------------------------

cdef void sgd_part(
    real *p, const real *g, real *velocity, Py_ssize_t n, real rate, real momentum, bint nesterov,
    Py_ssize_t t, Py_ssize_t parts,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef real step, v
    for i in range(cut(n, t, parts), cut(n, t + 1, parts)):
        step = rate * g[i]
        v = fma(momentum, velocity[i], -step)
        velocity[i] = v
        if nesterov:
            v = fma(momentum, v, -step)
        p[i] += v


def sgd(
    real[::1] parameters not None,      # IN/OUT (n,)
    const real[::1] gradients not None,  # IN (n,)
    real[::1] velocity not None,        # IN/OUT (n,)
    double learning_rate,
    double momentum,
    bint nesterov,
    int n_threads,
):
    """v = momentum v - rate g; p += v, or momentum v - rate g once more with Nesterov."""
    cdef Py_ssize_t t, n = parameters.shape[0]
    cdef real rate = <real>learning_rate, mu = <real>momentum
    if n == 0:
        return
    cdef real *p = &parameters[0]
    cdef const real *g = &gradients[0]
    cdef real *v = &velocity[0]
    if n_threads == 1:
        with nogil:
            sgd_part(p, g, v, n, rate, mu, nesterov, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            sgd_part(p, g, v, n, rate, mu, nesterov, t, n_threads)


cdef void adam_part(
    real *p, const real *g, real *m, real *v, Py_ssize_t n, Py_ssize_t n_weights,
    real rate, real a, real b, real epsilon, real keep, Py_ssize_t t, Py_ssize_t parts,
) noexcept nogil:
    cdef Py_ssize_t i, start = cut(n, t, parts), stop = cut(n, t + 1, parts)
    cdef Py_ssize_t decayed = min(max(start, n_weights), stop)
    for i in range(start, decayed):
        m[i] = fma(a, g[i] - m[i], m[i])
        v[i] = fma(b, fma(g[i], g[i], -v[i]), v[i])
        p[i] = fma(keep, p[i], -(rate * m[i] / (root(v[i]) + epsilon)))
    for i in range(decayed, stop):
        m[i] = fma(a, g[i] - m[i], m[i])
        v[i] = fma(b, fma(g[i], g[i], -v[i]), v[i])
        p[i] -= rate * m[i] / (root(v[i]) + epsilon)


def adam(
    real[::1] parameters not None,      # IN/OUT (n,)
    const real[::1] gradients not None,  # IN (n,)
    real[::1] first not None,           # IN/OUT (n,) running mean of the gradient
    real[::1] second not None,          # IN/OUT (n,) running mean of its square
    double learning_rate,               # with the bias corrections of the step
    double beta_1,
    double beta_2,
    double epsilon,
    double keep,                        # factor on the first n_weights parameters, before the step
    Py_ssize_t n_weights,
    int n_threads,
):
    """m += (1 - beta_1)(g - m); v += (1 - beta_2)(g^2 - v); p = keep p - rate m / (sqrt(v) + epsilon)."""
    cdef Py_ssize_t t, n = parameters.shape[0]
    cdef real rate = <real>learning_rate, a = <real>(1.0 - beta_1), b = <real>(1.0 - beta_2)
    cdef real eps = <real>epsilon, kept = <real>keep
    if n == 0:
        return
    cdef real *p = &parameters[0]
    cdef const real *g = &gradients[0]
    cdef real *m = &first[0]
    cdef real *v = &second[0]
    if n_threads == 1:
        with nogil:
            adam_part(p, g, m, v, n, n_weights, rate, a, b, eps, kept, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            adam_part(p, g, m, v, n, n_weights, rate, a, b, eps, kept, t, n_threads)


cdef void rmsprop_part(
    real *p, const real *g, real *square, real *velocity, Py_ssize_t n, real rate, real a, real epsilon,
    real momentum, Py_ssize_t t, Py_ssize_t parts,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(cut(n, t, parts), cut(n, t + 1, parts)):
        square[i] = fma(a, fma(g[i], g[i], -square[i]), square[i])
        velocity[i] = fma(momentum, velocity[i], -(rate * g[i] / (root(square[i]) + epsilon)))
        p[i] += velocity[i]


def rmsprop(
    real[::1] parameters not None,      # IN/OUT (n,)
    const real[::1] gradients not None,  # IN (n,)
    real[::1] square not None,          # IN/OUT (n,) running mean of the squared gradient
    real[::1] velocity not None,        # IN/OUT (n,)
    double learning_rate,
    double rho,
    double epsilon,
    double momentum,
    int n_threads,
):
    """s += (1 - rho)(g^2 - s); v = momentum v - rate g / (sqrt(s) + epsilon); p += v."""
    cdef Py_ssize_t t, n = parameters.shape[0]
    cdef real rate = <real>learning_rate, a = <real>(1.0 - rho), eps = <real>epsilon, mu = <real>momentum
    if n == 0:
        return
    cdef real *p = &parameters[0]
    cdef const real *g = &gradients[0]
    cdef real *s = &square[0]
    cdef real *v = &velocity[0]
    if n_threads == 1:
        with nogil:
            rmsprop_part(p, g, s, v, n, rate, a, eps, mu, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            rmsprop_part(p, g, s, v, n, rate, a, eps, mu, t, n_threads)


# --- sums and checks over flat arrays ---------------------------------------------------------------

cdef double l2_block(const real *w, real *g, Py_ssize_t n, real scale) noexcept nogil:
    """g += scale w; the sum of squares of w in double, through LONG_SUM_LANES partial sums added in order."""
    cdef double[LONG_SUM_LANES] lane
    cdef double total = 0.0
    cdef Py_ssize_t i, k, whole = n // LONG_SUM_LANES
    for k in range(LONG_SUM_LANES):
        lane[k] = 0.0
    for i in range(whole):
        for k in range(LONG_SUM_LANES):
            lane[k] = pyconvx_fma(w[i * LONG_SUM_LANES + k], w[i * LONG_SUM_LANES + k], lane[k])
        for k in range(LONG_SUM_LANES):
            g[i * LONG_SUM_LANES + k] = fma(scale, w[i * LONG_SUM_LANES + k], g[i * LONG_SUM_LANES + k])
    for i in range(whole * LONG_SUM_LANES, n):
        lane[i - whole * LONG_SUM_LANES] = pyconvx_fma(w[i], w[i], lane[i - whole * LONG_SUM_LANES])
        g[i] = fma(scale, w[i], g[i])
    for k in range(LONG_SUM_LANES):
        total += lane[k]
    return total


cdef void l2_part(
    const real *w, real *g, Py_ssize_t n, real scale, double *sums, Py_ssize_t t, Py_ssize_t parts
) noexcept nogil:
    cdef Py_ssize_t b, start
    for b in range(SUM_BLOCKS * t // parts, SUM_BLOCKS * (t + 1) // parts):
        start = cut(n, b, SUM_BLOCKS)
        sums[b] = l2_block(w + start, g + start, cut(n, b + 1, SUM_BLOCKS) - start, scale)


def l2(
    const real[::1] parameters not None,  # IN (n,)
    real[::1] gradients not None,         # IN/OUT (n,), accumulated
    double scale,
    Py_ssize_t n_weights,
    int n_threads,
):
    """Add scale * parameters to the first n_weights gradients; return the sum of those squared, in double."""
    cdef double[SUM_BLOCKS] sums
    cdef double *out = &sums[0]
    cdef double total = 0.0
    cdef Py_ssize_t t, b
    cdef real factor = <real>scale
    if n_weights == 0:
        return 0.0
    cdef const real *w = &parameters[0]
    cdef real *g = &gradients[0]
    if n_threads == 1:
        with nogil:
            l2_part(w, g, n_weights, factor, out, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            l2_part(w, g, n_weights, factor, out, t, n_threads)
    for b in range(SUM_BLOCKS):
        total += sums[b]
    return total


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


# --- loss ---------------------------------------------------------------------------------------

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


# --- batches --------------------------------------------------------------------------------------

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
