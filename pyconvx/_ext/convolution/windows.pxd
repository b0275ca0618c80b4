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


cdef inline Geometry forward_geometry(
        Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t OH, Py_ssize_t OW, Py_ssize_t OC,
        Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t top, Py_ssize_t left,
        Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups) noexcept nogil:
    """The geometry of y = x * kernel."""
    cdef Geometry g
    g.N, g.H, g.W, g.C, g.OH, g.OW, g.OC, g.KH, g.KW = N, H, W, C, OH, OW, OC, KH, KW
    g.stride_h, g.stride_w, g.dilation_h, g.dilation_w = stride_h, stride_w, dilation_h, dilation_w
    g.h0, g.w0, g.groups = -top, -left, groups
    g.out_n, g.out_row, g.out_col = OH * OW * OC, OW * OC, OC
    g.depthwise = groups > 1 and groups == C and OC == C
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
    """Taps that lie inside the image when the first one stands at `origin`."""
    cdef Span span
    span.first = min(K, (dilation - 1 - origin) // dilation) if origin < 0 else 0
    span.end = 0 if origin >= size else min(K, (size - 1 - origin) // dilation + 1)
    span.end = max(span.first, span.end)
    return span
