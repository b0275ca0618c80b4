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

cdef extern from *:
    """
    #ifndef PYCONVX_LEVEL
    #define PYCONVX_LEVEL "baseline"
    #endif
    """
    const char *PYCONVX_LEVEL

cdef extern from "activations.h" nogil:
    const char *PYCONVX_ACTIVATION_TAG
    unsigned int PYCONVX_ACTIVATION_ABI, PYCONVX_FROM_OUTPUT, PYCONVX_NON_DECREASING
    ctypedef struct pyconvx_activation:
        unsigned int abi
        unsigned int flags
        void (*f_float)(const float *x, float *y, Py_ssize_t n) noexcept nogil
        void (*df_float)(const float *v, const float *dy, float *dx, Py_ssize_t n) noexcept nogil
        void (*f_double)(const double *x, double *y, Py_ssize_t n) noexcept nogil
        void (*df_double)(const double *v, const double *dy, double *dx, Py_ssize_t n) noexcept nogil
    ctypedef struct named_activation:
        const char *name
    const named_activation *BUILT_INS
    const Py_ssize_t N_BUILT_INS
    const pyconvx_activation *find_built_in(const char *name)

cdef extern from "softmax.h" nogil:
    void row_softmax_float(const float *x, float *y, Py_ssize_t n)
    void row_softmax_double(const double *x, double *y, Py_ssize_t n)
    void row_log_softmax_float(const float *x, float *y, Py_ssize_t n)
    void row_log_softmax_double(const double *x, double *y, Py_ssize_t n)
    void row_softmax_gradient_float(const float *y, const float *dy, float *dx, Py_ssize_t n)
    void row_softmax_gradient_double(const double *y, const double *dy, double *dx, Py_ssize_t n)
    void row_log_softmax_gradient_float(const float *y, const float *dy, float *dx, Py_ssize_t n)
    void row_log_softmax_gradient_double(const double *y, const double *dy, double *dx, Py_ssize_t n)

ctypedef fused real:
    float
    double

LEVEL = PYCONVX_LEVEL.decode()
TAG = PYCONVX_ACTIVATION_TAG.decode()
ABI = PYCONVX_ACTIVATION_ABI
FROM_OUTPUT = PYCONVX_FROM_OUTPUT
NON_DECREASING = PYCONVX_NON_DECREASING
NAMES = tuple([BUILT_INS[i].name.decode() for i in range(N_BUILT_INS)])

cdef enum:
    CHUNK = 4096              # numbers that a call of an activation covers: three arrays of them fit L1 or L2
    SMALL = 16 * 1024         # numbers below which a second thread costs more than it saves
    BLOCKS = 16               # blocks of samples in a sum


cdef inline Py_ssize_t useful_threads(Py_ssize_t size, Py_ssize_t n_threads) noexcept nogil:
    return 1 if size < SMALL else n_threads


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
    cdef Py_ssize_t chunks = (n + CHUNK - 1) // CHUNK, i, start, size
    for i in range(chunks * t // parts, chunks * (t + 1) // parts):
        start = i * CHUNK
        size = min(<Py_ssize_t> CHUNK, n - start)
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
    cdef Py_ssize_t chunks = (n + CHUNK - 1) // CHUNK, i, start, size
    for i in range(chunks * t // parts, chunks * (t + 1) // parts):
        start = i * CHUNK
        size = min(<Py_ssize_t> CHUNK, n - start)
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

def block_count(Py_ssize_t N):
    """Blocks of consecutive samples that a sum over N samples is cut into."""
    return min(<Py_ssize_t> BLOCKS, N)


cdef void moment_part(const real *x, const double *mean, double *sums, Py_ssize_t N, Py_ssize_t P,
                      Py_ssize_t C, Py_ssize_t blocks, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    # sums of x, or with a mean of (x - mean)^2, over each block
    cdef Py_ssize_t b, row, c
    cdef double *s
    cdef const real *v
    cdef double d
    for b in range(blocks * t // parts, blocks * (t + 1) // parts):
        s = sums + b * C
        for c in range(C):
            s[c] = 0
        for row in range(N * b // blocks * P, N * (b + 1) // blocks * P):
            v = x + row * C
            if mean == NULL:
                for c in range(C):
                    s[c] += <double> v[c]
            else:
                for c in range(C):
                    d = <double> v[c] - mean[c]
                    s[c] += d * d


cdef void moment(const real *x, const double *mean, double *out, double *sums, Py_ssize_t N, Py_ssize_t P,
                 Py_ssize_t C, Py_ssize_t blocks, Py_ssize_t threads) noexcept:
    """Blocks in any order, then their sum in index order, over the number of rows."""
    cdef Py_ssize_t t, c
    if threads == 1:
        with nogil:
            moment_part(x, mean, sums, N, P, C, blocks, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            moment_part(x, mean, sums, N, P, C, blocks, t, threads)
    add_blocks(sums, blocks, C)
    for c in range(C):
        out[c] = sums[c] / (N * P)


cdef void add_blocks(double *sums, Py_ssize_t blocks, Py_ssize_t width) noexcept nogil:
    """Add the other blocks to the first, in index order."""
    cdef Py_ssize_t b, c
    for b in range(1, blocks):
        for c in range(width):
            sums[c] += sums[b * width + c]


def batch_moments(
    const real[:, :, ::1] x not None,   # IN  (N, P, C), N and P at least 1
    double[::1] mean not None,          # OUT (C,) overwritten
    double[::1] variance not None,      # OUT (C,) overwritten; biased: divided by N P
    double[:, ::1] scratch not None,    # (block_count(N), C)
    Py_ssize_t n_threads,
):
    """Mean and variance of each channel, in two passes, summed in double."""
    cdef Py_ssize_t N = x.shape[0], P = x.shape[1], C = x.shape[2]
    cdef Py_ssize_t blocks = min(<Py_ssize_t> BLOCKS, N), threads = useful_threads(N * P * C, n_threads)
    if N * P * C == 0:
        return
    moment(&x[0, 0, 0], NULL, &mean[0], &scratch[0, 0], N, P, C, blocks, threads)
    moment(&x[0, 0, 0], &mean[0], &variance[0], &scratch[0, 0], N, P, C, blocks, threads)


cdef void centre_part(const real *x, const real *mean, const real *scale, const real *shift, real *y,
                      Py_ssize_t R, Py_ssize_t C, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    # the mean goes first: x scale + (shift - mean scale) loses all digits of a channel far from zero
    cdef Py_ssize_t row, c
    for row in range(R * t // parts, R * (t + 1) // parts):
        for c in range(C):
            y[row * C + c] = (x[row * C + c] - mean[c]) * scale[c] + shift[c]


def centre_scale_shift(
    const real[:, ::1] x not None,      # IN  (R, C)
    const real[::1] mean not None,      # IN  (C,)
    const real[::1] scale not None,     # IN  (C,)
    const real[::1] shift not None,     # IN  (C,)
    real[:, ::1] y not None,            # OUT (R, C) overwritten; may be x
    Py_ssize_t n_threads,
):
    """y = (x - mean) scale + shift"""
    cdef Py_ssize_t R = x.shape[0], C = x.shape[1], t, threads = useful_threads(R * C, n_threads)
    if R * C == 0:
        return
    if threads == 1:
        with nogil:
            centre_part(&x[0, 0], &mean[0], &scale[0], &shift[0], &y[0, 0], R, C, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            centre_part(&x[0, 0], &mean[0], &scale[0], &shift[0], &y[0, 0], R, C, t, threads)


cdef void norm_sums_part(const real *x, const real *dy, const double *mean, double *sums, Py_ssize_t N,
                         Py_ssize_t P, Py_ssize_t C, Py_ssize_t blocks,
                         Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    # each block: C sums of dy, then C sums of dy (x - mean)
    cdef Py_ssize_t b, row, c
    cdef double *plain
    cdef double *weighted
    cdef const real *v
    cdef const real *g
    for b in range(blocks * t // parts, blocks * (t + 1) // parts):
        plain = sums + b * 2 * C
        weighted = plain + C
        for c in range(2 * C):
            plain[c] = 0
        for row in range(N * b // blocks * P, N * (b + 1) // blocks * P):
            v = x + row * C
            g = dy + row * C
            for c in range(C):
                plain[c] += <double> g[c]
                weighted[c] += <double> g[c] * (<double> v[c] - mean[c])


cdef void norm_gradient_part(const real *x, const real *dy, const real *factors, real *dx, Py_ssize_t R,
                             Py_ssize_t C, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    # factors: (4, C) mean of x, mean of dy, slope, scale
    cdef Py_ssize_t row, c, i
    cdef real deviation, centred
    for row in range(R * t // parts, R * (t + 1) // parts):
        for c in range(C):
            i = row * C + c
            deviation = x[i] - factors[c]
            centred = dy[i] - factors[C + c]
            dx[i] = (centred - deviation * factors[2 * C + c]) * factors[3 * C + c]


def batch_norm_backward(
    const real[:, :, ::1] x not None,       # IN  (N, P, C) what was normalised
    const real[:, :, ::1] dy not None,      # IN  (N, P, C)
    const double[::1] mean not None,        # IN  (C,)
    const double[::1] inverse_std not None,  # IN  (C,) 1 / sqrt(variance + eps)
    const real[::1] gamma not None,         # IN  (C,)
    real[:, :, ::1] dx not None,            # OUT (N, P, C) overwritten; may be dy
    real[::1] dgamma not None,              # OUT (C,) accumulated
    real[::1] dbeta not None,               # OUT (C,) accumulated
    double[:, ::1] scratch not None,        # (block_count(N) + 2, 2 C)
    Py_ssize_t n_threads,
):
    """Gradient of y = gamma (x - mean) inverse_std + beta, where mean and std are x's own.

    dx = gamma inverse_std (dy - mean(dy) - (x - mean) inverse_std^2 mean(dy (x - mean)))
    """
    cdef Py_ssize_t N = x.shape[0], P = x.shape[1], C = x.shape[2], t, c
    cdef Py_ssize_t blocks = min(<Py_ssize_t> BLOCKS, N), threads = useful_threads(N * P * C, n_threads)
    cdef double *sums = &scratch[0, 0]
    # real numbers in the last two rows of the scratch
    cdef real *factors = <real *> &scratch[blocks, 0]
    cdef double weighted
    if N * P * C == 0:
        return
    if threads == 1:
        with nogil:
            norm_sums_part(&x[0, 0, 0], &dy[0, 0, 0], &mean[0], sums, N, P, C, blocks, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            norm_sums_part(&x[0, 0, 0], &dy[0, 0, 0], &mean[0], sums, N, P, C, blocks, t, threads)
    add_blocks(sums, blocks, 2 * C)
    for c in range(C):
        weighted = sums[C + c] * inverse_std[c]
        dbeta[c] += <real> sums[c]
        dgamma[c] += <real> weighted
        factors[c] = <real> mean[c]
        factors[C + c] = <real> (sums[c] / (N * P))
        factors[2 * C + c] = <real> (weighted * inverse_std[c] / (N * P))
        factors[3 * C + c] = <real> (gamma[c] * inverse_std[c])
    if threads == 1:
        with nogil:
            norm_gradient_part(&x[0, 0, 0], &dy[0, 0, 0], factors, &dx[0, 0, 0], N * P, C, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            norm_gradient_part(&x[0, 0, 0], &dy[0, 0, 0], factors, &dx[0, 0, 0], N * P, C, t, threads)


# --- sums -----------------------------------------------------------------------------------------

cdef void add_part(const real *x, const real *y, real *out, Py_ssize_t n, Py_ssize_t t,
                   Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n * t // parts, n * (t + 1) // parts):
        out[i] = x[i] + y[i]


def add(
    const real[::1] x not None,     # IN  (n,)
    const real[::1] y not None,     # IN  (n,)
    real[::1] out not None,         # OUT (n,) overwritten; may be x or y
    Py_ssize_t n_threads,
):
    """out = x + y"""
    cdef Py_ssize_t n = x.shape[0], t, threads = useful_threads(n, n_threads)
    if n == 0:
        return
    if threads == 1:
        with nogil:
            add_part(&x[0], &y[0], &out[0], n, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            add_part(&x[0], &y[0], &out[0], n, t, threads)
