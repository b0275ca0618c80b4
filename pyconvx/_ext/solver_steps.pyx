"""Steps of the solvers, and weight decay: one fused pass each over flat arrays.

Steps are elementwise; the sum of weight decay runs through 16 fixed blocks that are added in order. So no result
depends on the number of threads. Callers check the arrays (`pyconvx.solvers`).
"""

from cython.parallel import prange
from libc.math cimport sqrt, sqrtf

from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.tuning cimport LONG_SUM_LANES, SUM_BLOCKS

cdef extern from "common/streaming.h":
    pass

cdef extern from "common/arith.h" nogil:
    float pyconvx_fmaf(float a, float b, float c)
    double pyconvx_fma(double a, double b, double c)

LEVEL = PYCONVX_LEVEL.decode()


cdef inline real fma(real a, real b, real c) noexcept nogil:
    """a * b + c, rounded once if the level has the instruction."""
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
    real rate, real a, real b, real epsilon, real factor, Py_ssize_t t, Py_ssize_t parts,
) noexcept nogil:
    cdef Py_ssize_t i, start = cut(n, t, parts), stop = cut(n, t + 1, parts)
    cdef Py_ssize_t decayed = min(max(start, n_weights), stop)
    for i in range(start, decayed):
        m[i] = fma(a, g[i] - m[i], m[i])
        v[i] = fma(b, fma(g[i], g[i], -v[i]), v[i])
        p[i] = fma(factor, p[i], -(rate * m[i] / (root(v[i]) + epsilon)))
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
    (double, double, double) constants,  # beta_1, beta_2, epsilon
    (double, Py_ssize_t) decay,         # factor on the first n_weights parameters before the step, and n_weights
    int n_threads,
):
    """m += (1 - beta_1)(g - m); v += (1 - beta_2)(g^2 - v); p = factor p - rate m / (sqrt(v) + epsilon)."""
    cdef Py_ssize_t t, n = parameters.shape[0], n_weights = decay[1]
    cdef real rate = <real>learning_rate, a = <real>(1.0 - constants[0]), b = <real>(1.0 - constants[1])
    cdef real eps = <real>constants[2], factor = <real>decay[0]
    if n == 0:
        return
    cdef real *p = &parameters[0]
    cdef const real *g = &gradients[0]
    cdef real *m = &first[0]
    cdef real *v = &second[0]
    if n_threads == 1:
        with nogil:
            adam_part(p, g, m, v, n, n_weights, rate, a, b, eps, factor, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            adam_part(p, g, m, v, n, n_weights, rate, a, b, eps, factor, t, n_threads)


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
    (double, double, double) constants,  # rho, epsilon, momentum
    int n_threads,
):
    """s += (1 - rho)(g^2 - s); v = momentum v - rate g / (sqrt(s) + epsilon); p += v."""
    cdef Py_ssize_t t, n = parameters.shape[0]
    cdef real rate = <real>learning_rate, a = <real>(1.0 - constants[0])
    cdef real eps = <real>constants[1], mu = <real>constants[2]
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
