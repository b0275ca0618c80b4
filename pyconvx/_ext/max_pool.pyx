"""Max pooling, forward and backward (channels last, float32 and float64).

A window over all its channels is one C call (pooling/pool.h, vectors over channels); here are the loops over
samples, output rows and windows. A plan checks its arrays, not its window: each one must have a tap inside the
map. OH and OW count windows; a tap's number is kh * KW + kw.
"""

cimport cython
from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memset

from pyconvx._ext.common.arrays cimport ArraySpec, array_spec, data_of, integer_spec
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.pooling.windows cimport PoolMap, Taps, cell_of, pool_map, pool_window, taps_of, window_of

cdef extern from "pooling/pool.h" nogil:
    void pool_max_f32_u8(const float *x, pool_window w, float *y, uint8_t *winner, Py_ssize_t C)
    void pool_max_f32_i32(const float *x, pool_window w, float *y, int32_t *winner, Py_ssize_t C)
    void pool_max_f64_u8(const double *x, pool_window w, double *y, uint8_t *winner, Py_ssize_t C)
    void pool_max_f64_i32(const double *x, pool_window w, double *y, int32_t *winner, Py_ssize_t C)
    void pool_max_back_f32_u8(const float *dy, const uint8_t *winner, pool_window w, float *dx, Py_ssize_t C)
    void pool_max_back_f32_i32(const float *dy, const int32_t *winner, pool_window w, float *dx, Py_ssize_t C)
    void pool_max_back_f64_u8(const double *dy, const uint8_t *winner, pool_window w, double *dx,
                              Py_ssize_t C)
    void pool_max_back_f64_i32(const double *dy, const int32_t *winner, pool_window w, double *dx,
                               Py_ssize_t C)

LEVEL = PYCONVX_LEVEL.decode()

ctypedef fused tap:
    uint8_t
    int32_t


cdef inline void max_window(const real *x, pool_window p, real *y, tap *winner, Py_ssize_t C) noexcept nogil:
    if real is float and tap is uint8_t:
        pool_max_f32_u8(x, p, y, winner, C)
    elif real is float:
        pool_max_f32_i32(x, p, y, winner, C)
    elif tap is uint8_t:
        pool_max_f64_u8(x, p, y, winner, C)
    else:
        pool_max_f64_i32(x, p, y, winner, C)


cdef inline void max_window_back(const real *dy, const tap *winner, pool_window p, real *dx,
                                 Py_ssize_t C) noexcept nogil:
    if real is float and tap is uint8_t:
        pool_max_back_f32_u8(dy, winner, p, dx, C)
    elif real is float:
        pool_max_back_f32_i32(dy, winner, p, dx, C)
    elif tap is uint8_t:
        pool_max_back_f64_u8(dy, winner, p, dx, C)
    else:
        pool_max_back_f64_i32(dy, winner, p, dx, C)


cdef void max_part(const PoolMap *m, const real *x, real *y, tap *winner, Py_ssize_t t,
                   Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t units = m.N * m.h.windows, unit, n, ow, cell
    cdef Taps h, w
    for unit in range(units * t // parts, units * (t + 1) // parts):
        n = unit // m.h.windows
        h = taps_of(&m.h, unit % m.h.windows)
        for ow in range(m.w.windows):
            w = taps_of(&m.w, ow)
            cell = (unit * m.w.windows + ow) * m.C
            max_window(x + cell_of(m, n, h.at, w.at), window_of(m, h, w), y + cell, winner + cell, m.C)


cdef void max_back_part(const PoolMap *m, const real *dy, const tap *winner, real *dx, Py_ssize_t t,
                        Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t n, oh, ow, cell
    cdef Taps h, w
    for n in range(m.N * t // parts, m.N * (t + 1) // parts):
        memset(dx + cell_of(m, n, 0, 0), 0, m.h.size * m.w.size * m.C * sizeof(real))
        for oh in range(m.h.windows):
            h = taps_of(&m.h, oh)
            for ow in range(m.w.windows):
                w = taps_of(&m.w, ow)
                cell = ((n * m.h.windows + oh) * m.w.windows + ow) * m.C
                max_window_back(dy + cell, winner + cell, window_of(m, h, w), dx + cell_of(m, n, h.at, w.at), m.C)


cdef void places_part(const PoolMap *m, const tap *winner, int64_t *argmax, Py_ssize_t t,
                      Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t units = m.N * m.h.windows, unit, ow, c, start, row, cell
    # a quotient by a product, because integers are divided one by one: half a tap away from every integer,
    # the rounding of a number below 2**31 cannot reach one
    cdef double inverse = 1.0 / m.w.kernel
    cdef Py_ssize_t next_row = m.h.dilation * m.w.size - m.w.kernel * m.w.dilation
    for unit in range(units * t // parts, units * (t + 1) // parts):
        for ow in range(m.w.windows):
            start = (unit % m.h.windows * m.h.stride - m.h.before) * m.w.size + ow * m.w.stride - m.w.before
            cell = (unit * m.w.windows + ow) * m.C
            for c in range(cell, cell + m.C):
                row = <int32_t>((winner[c] + 0.5) * inverse)
                argmax[c] = start + row * next_row + winner[c] * m.w.dilation


@cython.nonecheck(False)   # a check of self, which is never None, would jump out of a parallel loop
cdef class MaxPool:
    """A max pool, planned for batches of one shape.

    The largest value of a window is the first NaN if there is one, else the first of the largest.

    Attributes
    ----------
    n_threads : int
        Threads that share the work.
    """

    cdef readonly Py_ssize_t n_threads
    cdef PoolMap map
    cdef bint single, bytes
    cdef ArraySpec x, dx, y, dy, winner, winners, argmax

    def __cinit__(self, input_shape, window, Py_ssize_t itemsize, Py_ssize_t tap_itemsize, Py_ssize_t n_threads):
        """Plan for x of shape (N, H, W, C); taps are numbered in bytes (1) or int32 (4)."""
        cdef PoolMap m = pool_map(input_shape, window)
        cdef Py_ssize_t OH = m.h.windows, OW = m.w.windows
        self.map, self.n_threads = m, n_threads
        self.single, self.bytes = itemsize == sizeof(float), tap_itemsize == 1
        self.x = array_spec(b"x", itemsize, False, m.N, m.h.size, m.w.size, m.C)
        self.dx = array_spec(b"dx", itemsize, True, m.N, m.h.size, m.w.size, m.C)
        self.y = array_spec(b"y", itemsize, True, m.N, OH, OW, m.C)
        self.dy = array_spec(b"dy", itemsize, False, m.N, OH, OW, m.C)
        self.winner = integer_spec(b"winner", tap_itemsize, False, m.N, OH, OW, m.C)
        self.winners = integer_spec(b"winner", tap_itemsize, True, m.N, OH, OW, m.C)
        self.argmax = integer_spec(b"argmax", 8, True, m.N, OH, OW, m.C)

    def forward(
        self,
        x,          # IN (N, H, W, C)
        y,          # OUT (N, OH, OW, C), overwritten
        winner,     # OUT uint8 or int32 (N, OH, OW, C), overwritten: the number of the winning tap
    ):
        """Write the largest value of each window, and which tap it is."""
        cdef void *images = data_of(x, &self.x)
        cdef void *out = data_of(y, &self.y)
        cdef void *winners = data_of(winner, &self.winners)
        with nogil:
            if self.single and self.bytes:
                self.find(<float *> images, <float *> out, <uint8_t *> winners)
            elif self.single:
                self.find(<float *> images, <float *> out, <int32_t *> winners)
            elif self.bytes:
                self.find(<double *> images, <double *> out, <uint8_t *> winners)
            else:
                self.find(<double *> images, <double *> out, <int32_t *> winners)

    def backward(
        self,
        dy,         # IN (N, OH, OW, C)
        winner,     # IN uint8 or int32 (N, OH, OW, C): as `forward` wrote it
        dx,         # OUT (N, H, W, C), overwritten
    ):
        """Give the gradient of each window to its winner; overlapping windows add, in the order of the windows."""
        cdef void *gradient = data_of(dy, &self.dy)
        cdef void *winners = data_of(winner, &self.winner)
        cdef void *out = data_of(dx, &self.dx)
        with nogil:
            if self.single and self.bytes:
                self.give(<float *> gradient, <uint8_t *> winners, <float *> out)
            elif self.single:
                self.give(<float *> gradient, <int32_t *> winners, <float *> out)
            elif self.bytes:
                self.give(<double *> gradient, <uint8_t *> winners, <double *> out)
            else:
                self.give(<double *> gradient, <int32_t *> winners, <double *> out)

    def places(
        self,
        winner,     # IN uint8 or int32 (N, OH, OW, C): as `forward` wrote it
        argmax,     # OUT int64 (N, OH, OW, C), overwritten: h * W + w
    ):
        """Write where in the map each winner is, in place of its number in the window."""
        cdef void *winners = data_of(winner, &self.winner)
        cdef int64_t *out = <int64_t *> data_of(argmax, &self.argmax)
        with nogil:
            if self.bytes:
                self.locate(<uint8_t *> winners, out)
            else:
                self.locate(<int32_t *> winners, out)

    cdef void find(self, const real *x, real *y, tap *winner) noexcept nogil:
        cdef Py_ssize_t t
        if self.n_threads == 1:
            max_part(&self.map, x, y, winner, 0, 1)
        else:
            for t in prange(self.n_threads, num_threads=self.n_threads, schedule="static"):
                max_part(&self.map, x, y, winner, t, self.n_threads)

    cdef void give(self, const real *dy, const tap *winner, real *dx) noexcept nogil:
        cdef Py_ssize_t t
        if self.n_threads == 1:
            max_back_part(&self.map, dy, winner, dx, 0, 1)
        else:
            for t in prange(self.n_threads, num_threads=self.n_threads, schedule="static"):
                max_back_part(&self.map, dy, winner, dx, t, self.n_threads)

    cdef void locate(self, const tap *winner, int64_t *argmax) noexcept nogil:
        cdef Py_ssize_t t
        if self.n_threads == 1:
            places_part(&self.map, winner, argmax, 0, 1)
        else:
            for t in prange(self.n_threads, num_threads=self.n_threads, schedule="static"):
                places_part(&self.map, winner, argmax, t, self.n_threads)


cdef void argmax_scatter_part(const real[:, :, ::1] dy, const int64_t[:, :, ::1] argmax, real[:, :, ::1] dx,
                              Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t N = dy.shape[0], C = dy.shape[2], n, o, c
    for n in range(N * t // parts, N * (t + 1) // parts):
        memset(&dx[n, 0, 0], 0, dx.shape[1] * C * sizeof(real))
        for o in range(dy.shape[1]):
            for c in range(C):
                dx[n, argmax[n, o, c], c] += dy[n, o, c]


def argmax_scatter(
    const real[:, :, ::1] dy not None,          # IN (N, OH*OW, C)
    const int64_t[:, :, ::1] argmax not None,   # IN (N, OH*OW, C): places in the map, each in 0..H*W-1
    real[:, :, ::1] dx not None,                # OUT (N, H*W, C), overwritten
    int n_threads,
):
    """Give gradients to places in the map; those for one place add, in the order of the windows."""
    cdef Py_ssize_t t
    if n_threads == 1:
        with nogil:
            argmax_scatter_part(dy, argmax, dx, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            argmax_scatter_part(dy, argmax, dx, t, n_threads)
