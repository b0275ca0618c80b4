"""Windows over images: the sizes that the convolution loops take, and which taps and positions see data."""


cdef struct Geometry:
    # A convolution as the loops see it: image -> out. Forward reads x and writes y; a phase of dx reads dy.
    Py_ssize_t N, H, W, C             # image
    Py_ssize_t OH, OW, OC             # output positions and channels
    Py_ssize_t KH, KW                 # taps
    Py_ssize_t stride_h, stride_w, dilation_h, dilation_w
    Py_ssize_t h0, w0                 # image row and column of tap 0 at position 0; negative with padding
    Py_ssize_t groups
    Py_ssize_t out_n, out_row, out_col    # strides of the output
    bint depthwise


cdef struct Pool:
    # A max pool after a convolution: its windows, their taps, the step between them, and channels. Without a pool
    # each window is a single cell of the map.
    Py_ssize_t PH, PW, KH, KW, stride_h, stride_w, C
    Py_ssize_t columns                # of the map: those that the windows see, unless a kernel computes all


cdef inline Py_ssize_t covered(Py_ssize_t windows, Py_ssize_t K, Py_ssize_t stride) noexcept nogil:
    """Rows or columns from the first window's beginning to the last one's end."""
    return (windows - 1) * stride + K


cdef inline bint has_taps(const Pool *pool) noexcept nogil:
    """Whether there is a pool at all."""
    return pool.KH * pool.KW > 1


cdef inline Pool pool_of(window, pool, Py_ssize_t filters) except *:
    """The pool, a `pyconvx.ops.geometry.Window` or None, after a convolution's window."""
    if pool is None:
        return Pool(window.OH, window.OW, 1, 1, 1, 1, filters, window.OW)
    return Pool(pool.OH, pool.OW, pool.KH, pool.KW, pool.rows.stride, pool.columns.stride, filters,
                covered(pool.OW, pool.KW, pool.columns.stride))


cdef inline Geometry geometry_of(input_shape, window, Py_ssize_t groups, const Pool *pool) except *:
    """The geometry of y = x * kernel for x of shape (N, H, W, C): the cells of the map that the pool sees."""
    cdef Geometry g
    g.N, g.H, g.W, g.C = input_shape
    g.OH, g.OW = covered(pool.PH, pool.KH, pool.stride_h), covered(pool.PW, pool.KW, pool.stride_w)
    g.OC, g.KH, g.KW, g.groups = pool.C, window.KH, window.KW, groups
    g.stride_h, g.stride_w, g.dilation_h, g.dilation_w = (
        window.rows.stride, window.columns.stride, window.rows.dilation, window.columns.dilation)
    g.h0, g.w0 = -window.rows.before, -window.columns.before
    g.out_n, g.out_row, g.out_col = g.OH * g.OW * g.OC, g.OW * g.OC, g.OC
    g.depthwise = groups > 1 and groups == g.C and g.OC == g.C
    return g


cdef struct Span:
    # a range of positions, or of taps
    Py_ssize_t first, end


cdef inline Span inside(Py_ssize_t before, Py_ssize_t tap, Py_ssize_t stride, Py_ssize_t size,
                        Py_ssize_t positions) noexcept nogil:
    """Output positions at which a tap, `tap` pixels from the window's first, lies inside the image."""
    cdef Span span
    cdef Py_ssize_t last = size - 1 + before - tap
    span.first = min(positions, (before - tap + stride - 1) // stride if before > tap else 0)
    span.end = max(span.first, 0 if last < 0 else min(positions, last // stride + 1))
    return span


cdef inline Span whole_windows(Py_ssize_t before, Py_ssize_t extent, Py_ssize_t stride, Py_ssize_t size,
                               Py_ssize_t positions) noexcept nogil:
    """Output positions whose windows, `extent` pixels from first to last tap, see no padding."""
    cdef Span span = inside(before, 0, stride, size, positions)
    span.end = max(span.first, inside(before, extent, stride, size, positions).end)
    return span


cdef inline Span taps_inside(Py_ssize_t origin, Py_ssize_t dilation, Py_ssize_t K, Py_ssize_t size) noexcept nogil:
    """Taps that lie inside the image if the first one is at `origin`."""
    cdef Span span
    span.first = min(K, (dilation - 1 - origin) // dilation) if origin < 0 else 0
    span.end = 0 if origin >= size else min(K, (size - 1 - origin) // dilation + 1)
    span.end = max(span.first, span.end)
    return span
