"""Random numbers without state: functions of (seed, purpose, epoch, sample, element) alone.

So no result depends on the number of threads or on the order in which samples come. A key is made for each
sample; its elements are numbered from it (a counter-based generator).
"""

from cython.parallel import prange
from libc.stdint cimport int64_t, uint64_t

from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.common.shapes cimport expect_matrix, expect_row

LEVEL = PYCONVX_LEVEL.decode()

cdef uint64_t GOLDEN = 0x9E3779B97F4A7C15


cdef inline uint64_t mix(uint64_t z) noexcept nogil:
    """splitmix64's finaliser (Steele, Lea, Flood 2014): a bijection that scatters its input."""
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t absorb(uint64_t state, uint64_t value) noexcept nogil:
    return mix((state ^ value) + GOLDEN)


def key(uint64_t seed, uint64_t purpose, uint64_t epoch, uint64_t sample):
    """The key of one sample's random numbers: seed, purpose, epoch, sample absorbed in turn."""
    return absorb(absorb(absorb(absorb(0, seed), purpose), epoch), sample)


def keys(
    uint64_t seed,
    uint64_t purpose,
    uint64_t epoch,
    const int64_t[::1] samples not None,  # IN (N,), row numbers in the data set
    uint64_t[::1] out not None,           # OUT (N,), overwritten
):
    """`key` of each sample."""
    cdef uint64_t state = absorb(absorb(absorb(0, seed), purpose), epoch)
    cdef Py_ssize_t i
    expect_row("samples", samples.shape, out.shape[0])
    for i in range(samples.shape[0]):
        out[i] = absorb(state, <uint64_t>samples[i])


cdef void dropout_part(
    const real *x, const uint64_t *row_keys, uint64_t threshold, real scale, real *y,
    Py_ssize_t N, Py_ssize_t F, Py_ssize_t t, Py_ssize_t parts,
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef uint64_t counter
    for i in range(N * t // parts, N * (t + 1) // parts):
        for j in range(F):
            counter = row_keys[i] + <uint64_t>(j + 1) * GOLDEN
            y[i * F + j] = x[i * F + j] * scale if (mix(counter) >> 11) >= threshold else 0


cdef void run_dropout(
    const real *x, const uint64_t *row_keys, double rate, real *y, Py_ssize_t N, Py_ssize_t F, int n_threads
) noexcept nogil:
    # the upper 53 bits u of a draw give the uniform number u / 2^53; u / 2^53 >= rate in whole numbers
    cdef uint64_t threshold = <uint64_t>(rate * 9007199254740992.0)
    cdef real scale = <real>(1.0 / (1.0 - rate))
    cdef Py_ssize_t t
    if <double>threshold < rate * 9007199254740992.0:
        threshold += 1
    if n_threads == 1:
        dropout_part(x, row_keys, threshold, scale, y, N, F, 0, 1)
    else:
        for t in prange(n_threads, num_threads=n_threads, schedule="static"):
            dropout_part(x, row_keys, threshold, scale, y, N, F, t, n_threads)


def dropout(
    const real[:, ::1] x not None,           # IN (N, F)
    const uint64_t[::1] row_keys not None,   # IN (N,) from `keys`
    double rate,                             # at least 0, below 1
    real[:, ::1] y not None,                 # OUT (N, F), overwritten; may be x
    int n_threads,
):
    """Keep element j of row i, times 1 / (1 - rate), where its uniform number reaches rate; else 0."""
    if x.shape[0] == 0 or x.shape[1] == 0:
        return
    with nogil:
        run_dropout(&x[0, 0], &row_keys[0], rate, &y[0, 0], x.shape[0], x.shape[1], n_threads)


def dropout_backward(
    const real[:, ::1] dy not None,          # IN (N, F)
    const uint64_t[::1] row_keys not None,   # IN (N,), as in `dropout`
    double rate,
    real[:, ::1] dx not None,                # OUT (N, F), overwritten; may be dy
    int n_threads,
):
    """The same elements as `dropout` keeps, with the same factor: nothing need be stored."""
    expect_matrix("dy", dy.shape, row_keys.shape[0], dx.shape[1])
    if dy.shape[0] == 0 or dy.shape[1] == 0:
        return
    with nogil:
        run_dropout(&dy[0, 0], &row_keys[0], rate, &dx[0, 0], dy.shape[0], dy.shape[1], n_threads)
