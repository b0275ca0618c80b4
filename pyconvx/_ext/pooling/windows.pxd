"""A pool's windows over a map: where each of them lies, and which of its taps see data."""

cdef extern from "pooling/pool.h" nogil:
    ctypedef struct pool_window:
        Py_ssize_t row, column, rows, columns, first, next_row


cdef struct Axis:
    # one direction of the map: its size, the windows laid over it, and how many there are
    Py_ssize_t size, kernel, stride, before, after, dilation, windows


cdef struct PoolMap:
    # a batch of maps of C channels, and a window that slides over them
    Py_ssize_t N, C
    Axis h, w


cdef struct Taps:
    # the taps of one window that lie inside the map along one axis: the first, their number, its row or column
    Py_ssize_t first, count, at


cdef inline Axis axis_of(axis) except *:
    """A `pyconvx.ops.geometry.WindowAxis` as a struct."""
    cdef Axis a
    a.size, a.kernel, a.stride, a.dilation, a.before, a.after, a.windows = axis
    return a


cdef inline PoolMap pool_map(input_shape, window) except *:
    """Describe a pool of x, of shape (N, H, W, C), by a `pyconvx.ops.geometry.Window`."""
    cdef PoolMap m
    m.N, m.C = input_shape[0], input_shape[3]
    m.h, m.w = axis_of(window.rows), axis_of(window.columns)
    return m


cdef inline Taps taps_of(const Axis *a, Py_ssize_t window) noexcept nogil:
    """The taps of a window that lie inside the map."""
    cdef Py_ssize_t start = window * a.stride - a.before
    cdef Taps t
    t.first = (a.dilation - 1 - start) // a.dilation if start < 0 else 0
    t.at = start + t.first * a.dilation
    t.count = min(a.kernel - t.first, (a.size - t.at + a.dilation - 1) // a.dilation)
    return t


cdef inline pool_window window_of(const PoolMap *m, Taps h, Taps w) noexcept nogil:
    """A window as the loops over its channels take it."""
    cdef pool_window p
    p.row = m.h.dilation * m.w.size * m.C
    p.column = m.w.dilation * m.C
    p.rows = h.count
    p.columns = w.count
    p.first = h.first * m.w.kernel + w.first
    p.next_row = m.w.kernel
    return p


cdef inline Py_ssize_t cell_of(const PoolMap *m, Py_ssize_t n, Py_ssize_t h, Py_ssize_t w) noexcept nogil:
    """Index of the first channel of cell (h, w) of map n."""
    return ((n * m.h.size + h) * m.w.size + w) * m.C


cdef inline Py_ssize_t padded(const Axis *a, Py_ssize_t window) noexcept nogil:
    """Cells of a window inside map and padding; a last window of ceil mode may reach beyond both."""
    return min(a.kernel, a.size + a.before + a.after - window * a.stride)
