"""Batch normalisation of rows of channels: statistics, the map of each channel, gradients.

Sums are in double and run through at most 16 blocks of consecutive samples that are added in order: the same bits
for any number of threads.
"""

cimport cython
from cython.parallel cimport prange

from pyconvx._ext.common.activation cimport functions_in, pyconvx_activation
from pyconvx._ext.common.arrays cimport ArraySpec, array_spec, data_of, scratch_of
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.common.threads cimport useful_threads
from pyconvx._ext.tuning cimport SUM_BLOCKS

cdef extern from "elementwise/norm.h" nogil:
    Py_ssize_t norm_width(Py_ssize_t C)
    void norm_moments_float(const float *x, const double *origin, double *sums, Py_ssize_t n, Py_ssize_t C)
    void norm_apply_float(const float *x, const float *mean, const float *scale, const float *shift,
                          float *y, float *activated, const pyconvx_activation *f, Py_ssize_t n, Py_ssize_t C)
    void norm_sums_float(const float *x, const float *dy, const double *mean, double *sums, Py_ssize_t n,
                         Py_ssize_t C)
    void norm_gradient_float(const float *x, const float *dy, const float *factors, float *dx, Py_ssize_t n,
                             Py_ssize_t C)
    void norm_moments_double(const double *x, const double *origin, double *sums, Py_ssize_t n, Py_ssize_t C)
    void norm_apply_double(const double *x, const double *mean, const double *scale, const double *shift,
                           double *y, double *activated, const pyconvx_activation *f, Py_ssize_t n, Py_ssize_t C)
    void norm_sums_double(const double *x, const double *dy, const double *mean, double *sums, Py_ssize_t n,
                          Py_ssize_t C)
    void norm_gradient_double(const double *x, const double *dy, const double *factors, double *dx, Py_ssize_t n,
                              Py_ssize_t C)

LEVEL = PYCONVX_LEVEL.decode()


cdef inline Py_ssize_t blocks_of(Py_ssize_t N) noexcept nogil:
    """Blocks of consecutive samples that a sum over N samples is cut into."""
    return min(<Py_ssize_t> SUM_BLOCKS, N)


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


cdef void apply_part(const pyconvx_activation *f, const real *x, const real *mean, const real *scale,
                     const real *shift, real *y, real *activated, Py_ssize_t R, Py_ssize_t C,
                     Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t first = R * t // parts * C, end = R * (t + 1) // parts * C
    if real is float:
        norm_apply_float(x + first, mean, scale, shift, y + first, activated + first, f, end - first, C)
    else:
        norm_apply_double(x + first, mean, scale, shift, y + first, activated + first, f, end - first, C)


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


@cython.nonecheck(False)   # a check of self, which is never None, would jump out of a parallel loop
cdef class BatchNorm:
    """Batch normalisation, planned for batches of one shape.

    Attributes
    ----------
    scratch : int
        Numbers of float64 that `moments` and `backward` need as scratch.
    """

    cdef readonly Py_ssize_t scratch
    cdef Py_ssize_t N, P, C, width, blocks, n_threads
    cdef bint single
    cdef ArraySpec x, dy, channels, y, activated, dx, gradients, moments_of, moments_out, memory

    def __cinit__(self, Py_ssize_t N, Py_ssize_t P, Py_ssize_t C, Py_ssize_t itemsize, Py_ssize_t n_threads):
        """Plan for x of shape (N, P, C): samples, positions and channels."""
        self.N, self.P, self.C, self.single = N, P, C, itemsize == sizeof(float)
        self.width, self.blocks, self.n_threads = norm_width(C), blocks_of(N), useful_threads(N * P * C, n_threads)
        self.scratch = 2 * self.blocks * self.width + 4 * C
        self.x = array_spec(b"x", itemsize, False, N, P, C, -1)
        self.dy = array_spec(b"dy", itemsize, False, N, P, C, -1)
        self.y = array_spec(b"y", itemsize, True, N, P, C, -1)
        self.activated = array_spec(b"activated", itemsize, True, N, P, C, -1)
        self.dx = array_spec(b"dx", itemsize, True, N, P, C, -1)
        self.channels = array_spec(b"a number for each channel", itemsize, False, C, -1, -1, -1)
        self.gradients = array_spec(b"the gradient of gamma or beta", itemsize, True, C, -1, -1, -1)
        self.moments_of = array_spec(b"moments", sizeof(double), False, 2, C, -1, -1)
        self.moments_out = array_spec(b"moments", sizeof(double), True, 2, C, -1, -1)
        self.memory = array_spec(b"scratch", sizeof(double), True, self.scratch, -1, -1, -1)

    def moments(
        self,
        x,              # IN (N, P, C)
        moments,        # OUT float64 (2, C): means, and variances, divided by N P
        scratch,        # `scratch` numbers of float64 or more, overwritten
    ):
        """Compute mean and variance of each channel, in one pass.

        With d = x - x[0, 0]: mean = x[0, 0] + mean(d), variance = mean(d^2) - mean(d)^2. The origin lies among the
        values, so the difference keeps its digits however far from zero they are.
        """
        cdef void *numbers = data_of(x, &self.x)
        cdef double *out = <double *> data_of(moments, &self.moments_out)
        cdef double *sums = <double *> scratch_of(scratch, &self.memory)
        if self.N * self.P * self.C == 0:
            return
        with nogil:
            if self.single:
                self.measure(<float *> numbers, out, sums)
            else:
                self.measure(<double *> numbers, out, sums)

    def apply(
        self,
        x,              # IN (N, P, C)
        mean,           # IN (C,)
        scale,          # IN (C,)
        shift,          # IN (C,)
        y,              # OUT (N, P, C), overwritten
        activated,      # OUT (N, P, C), overwritten with the activation of y; may be y; None without one
        activation,     # IN capsule of a compiled activation, or None
    ):
        """y = (x - mean) scale + shift; activated = f(y)"""
        cdef const pyconvx_activation *f = functions_in(activation)
        cdef void *numbers = data_of(x, &self.x)
        cdef void *means = data_of(mean, &self.channels)
        cdef void *scales = data_of(scale, &self.channels)
        cdef void *shifts = data_of(shift, &self.channels)
        cdef void *out = data_of(y, &self.y)
        cdef void *result = out if f == NULL else data_of(activated, &self.activated)
        if self.N * self.P * self.C == 0:
            return
        with nogil:
            if self.single:
                self.map(f, <float *> numbers, <float *> means, <float *> scales, <float *> shifts, <float *> out,
                         <float *> result)
            else:
                self.map(f, <double *> numbers, <double *> means, <double *> scales, <double *> shifts,
                         <double *> out, <double *> result)

    def backward(
        self,
        x,              # IN (N, P, C), what was normalised
        dy,             # IN (N, P, C)
        moments,        # IN float64 (2, C): means, and 1 / sqrt(variance + eps)
        gamma,          # IN (C,)
        dx,             # OUT (N, P, C), overwritten; may be dy
        dgamma,         # OUT (C,), accumulated
        dbeta,          # OUT (C,), accumulated
        scratch,        # `scratch` numbers of float64 or more, overwritten
    ):
        """Compute the gradients of y = gamma (x - mean) inverse_std + beta, whose mean and std are x's own.

        dx = gamma inverse_std (dy - mean(dy) - (x - mean) inverse_std^2 mean(dy (x - mean)))
        """
        cdef void *numbers = data_of(x, &self.x)
        cdef void *gradient = data_of(dy, &self.dy)
        cdef const double *of_channels = <double *> data_of(moments, &self.moments_of)
        cdef void *gammas = data_of(gamma, &self.channels)
        cdef void *out = data_of(dx, &self.dx)
        cdef void *of_gamma = data_of(dgamma, &self.gradients)
        cdef void *of_beta = data_of(dbeta, &self.gradients)
        cdef double *sums = <double *> scratch_of(scratch, &self.memory)
        if self.N * self.P * self.C == 0:
            return
        with nogil:
            if self.single:
                self.run_back(<float *> numbers, <float *> gradient, of_channels, <float *> gammas, <float *> out,
                              <float *> of_gamma, <float *> of_beta, sums)
            else:
                self.run_back(<double *> numbers, <double *> gradient, of_channels, <double *> gammas,
                              <double *> out, <double *> of_gamma, <double *> of_beta, sums)

    cdef void measure(self, const real *x, double *moments, double *sums) noexcept nogil:
        cdef double *mean = moments
        cdef double *variance = moments + self.C
        cdef double off, spread
        cdef Py_ssize_t c, t, count = self.N * self.P
        for c in range(self.C):
            mean[c] = x[c]
        if self.n_threads == 1:
            moments_part(x, mean, sums, self.N, self.P, self.C, 0, 1)
        else:
            for t in prange(self.n_threads, num_threads=self.n_threads, schedule="static"):
                moments_part(x, mean, sums, self.N, self.P, self.C, t, self.n_threads)
        add_blocks(sums, self.blocks, 2 * self.width)
        for c in range(self.C):
            off = sums[c] / count
            spread = sums[self.width + c] / count
            mean[c] += off
            spread -= off * off
            variance[c] = 0 if spread < 0 else spread   # rounding alone makes it negative; NaN stays

    cdef void map(self, const pyconvx_activation *f, const real *x, const real *mean, const real *scale,
                  const real *shift, real *y, real *activated) noexcept nogil:
        cdef Py_ssize_t t, R = self.N * self.P
        if self.n_threads == 1:
            apply_part(f, x, mean, scale, shift, y, activated, R, self.C, 0, 1)
        else:
            for t in prange(self.n_threads, num_threads=self.n_threads, schedule="static"):
                apply_part(f, x, mean, scale, shift, y, activated, R, self.C, t, self.n_threads)

    cdef void run_back(self, const real *x, const real *dy, const double *moments, const real *gamma, real *dx,
                       real *dgamma, real *dbeta, double *sums) noexcept nogil:
        cdef Py_ssize_t t
        # four numbers for each channel, in double or in float, after the sums
        cdef real *factors = <real *> (sums + 2 * self.blocks * self.width)
        if self.n_threads == 1:
            sums_part(x, dy, moments, sums, self.N, self.P, self.C, 0, 1)
        else:
            for t in prange(self.n_threads, num_threads=self.n_threads, schedule="static"):
                sums_part(x, dy, moments, sums, self.N, self.P, self.C, t, self.n_threads)
        add_blocks(sums, self.blocks, 2 * self.width)
        self.combine(moments, gamma, sums, dgamma, dbeta, factors)
        if self.n_threads == 1:
            gradient_of_x(x, dy, factors, dx, self.N * self.P, self.C, 0, 1)
        else:
            for t in prange(self.n_threads, num_threads=self.n_threads, schedule="static"):
                gradient_of_x(x, dy, factors, dx, self.N * self.P, self.C, t, self.n_threads)

    cdef void combine(self, const double *moments, const real *gamma, const double *sums, real *dgamma,
                      real *dbeta, real *factors) noexcept nogil:
        """Add to the gradients of gamma and beta, and write what dx takes of each channel."""
        cdef Py_ssize_t c, C = self.C, count = self.N * self.P
        cdef const double *inverse_std = moments + C
        cdef double weighted
        for c in range(C):
            weighted = sums[self.width + c] * inverse_std[c]
            dbeta[c] += <real> sums[c]
            dgamma[c] += <real> weighted
            factors[c] = <real> moments[c]
            factors[C + c] = <real> (sums[c] / count)
            factors[2 * C + c] = <real> (weighted * inverse_std[c] / count)
            factors[3 * C + c] = <real> (gamma[c] * inverse_std[c])
