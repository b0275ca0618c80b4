"""Average pooling, forward and backward (channels last, float32 and float64).

As in max_pool.pyx, a window over all its channels is one C call, and each window must have a tap inside the map.
"""

cimport cython
from cython.parallel cimport prange
from libc.string cimport memset

from pyconvx._ext.common.arrays cimport ArraySpec, array_spec, data_of
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.pooling.windows cimport (
    Axis, PoolMap, Taps, cell_of, padded, pool_map, pool_window, taps_of, window_of,
)

cdef extern from "pooling/pool.h" nogil:
    void pool_mean_f32(const float *x, pool_window w, float count, float *y, Py_ssize_t C)
    void pool_mean_f64(const double *x, pool_window w, double count, double *y, Py_ssize_t C)
    void pool_mean_back_f32(const float *dy, pool_window w, float count, float *dx, Py_ssize_t C)
    void pool_mean_back_f64(const double *dy, pool_window w, double count, double *dx, Py_ssize_t C)

LEVEL = PYCONVX_LEVEL.decode()


cdef inline void mean_window(const real *x, pool_window p, Py_ssize_t count, real *y,
                             Py_ssize_t C) noexcept nogil:
    if real is float:
        pool_mean_f32(x, p, <float>count, y, C)
    else:
        pool_mean_f64(x, p, <double>count, y, C)


cdef inline void mean_window_back(const real *dy, pool_window p, Py_ssize_t count, real *dx,
                                  Py_ssize_t C) noexcept nogil:
    if real is float:
        pool_mean_back_f32(dy, p, <float>count, dx, C)
    else:
        pool_mean_back_f64(dy, p, <double>count, dx, C)


cdef inline Py_ssize_t cells(const PoolMap *m, pool_window p, Py_ssize_t oh, Py_ssize_t ow,
                             bint include_pad) noexcept nogil:
    """What the sum over a window is divided by."""
    return padded(&m.h, oh) * padded(&m.w, ow) if include_pad else p.rows * p.columns


cdef void mean_part(const PoolMap *m, bint include_pad, const real *x, real *y, Py_ssize_t t,
                    Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t units = m.N * m.h.windows, unit, n, oh, ow
    cdef Taps h, w
    cdef pool_window p
    for unit in range(units * t // parts, units * (t + 1) // parts):
        n, oh = unit // m.h.windows, unit % m.h.windows
        h = taps_of(&m.h, oh)
        for ow in range(m.w.windows):
            w = taps_of(&m.w, ow)
            p = window_of(m, h, w)
            mean_window(x + cell_of(m, n, h.at, w.at), p, cells(m, p, oh, ow, include_pad),
                        y + (unit * m.w.windows + ow) * m.C, m.C)


cdef void mean_back_part(const PoolMap *m, bint include_pad, const real *dy, real *dx, Py_ssize_t t,
                         Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t n, oh, ow
    cdef Taps h, w
    cdef pool_window p
    for n in range(m.N * t // parts, m.N * (t + 1) // parts):
        memset(dx + cell_of(m, n, 0, 0), 0, m.h.size * m.w.size * m.C * sizeof(real))
        for oh in range(m.h.windows):
            h = taps_of(&m.h, oh)
            for ow in range(m.w.windows):
                w = taps_of(&m.w, ow)
                p = window_of(m, h, w)
                mean_window_back(dy + ((n * m.h.windows + oh) * m.w.windows + ow) * m.C, p,
                                 cells(m, p, oh, ow, include_pad), dx + cell_of(m, n, h.at, w.at), m.C)


cdef void one_mean_back_part(const PoolMap *m, const real *dy, real *dx, Py_ssize_t t,
                             Py_ssize_t parts) noexcept nogil:
    """The same if one window covers the map: rows of the map are the units, and every cell gets one gradient."""
    cdef Py_ssize_t units = m.N * m.h.size, unit, w, c
    cdef real count = <real>(m.h.size * m.w.size)
    cdef const real *gradient
    cdef real *out
    for unit in range(units * t // parts, units * (t + 1) // parts):
        gradient = dy + unit // m.h.size * m.C
        out = dx + unit * m.w.size * m.C
        for c in range(m.C):
            out[c] = gradient[c] / count
        for w in range(1, m.w.size):
            for c in range(m.C):
                out[w * m.C + c] = out[c]


cdef inline bint covers(const Axis *a) noexcept nogil:
    """Whether one window covers an axis, without padding."""
    return a.windows == 1 and a.kernel == a.size and a.before == 0 and a.after == 0


@cython.nonecheck(False)   # a check of self, which is never None, would jump out of a parallel loop
cdef class AvgPool:
    """An average pool, planned for batches of one shape: the mean of each window's cells in the map.

    With include_pad the zeros of the padding count as cells. The rows of a window are summed one by one, from the
    top.

    Attributes
    ----------
    n_threads : int
        Threads that share the work.
    """

    cdef readonly Py_ssize_t n_threads
    cdef PoolMap map
    cdef bint include_pad, one_window, single
    cdef ArraySpec x, dx, y, dy

    def __cinit__(self, input_shape, window, bint include_pad, Py_ssize_t itemsize, Py_ssize_t n_threads):
        """Plan for x of shape (N, H, W, C)."""
        cdef PoolMap m = pool_map(input_shape, window)
        self.map, self.include_pad, self.n_threads = m, include_pad, n_threads
        self.single = itemsize == sizeof(float)
        self.one_window = covers(&m.h) and covers(&m.w)
        self.x = array_spec(b"x", itemsize, False, m.N, m.h.size, m.w.size, m.C)
        self.dx = array_spec(b"dx", itemsize, True, m.N, m.h.size, m.w.size, m.C)
        self.y = array_spec(b"y", itemsize, True, m.N, m.h.windows, m.w.windows, m.C)
        self.dy = array_spec(b"dy", itemsize, False, m.N, m.h.windows, m.w.windows, m.C)

    def forward(
        self,
        x,          # IN (N, H, W, C)
        y,          # OUT (N, OH, OW, C), overwritten
    ):
        """Write the mean of each window."""
        cdef void *images = data_of(x, &self.x)
        cdef void *out = data_of(y, &self.y)
        with nogil:
            if self.single:
                self.average(<float *> images, <float *> out)
            else:
                self.average(<double *> images, <double *> out)

    def backward(
        self,
        dy,         # IN (N, OH, OW, C)
        dx,         # OUT (N, H, W, C), overwritten
    ):
        """Give each window's gradient, divided by its count, to all its cells, in the order of the windows."""
        cdef void *gradient = data_of(dy, &self.dy)
        cdef void *out = data_of(dx, &self.dx)
        with nogil:
            if self.single:
                self.spread(<float *> gradient, <float *> out)
            else:
                self.spread(<double *> gradient, <double *> out)

    cdef void average(self, const real *x, real *y) noexcept nogil:
        cdef Py_ssize_t t
        if self.n_threads == 1:
            mean_part(&self.map, self.include_pad, x, y, 0, 1)
        else:
            for t in prange(self.n_threads, num_threads=self.n_threads, schedule="static"):
                mean_part(&self.map, self.include_pad, x, y, t, self.n_threads)

    cdef void spread(self, const real *dy, real *dx) noexcept nogil:
        cdef Py_ssize_t t
        if self.n_threads == 1:
            self.spread_part(dy, dx, 0, 1)
        else:
            for t in prange(self.n_threads, num_threads=self.n_threads, schedule="static"):
                self.spread_part(dy, dx, t, self.n_threads)

    cdef void spread_part(self, const real *dy, real *dx, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
        if self.one_window:
            one_mean_back_part(&self.map, dy, dx, t, parts)
        else:
            mean_back_part(&self.map, self.include_pad, dy, dx, t, parts)
