"""Loops over single numbers and rows: activations, softmax, batch normalisation.

    capsule, check_capsule, flags        compiled activations by name and from plugins
    forward, backward                    an activation over a flat array
    softmax, log_softmax                 rows of (N, K), and their gradients
    batch_moments, centre_scale_shift,
    batch_norm_backward                  normalisation over all but the last axis
    add                                  sum of two arrays

Work is cut by shape alone; where sums cross rows, into at most 16 blocks of consecutive samples that
are added in order: the same bits for any number of threads.
"""

from cpython.pycapsule cimport (
    PyCapsule_CheckExact, PyCapsule_GetName, PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New,
)
from cython.parallel cimport prange

from pyconvx._ext.common.activation cimport (
    PYCONVX_ACTIVATION_ABI, PYCONVX_ACTIVATION_TAG, PYCONVX_FROM_OUTPUT, PYCONVX_NON_DECREASING,
    pyconvx_activation,
)
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.common.shapes cimport expect_like, expect_row
from pyconvx._ext.tuning cimport ACTIVATION_CHUNK, ELEMENTWISE_ONE_THREAD, SUM_BLOCKS

cdef extern from "elementwise/activations.h" nogil:
    ctypedef struct named_activation:
        const char *name
    const named_activation *BUILT_INS
    const Py_ssize_t N_BUILT_INS
    const pyconvx_activation *find_built_in(const char *name)

cdef extern from "elementwise/softmax.h" nogil:
    void row_softmax_float(const float *x, float *y, Py_ssize_t n)
    void row_softmax_double(const double *x, double *y, Py_ssize_t n)
    void row_log_softmax_float(const float *x, float *y, Py_ssize_t n)
    void row_log_softmax_double(const double *x, double *y, Py_ssize_t n)
    void row_softmax_gradient_float(const float *y, const float *dy, float *dx, Py_ssize_t n)
    void row_softmax_gradient_double(const double *y, const double *dy, double *dx, Py_ssize_t n)
    void row_log_softmax_gradient_float(const float *y, const float *dy, float *dx, Py_ssize_t n)
    void row_log_softmax_gradient_double(const double *y, const double *dy, double *dx, Py_ssize_t n)

cdef extern from "elementwise/norm.h" nogil:
    Py_ssize_t norm_width(Py_ssize_t C)
    void norm_moments_float(const float *x, const double *origin, double *sums, Py_ssize_t n, Py_ssize_t C)
    void norm_apply_float(const float *x, const float *mean, const float *scale, const float *shift,
                          float *y, float *after, const pyconvx_activation *f, Py_ssize_t n, Py_ssize_t C)
    void norm_sums_float(const float *x, const float *dy, const double *mean, double *sums, Py_ssize_t n,
                         Py_ssize_t C)
    void norm_gradient_float(const float *x, const float *dy, const float *factors, float *dx, Py_ssize_t n,
                             Py_ssize_t C)
    void norm_moments_double(const double *x, const double *origin, double *sums, Py_ssize_t n, Py_ssize_t C)
    void norm_apply_double(const double *x, const double *mean, const double *scale, const double *shift,
                           double *y, double *after, const pyconvx_activation *f, Py_ssize_t n, Py_ssize_t C)
    void norm_sums_double(const double *x, const double *dy, const double *mean, double *sums, Py_ssize_t n,
                          Py_ssize_t C)
    void norm_gradient_double(const double *x, const double *dy, const double *factors, double *dx, Py_ssize_t n,
                              Py_ssize_t C)

LEVEL = PYCONVX_LEVEL.decode()
TAG = PYCONVX_ACTIVATION_TAG.decode()
ABI = PYCONVX_ACTIVATION_ABI
FROM_OUTPUT = PYCONVX_FROM_OUTPUT
NON_DECREASING = PYCONVX_NON_DECREASING
NAMES = tuple([BUILT_INS[i].name.decode() for i in range(N_BUILT_INS)])


cdef inline Py_ssize_t useful_threads(Py_ssize_t size, Py_ssize_t n_threads) noexcept nogil:
    return 1 if size < ELEMENTWISE_ONE_THREAD else n_threads


# --- compiled activations -------------------------------------------------------------------------

def capsule(name):
    """Capsule of a built-in activation; KeyError for any other name."""
    cdef bytes key = name.encode()
    cdef const pyconvx_activation *found = find_built_in(key)
    if found == NULL:
        raise KeyError(name)
    return PyCapsule_New(<void *> found, PYCONVX_ACTIVATION_TAG, NULL)


cdef const pyconvx_activation *functions_of(object candidate) except NULL:
    """The struct in a capsule, or TypeError."""
    cdef const char *other
    if not PyCapsule_IsValid(candidate, PYCONVX_ACTIVATION_TAG):
        got = repr(candidate)
        if PyCapsule_CheckExact(candidate):
            other = PyCapsule_GetName(candidate)
            got = "one without a name" if other == NULL else f"one named {other.decode(errors='replace')!r}"
        raise TypeError(f"expected a PyCapsule named {TAG!r}, got {got}")
    return <const pyconvx_activation *> PyCapsule_GetPointer(candidate, PYCONVX_ACTIVATION_TAG)


def check_capsule(candidate):
    """Raise TypeError unless the object is a capsule that the kernels can call."""
    cdef const pyconvx_activation *a = functions_of(candidate)
    if a.abi != PYCONVX_ACTIVATION_ABI:
        raise TypeError(f"the {TAG!r} capsule has ABI {a.abi}, this pyconvx needs {ABI}: rebuild the plugin")
    present = {"f_float": a.f_float != NULL, "df_float": a.df_float != NULL,
               "f_double": a.f_double != NULL, "df_double": a.df_double != NULL}
    missing = [name for name, there in present.items() if not there]
    if missing:
        raise TypeError(f"the {TAG!r} capsule lacks {', '.join(missing)}: NULL")


def flags(capsule):
    """FROM_OUTPUT and NON_DECREASING, or-ed."""
    return functions_of(capsule).flags


cdef void forward_part(const pyconvx_activation *a, const real *x, real *y, Py_ssize_t n,
                       Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t chunks = (n + ACTIVATION_CHUNK - 1) // ACTIVATION_CHUNK, i, start, size
    for i in range(chunks * t // parts, chunks * (t + 1) // parts):
        start = i * ACTIVATION_CHUNK
        size = min(ACTIVATION_CHUNK, n - start)
        if real is float:
            a.f_float(x + start, y + start, size)
        else:
            a.f_double(x + start, y + start, size)


def forward(
    object capsule,                 # IN
    const real[::1] x not None,     # IN  (n,)
    real[::1] y not None,           # OUT (n,) overwritten; may be x
    Py_ssize_t n_threads,
):
    """y = f(x)"""
    cdef const pyconvx_activation *a = functions_of(capsule)
    cdef Py_ssize_t n = x.shape[0], t, threads = useful_threads(n, n_threads)
    if n == 0:
        return
    if threads == 1:
        with nogil:
            forward_part(a, &x[0], &y[0], n, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            forward_part(a, &x[0], &y[0], n, t, threads)


cdef void backward_part(const pyconvx_activation *a, const real *v, const real *dy, real *dx, Py_ssize_t n,
                        Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t chunks = (n + ACTIVATION_CHUNK - 1) // ACTIVATION_CHUNK, i, start, size
    for i in range(chunks * t // parts, chunks * (t + 1) // parts):
        start = i * ACTIVATION_CHUNK
        size = min(ACTIVATION_CHUNK, n - start)
        if real is float:
            a.df_float(v + start, dy + start, dx + start, size)
        else:
            a.df_double(v + start, dy + start, dx + start, size)


def backward(
    object capsule,                 # IN
    const real[::1] v not None,     # IN  (n,) y where the flags have FROM_OUTPUT, else x
    const real[::1] dy not None,    # IN  (n,)
    real[::1] dx not None,          # OUT (n,) overwritten; may be v or dy
    Py_ssize_t n_threads,
):
    """dx = dy f'(x)"""
    cdef const pyconvx_activation *a = functions_of(capsule)
    cdef Py_ssize_t n = v.shape[0], t, threads = useful_threads(n, n_threads)
    expect_row("dy, flat,", dy.shape, n)
    if n == 0:
        return
    if threads == 1:
        with nogil:
            backward_part(a, &v[0], &dy[0], &dx[0], n, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            backward_part(a, &v[0], &dy[0], &dx[0], n, t, threads)


# --- softmax --------------------------------------------------------------------------------------

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


# --- batch normalisation --------------------------------------------------------------------------

cdef inline Py_ssize_t blocks_of(Py_ssize_t N) noexcept nogil:
    """Blocks of consecutive samples that a sum over N samples is cut into."""
    return min(<Py_ssize_t> SUM_BLOCKS, N)


def norm_scratch(Py_ssize_t N, Py_ssize_t C):
    """Numbers of double scratch that `batch_moments` and `batch_norm_backward` need."""
    return 2 * blocks_of(N) * norm_width(C) + 4 * C


cdef void add_blocks(double *sums, Py_ssize_t blocks, Py_ssize_t width) noexcept nogil:
    """Add the other blocks to the first, in index order."""
    cdef Py_ssize_t b, c
    for b in range(1, blocks):
        for c in range(width):
            sums[c] += sums[b * width + c]


cdef void moments_part(const real *x, const double *origin, double *sums, Py_ssize_t N, Py_ssize_t P,
                       Py_ssize_t C, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t blocks = blocks_of(N), b, first, end
    for b in range(blocks * t // parts, blocks * (t + 1) // parts):
        first, end = N * b // blocks * P * C, N * (b + 1) // blocks * P * C
        if real is float:
            norm_moments_float(x + first, origin, sums + 2 * b * norm_width(C), end - first, C)
        else:
            norm_moments_double(x + first, origin, sums + 2 * b * norm_width(C), end - first, C)


def batch_moments(
    const real[:, :, ::1] x not None,   # IN  (N, P, C), N and P at least 1
    double[::1] mean not None,          # OUT (C,) overwritten
    double[::1] variance not None,      # OUT (C,) overwritten; biased: divided by N P
    double[::1] scratch not None,       # norm_scratch(N, C) numbers
    Py_ssize_t n_threads,
):
    """Mean and variance of each channel, in one pass, summed in double.

    With d = x - x[0, 0]: mean = x[0, 0] + mean(d), variance = mean(d^2) - mean(d)^2. The origin lies among the
    values, so the difference keeps its digits however far from zero they are.
    """
    cdef Py_ssize_t N = x.shape[0], P = x.shape[1], C = x.shape[2], t, c
    cdef Py_ssize_t width = norm_width(C), threads = useful_threads(N * P * C, n_threads)
    cdef double *sums = &scratch[0]
    cdef double *origin = &mean[0]
    cdef double off, spread
    if N * P * C == 0:
        return
    for c in range(C):
        origin[c] = x[0, 0, c]
    if threads == 1:
        with nogil:
            moments_part(&x[0, 0, 0], origin, sums, N, P, C, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            moments_part(&x[0, 0, 0], origin, sums, N, P, C, t, threads)
    add_blocks(sums, blocks_of(N), 2 * width)
    for c in range(C):
        off = sums[c] / (N * P)
        spread = sums[width + c] / (N * P)
        mean[c] += off
        spread -= off * off
        variance[c] = 0 if spread < 0 else spread   # rounding alone makes it negative; NaN stays


cdef void apply_part(const pyconvx_activation *f, const real *x, const real *mean, const real *scale,
                     const real *shift, real *y, real *after, Py_ssize_t R, Py_ssize_t C,
                     Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t first = R * t // parts * C, end = R * (t + 1) // parts * C
    if real is float:
        norm_apply_float(x + first, mean, scale, shift, y + first, after + first, f, end - first, C)
    else:
        norm_apply_double(x + first, mean, scale, shift, y + first, after + first, f, end - first, C)


def centre_scale_shift(
    const real[:, ::1] x not None,      # IN  (R, C)
    const real[::1] mean not None,      # IN  (C,)
    const real[::1] scale not None,     # IN  (C,)
    const real[::1] shift not None,     # IN  (C,)
    real[:, ::1] y not None,            # OUT (R, C) overwritten
    real[:, ::1] after not None,        # OUT (R, C) overwritten with an activation; may be y
    object capsule,                     # IN  of a compiled activation, or None
    Py_ssize_t n_threads,
):
    """y = (x - mean) scale + shift; after = f(y)"""
    cdef Py_ssize_t R = x.shape[0], C = x.shape[1], t, threads = useful_threads(R * C, n_threads)
    cdef const pyconvx_activation *f = NULL
    if capsule is not None:
        f = functions_of(capsule)
    if R * C == 0:
        return
    if threads == 1:
        with nogil:
            apply_part(f, &x[0, 0], &mean[0], &scale[0], &shift[0], &y[0, 0], &after[0, 0], R, C, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            apply_part(f, &x[0, 0], &mean[0], &scale[0], &shift[0], &y[0, 0], &after[0, 0], R, C, t, threads)


cdef void sums_part(const real *x, const real *dy, const double *mean, double *sums, Py_ssize_t N, Py_ssize_t P,
                    Py_ssize_t C, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t blocks = blocks_of(N), b, i, n
    for b in range(blocks * t // parts, blocks * (t + 1) // parts):
        i = N * b // blocks * P * C
        n = N * (b + 1) // blocks * P * C - i
        if real is float:
            norm_sums_float(x + i, dy + i, mean, sums + 2 * b * norm_width(C), n, C)
        else:
            norm_sums_double(x + i, dy + i, mean, sums + 2 * b * norm_width(C), n, C)


cdef void gradient_of_x(const real *x, const real *dy, const real *factors, real *dx, Py_ssize_t R,
                        Py_ssize_t C, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t i = R * t // parts * C
    cdef Py_ssize_t n = R * (t + 1) // parts * C - i
    if real is float:
        norm_gradient_float(x + i, dy + i, factors, dx + i, n, C)
    else:
        norm_gradient_double(x + i, dy + i, factors, dx + i, n, C)


def batch_norm_backward(
    const real[:, :, ::1] x not None,       # IN  (N, P, C) what was normalised
    const real[:, :, ::1] dy not None,      # IN  (N, P, C)
    const double[::1] mean not None,        # IN  (C,)
    const double[::1] inverse_std not None,  # IN  (C,) 1 / sqrt(variance + eps)
    const real[::1] gamma not None,         # IN  (C,)
    real[:, :, ::1] dx not None,            # OUT (N, P, C) overwritten; may be dy
    real[::1] dgamma not None,              # OUT (C,) accumulated
    real[::1] dbeta not None,               # OUT (C,) accumulated
    double[::1] scratch not None,           # norm_scratch(N, C) numbers
    Py_ssize_t n_threads,
):
    """Gradient of y = gamma (x - mean) inverse_std + beta, where mean and std are x's own.

    dx = gamma inverse_std (dy - mean(dy) - (x - mean) inverse_std^2 mean(dy (x - mean)))
    """
    cdef Py_ssize_t N = x.shape[0], P = x.shape[1], C = x.shape[2], t, c
    cdef Py_ssize_t width = norm_width(C), threads = useful_threads(N * P * C, n_threads)
    cdef double *sums = &scratch[0]
    # real numbers behind the sums
    cdef real *factors = <real *> (sums + 2 * blocks_of(N) * width)
    cdef double weighted
    expect_like("dy", dy.shape, x.shape, 3)
    expect_row("gamma", gamma.shape, C)
    expect_row("the gradient of gamma", dgamma.shape, C)
    expect_row("the gradient of beta", dbeta.shape, C)
    if N * P * C == 0:
        return
    if threads == 1:
        with nogil:
            sums_part(&x[0, 0, 0], &dy[0, 0, 0], &mean[0], sums, N, P, C, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            sums_part(&x[0, 0, 0], &dy[0, 0, 0], &mean[0], sums, N, P, C, t, threads)
    add_blocks(sums, blocks_of(N), 2 * width)
    for c in range(C):
        weighted = sums[width + c] * inverse_std[c]
        dbeta[c] += <real> sums[c]
        dgamma[c] += <real> weighted
        factors[c] = <real> mean[c]
        factors[C + c] = <real> (sums[c] / (N * P))
        factors[2 * C + c] = <real> (weighted * inverse_std[c] / (N * P))
        factors[3 * C + c] = <real> (gamma[c] * inverse_std[c])
    if threads == 1:
        with nogil:
            gradient_of_x(&x[0, 0, 0], &dy[0, 0, 0], factors, &dx[0, 0, 0], N * P, C, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            gradient_of_x(&x[0, 0, 0], &dy[0, 0, 0], factors, &dx[0, 0, 0], N * P, C, t, threads)


# --- sums -----------------------------------------------------------------------------------------

cdef void add_part(const real *x, const real *y, real *out, real *after, const pyconvx_activation *a, Py_ssize_t n,
                   Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t chunks = (n + ACTIVATION_CHUNK - 1) // ACTIVATION_CHUNK, i, j, start, size
    for i in range(chunks * t // parts, chunks * (t + 1) // parts):
        start = i * ACTIVATION_CHUNK
        size = min(ACTIVATION_CHUNK, n - start)
        for j in range(start, start + size):
            out[j] = x[j] + y[j]
        if a == NULL:
            continue
        if real is float:
            a.f_float(out + start, after + start, size)
        else:
            a.f_double(out + start, after + start, size)


def add(
    const real[::1] x not None,     # IN  (n,)
    const real[::1] y not None,     # IN  (n,)
    real[::1] out not None,         # OUT (n,) overwritten; may be x or y
    real[::1] after,                # OUT (n,) activation of out; may be out; None without
    object activation,              # IN  capsule, or None
    Py_ssize_t n_threads,
):
    """out = x + y; after = f(out)"""
    cdef const pyconvx_activation *a = NULL if activation is None else functions_of(activation)
    cdef Py_ssize_t n = x.shape[0], t, threads = useful_threads(n, n_threads)
    cdef real *after_data = NULL
    if n == 0:
        return
    if activation is not None:
        after_data = &after[0]
    if threads == 1:
        with nogil:
            add_part(&x[0], &y[0], &out[0], after_data, a, n, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            add_part(&x[0], &y[0], &out[0], after_data, a, n, t, threads)
