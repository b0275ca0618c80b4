"""Convolution forward and backward: which memory goes through the register tile, in which order.

    forward          y  = x * kernel + bias, then an activation on rows that are still in cache
    backward_input   dx: the same loops over dy, with the kernel turned round, once per phase of the stride
    backward_kernel  dw: tiles of (input channels) x (output channels), summed over output pixels
    backward_bias    db: sums over output pixels

Layouts: x (N, H, W, C), kernel (KH, KW, C/groups, OC), y (N, OH, OW, OC). Every output cell is summed in
one order that depends on shapes alone: see docs/kernels.md.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from pyconvx._ext.microkernel cimport (
    Panels, pack_rows, panel_channels, panel_vectors, panels_of, product, product_rows, real,
)

cdef extern from "conv.h" nogil:
    const char *PYCONVX_LEVEL
    void depthwise_rows_float(const product *p, const float *A, const float *B, const float *S, float *C,
                              Py_ssize_t rows, Py_ssize_t channels)
    void depthwise_rows_double(const product *p, const double *A, const double *B, const double *S, double *C,
                               Py_ssize_t rows, Py_ssize_t channels)
    void depthwise_gradient_float(const product *p, const float *x, const float *dy, float *dw,
                                  Py_ssize_t channels)
    void depthwise_gradient_double(const product *p, const double *x, const double *dy, double *dw,
                                   Py_ssize_t channels)

cdef extern from "pyconvx/activation.h" nogil:
    const char *PYCONVX_ACTIVATION_TAG
    ctypedef struct pyconvx_activation:
        void (*f_float)(const float *x, float *y, Py_ssize_t n) noexcept nogil
        void (*f_double)(const double *x, double *y, Py_ssize_t n) noexcept nogil

LEVEL = PYCONVX_LEVEL.decode()

cdef enum:
    SLAB = 256 * 1024         # bytes of a packed panel in use: a quarter of a common L2
    BAND = 128 * 1024         # bytes of input and output that a unit of work covers
    SMALL_GRADIENT = 256 * 1024   # up to here dw is summed in sample blocks, above in tiles
    SMALL_CHANNELS = 8        # input channels below which dw gathers its windows first
    BLOCKS = 16               # sample blocks of a small gradient


cdef struct Geometry:
    # A convolution as the loops see it: image -> out. Forward reads x and writes y; a phase of dx reads dy.
    Py_ssize_t N, H, W, C             # image
    Py_ssize_t OH, OW, OC             # output positions and channels
    Py_ssize_t KH, KW                 # taps
    Py_ssize_t stride_h, stride_w, dilation_h, dilation_w
    Py_ssize_t h0, w0                 # image row and column of tap 0 at position 0; negative with padding
    Py_ssize_t groups
    Py_ssize_t out_n, out_row, out_col    # strides of the output
    Py_ssize_t rows, blocks           # rows of a unit of work, units of a sample
    bint depthwise
    Panels panels


cdef void plan(Geometry *g, Py_ssize_t itemsize, Py_ssize_t n_threads) noexcept nogil:
    """Panels, rows of a unit and scratch; none of it changes a bit of the result."""
    cdef Py_ssize_t row_bytes = (g.W * g.C * min(g.stride_h, g.H) + g.OW * g.OC) * itemsize
    cdef Py_ssize_t per_sample
    g.depthwise = g.groups > 1 and g.groups == g.C and g.OC == g.C
    g.panels = panels_of(g.OC // g.groups, g.OW, itemsize)
    g.rows = max(<Py_ssize_t> 1, min(g.OH, <Py_ssize_t> BAND // row_bytes))
    per_sample = (4 * n_threads + g.N - 1) // g.N
    if n_threads > 1:
        g.rows = max(<Py_ssize_t> 1, min(g.rows, (g.OH + per_sample - 1) // per_sample))
    g.blocks = (g.OH + g.rows - 1) // g.rows


cdef inline Py_ssize_t packed_size(const Geometry *g) noexcept nogil:
    """Numbers in the packed kernel of all groups."""
    if g.depthwise:
        return g.KH * g.KW * g.C
    return g.groups * g.KH * g.KW * (g.C // g.groups) * g.panels.total * g.panels.lanes


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


cdef struct Slab:
    # One panel of one group, and the rows of taps of it that are in use
    Py_ssize_t image, out             # offsets of its first channel in a pixel of image and output
    Py_ssize_t packed, start          # offsets of the panel and of its start values
    Py_ssize_t lanes, vectors
    Span taps


cdef inline void run(const Geometry *g, const Slab *slab, const real *image, const real *packed, const real *start,
                     real *out, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t count, bint down) noexcept nogil:
    """`count` output cells from (oh, ow) on, to the right or down, that see the same taps of the slab."""
    cdef Py_ssize_t h = g.h0 + oh * g.stride_h, w = g.w0 + ow * g.stride_w
    cdef Py_ssize_t cg = g.C // g.groups, width = slab.vectors * g.panels.lanes
    cdef Span rows = taps_inside(h, g.dilation_h, g.KH, g.H)
    cdef Span columns = taps_inside(w, g.dilation_w, g.KW, g.W)
    cdef Py_ssize_t first = max(rows.first, slab.taps.first), end = min(rows.end, slab.taps.end)
    cdef real *cells = out + oh * g.out_row + ow * g.out_col + slab.out
    cdef const real *origin = start + slab.start
    cdef const real *A
    cdef const real *B
    cdef product p
    if count <= 0 or (end <= first and not (slab.taps.first == 0 and rows.end <= rows.first)):
        return                          # nothing here for this slab; a window all in padding is written once
    p.a_m = g.stride_h * g.W * g.C if down else g.stride_w * g.C
    p.c_m = g.out_row if down else g.out_col
    p.T, p.R, p.Q = cg, columns.end - columns.first, max(<Py_ssize_t> 0, end - first)
    p.a_t, p.a_r, p.a_q = 1, g.dilation_w * g.C, g.dilation_h * g.W * g.C
    if g.depthwise:
        width = cg = g.C
    p.b_t, p.b_r, p.b_q = width, (1 if g.depthwise else cg) * width, g.KW * (1 if g.depthwise else cg) * width
    A = image + ((h + first * g.dilation_h) * g.W + w + columns.first * g.dilation_w) * g.C + slab.image
    B = packed + slab.packed + first * p.b_q + columns.first * p.b_r
    p.s_m = 0
    if first > rows.first:
        origin, p.s_m = cells, p.c_m    # continues the sum of the slab before
    if g.depthwise:
        if real is float:
            depthwise_rows_float(&p, A, B, origin, cells, count, g.C)
        else:
            depthwise_rows_double(&p, A, B, origin, cells, count, g.C)
        return
    if g.groups == 1 and g.dilation_w == 1:     # a row of the window is one run of numbers
        p.T, p.R = p.R * g.C, 1
    product_rows(&p, A, B, origin, cells, count, slab.lanes, slab.vectors)


cdef void convolve_slab(const Geometry *g, const Slab *slab, const real *image, const real *packed,
                        const real *start, real *out, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    """Output rows first..first+rows of one sample, one slab. Padding is not read but left out of the sums:
    rows of cells see the same taps between the side borders, columns of them between top and bottom."""
    cdef Span right = whole_windows(-g.w0, (g.KW - 1) * g.dilation_w, g.stride_w, g.W, g.OW)
    cdef Span down = whole_windows(-g.h0, (g.KH - 1) * g.dilation_h, g.stride_h, g.H, g.OH)
    cdef Py_ssize_t oh, ow
    down.first = min(max(down.first, first), first + rows)
    down.end = min(max(down.end, down.first), first + rows)
    for oh in range(first, first + rows):
        run(g, slab, image, packed, start, out, oh, right.first, right.end - right.first, False)
    for ow in range(g.OW):
        if right.first <= ow < right.end:
            continue
        run(g, slab, image, packed, start, out, down.first, ow, down.end - down.first, True)
        for oh in range(first, first + rows):
            if not down.first <= oh < down.end:
                run(g, slab, image, packed, start, out, oh, ow, 1, False)


cdef void convolve_rows(const Geometry *g, const real *image, const real *packed, const real *start, real *out,
                        Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    """Output rows first..first+rows of one sample, all channels."""
    cdef Py_ssize_t group, panel, column, q, taps
    cdef Py_ssize_t cg = g.C // g.groups, lanes_all = g.panels.total * g.panels.lanes
    cdef Slab slab
    slab.image = slab.out = slab.packed = slab.start = slab.lanes = slab.vectors = 0
    slab.taps.first, slab.taps.end = 0, g.KH
    if g.depthwise:
        convolve_slab(g, &slab, image, packed, start, out, first, rows)
        return
    for group in range(g.groups):
        for panel in range(g.panels.count):
            column = panel * g.panels.vectors * g.panels.lanes
            slab.image, slab.out = group * cg, group * (g.OC // g.groups) + column
            slab.start = group * lanes_all + column
            slab.packed = g.KH * g.KW * cg * slab.start
            slab.lanes, slab.vectors = panel_channels(&g.panels, panel), panel_vectors(&g.panels, panel)
            taps = SLAB // <Py_ssize_t> (g.KW * cg * slab.vectors * g.panels.lanes * sizeof(real))
            taps = max(<Py_ssize_t> 1, taps)
            for q in range((g.KH + taps - 1) // taps):
                slab.taps.first, slab.taps.end = q * taps, min(g.KH, (q + 1) * taps)
                convolve_slab(g, &slab, image, packed, start, out, first, rows)


cdef void convolve_part(const Geometry *g, const real *image, const real *packed, const real *start, real *out,
                        real *after, const pyconvx_activation *activation,
                        Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the (sample, rows) units; `after` gets the activation of `out`, if there is one."""
    cdef Py_ssize_t units = g.N * g.blocks, unit, n, first, rows, offset
    for unit in range(units * t // parts, units * (t + 1) // parts):
        n, first = unit // g.blocks, unit % g.blocks * g.rows
        rows = min(g.rows, g.OH - first)
        convolve_rows(g, image + n * g.H * g.W * g.C, packed, start, out + n * g.out_n, first, rows)
        if activation != NULL:
            offset = n * g.out_n + first * g.out_row
            if real is float:
                activation.f_float(out + offset, after + offset, rows * g.out_row)
            else:
                activation.f_double(out + offset, after + offset, rows * g.out_row)


cdef void convolve(const Geometry *g, const real *image, const real *packed, const real *start, real *out,
                   real *after, const pyconvx_activation *activation, Py_ssize_t n_threads) noexcept nogil:
    """All units, on `n_threads` threads; one thread enters no parallel region."""
    cdef Py_ssize_t t
    if n_threads == 1:
        convolve_part(g, image, packed, start, out, after, activation, 0, 1)
    else:
        for t in prange(n_threads, num_threads=n_threads, schedule="static"):
            convolve_part(g, image, packed, start, out, after, activation, t, n_threads)


cdef Geometry forward_geometry(
        Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t OH, Py_ssize_t OW, Py_ssize_t OC,
        Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t top, Py_ssize_t left,
        Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups) noexcept nogil:
    cdef Geometry g
    g.N, g.H, g.W, g.C, g.OH, g.OW, g.OC, g.KH, g.KW = N, H, W, C, OH, OW, OC, KH, KW
    g.stride_h, g.stride_w, g.dilation_h, g.dilation_w = stride_h, stride_w, dilation_h, dilation_w
    g.h0, g.w0, g.groups = -top, -left, groups
    g.out_n, g.out_row, g.out_col = OH * OW * OC, OW * OC, OC
    return g


cdef void pack_forward(const Geometry *g, const real *kernel, const real *bias, real *packed, real *start,
                       Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the panels: kernel columns side by side, padded with zeros; and the bias."""
    cdef Py_ssize_t cg = g.C // g.groups, ocg = g.OC // g.groups, taps = g.KH * g.KW
    cdef Py_ssize_t lanes_all = g.panels.total * g.panels.lanes
    cdef Py_ssize_t units = g.groups * g.panels.count, unit, group, panel, column, offset
    if g.depthwise:
        if t == 0:
            memcpy(packed, kernel, taps * g.C * sizeof(real))
            if bias == NULL:
                memset(start, 0, g.C * sizeof(real))
            else:
                memcpy(start, bias, g.C * sizeof(real))
        return
    for unit in range(units * t // parts, units * (t + 1) // parts):
        group, panel = unit // g.panels.count, unit % g.panels.count
        column = panel * g.panels.vectors * g.panels.lanes
        offset = group * lanes_all + column
        pack_rows(kernel + group * ocg + column, g.OC, 1, packed + taps * cg * offset, taps * cg,
                  panel_channels(&g.panels, panel), panel_vectors(&g.panels, panel) * g.panels.lanes)
        memset(start + offset, 0, panel_vectors(&g.panels, panel) * g.panels.lanes * sizeof(real))
        if bias != NULL:
            memcpy(start + offset, bias + group * ocg + column, panel_channels(&g.panels, panel) * sizeof(real))


def forward_scratch(Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t OH, Py_ssize_t OW,
                    Py_ssize_t OC, Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w,
                    Py_ssize_t top, Py_ssize_t left, Py_ssize_t dilation_h, Py_ssize_t dilation_w,
                    Py_ssize_t groups, Py_ssize_t itemsize, Py_ssize_t n_threads):
    """Numbers of scratch that `forward` needs."""
    cdef Geometry g = forward_geometry(N, H, W, C, OH, OW, OC, KH, KW, stride_h, stride_w, top, left,
                                       dilation_h, dilation_w, groups)
    plan(&g, itemsize, n_threads)
    return packed_size(&g) + groups * g.panels.total * g.panels.lanes + C


def forward(
    const real[:, :, :, ::1] x not None,        # IN (N, H, W, C)
    const real[:, :, :, ::1] kernel not None,   # IN (KH, KW, C/groups, OC)
    const real[::1] bias,                       # IN (OC,) or None
    real[:, :, :, ::1] y not None,              # OUT (N, OH, OW, OC), before the activation
    real[:, :, :, ::1] after,                   # OUT (N, OH, OW, OC), its activation; may be y; None without
    activation,                                 # IN capsule of a compiled activation, or None
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t top, Py_ssize_t left,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups,
    real[::1] scratch not None,                 # forward_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """y = x cross-correlated with kernel, + bias; after = f(y)."""
    cdef Geometry g = forward_geometry(
        x.shape[0], x.shape[1], x.shape[2], x.shape[3], y.shape[1], y.shape[2], y.shape[3], KH, KW,
        stride_h, stride_w, top, left, dilation_h, dilation_w, groups)
    plan(&g, sizeof(real), n_threads)
    cdef const pyconvx_activation *f = NULL
    cdef const real *bias_data = NULL
    cdef real *after_data = NULL
    cdef real *packed = &scratch[0]
    cdef real *start = packed + packed_size(&g)
    cdef Py_ssize_t t
    if activation is not None:
        f = <const pyconvx_activation *> PyCapsule_GetPointer(activation, PYCONVX_ACTIVATION_TAG)
        after_data = &after[0, 0, 0, 0]
    if bias is not None:
        bias_data = &bias[0]
    with nogil:
        if n_threads == 1 or packed_size(&g) < 65536:
            pack_forward(&g, &kernel[0, 0, 0, 0], bias_data, packed, start, 0, 1)
        else:
            for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                pack_forward(&g, &kernel[0, 0, 0, 0], bias_data, packed, start, t, n_threads)
        convolve(&g, &x[0, 0, 0, 0], packed, start, &y[0, 0, 0, 0], after_data, f, n_threads)

# ---------------------------------------------------------------------------------------------- dx

def _axis_phases(Py_ssize_t size, Py_ssize_t K, Py_ssize_t stride, Py_ssize_t before, Py_ssize_t dilation):
    """The input positions of one axis by their remainder modulo the stride.

    dx[i] = sum over k of w[k] * dy[(i + before - k*dilation) / stride], taps that divide evenly. With
    i = first + stride*q, tap k0 + j*step reads dy[origin' - j*dilation' + q]: a convolution of stride 1.
    Rows: (first, positions, taps, k0, step, origin of the last tap, dilation').
    """
    cdef Py_ssize_t a = stride, b = dilation, k, first, step, spread, taps
    while b:
        a, b = b, a % b
    step, spread = stride // a, dilation // a
    phases = []
    for k in range(min(step, K)):
        first = (k * dilation - before) % stride
        if first < 0:                   # C's remainder
            first += stride
        if first < size:
            taps = (K - 1 - k) // step + 1
            phases.append((first, (size - first + stride - 1) // stride, taps, k, step,
                           (first + before - k * dilation) // stride - (taps - 1) * spread, spread))
    return phases


cdef Geometry phase_geometry(const Geometry *f, rows, columns):
    """The geometry of one phase of dx: dy is the image, a sub-grid of dx the output."""
    cdef Geometry g
    cdef Py_ssize_t first_h, first_w
    g.N, g.H, g.W, g.C, g.OC, g.groups = f.N, f.OH, f.OW, f.OC, f.C, f.groups
    first_h, g.OH, g.KH, _, _, g.h0, g.dilation_h = rows
    first_w, g.OW, g.KW, _, _, g.w0, g.dilation_w = columns
    g.stride_h = g.stride_w = 1
    g.out_n, g.out_row, g.out_col = f.H * f.W * f.C, f.stride_h * f.W * f.C, f.stride_w * f.C
    return g


cdef void pack_backward(const Geometry *g, const real *kernel, Py_ssize_t kernel_w, Py_ssize_t k0_h,
                        Py_ssize_t step_h, Py_ssize_t k0_w, Py_ssize_t step_w, real *packed,
                        Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the phase's taps, last one first, input and output channels swapped."""
    cdef Py_ssize_t cg = g.C // g.groups, ocg = g.OC // g.groups, taps = g.KH * g.KW
    cdef Py_ssize_t lanes_all = g.panels.total * g.panels.lanes
    cdef Py_ssize_t units = taps * g.groups * g.panels.count, unit, tap, group, panel, column, width, offset
    cdef const real *source
    for unit in range(units * t // parts, units * (t + 1) // parts):
        tap = unit // (g.groups * g.panels.count)
        group, panel = unit // g.panels.count % g.groups, unit % g.panels.count
        source = kernel + ((k0_h + (g.KH - 1 - tap // g.KW) * step_h) * kernel_w
                           + k0_w + (g.KW - 1 - tap % g.KW) * step_w) * ocg * g.C
        if g.depthwise:
            if group == 0:
                memcpy(packed + tap * g.C, source, g.C * sizeof(real))
            continue
        column = panel * g.panels.vectors * g.panels.lanes
        width = panel_vectors(&g.panels, panel) * g.panels.lanes
        offset = taps * cg * (group * lanes_all + column) + tap * cg * width
        pack_rows(source + column * g.C + group * cg, 1, g.C, packed + offset, cg,
                  panel_channels(&g.panels, panel), width)


def backward_input_scratch(Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t OH, Py_ssize_t OW,
                           Py_ssize_t OC, Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w,
                           Py_ssize_t top, Py_ssize_t left, Py_ssize_t dilation_h, Py_ssize_t dilation_w,
                           Py_ssize_t groups, Py_ssize_t itemsize, Py_ssize_t n_threads):
    """Numbers of scratch that `backward_input` needs."""
    cdef Geometry f = forward_geometry(N, H, W, C, OH, OW, OC, KH, KW, stride_h, stride_w, top, left,
                                       dilation_h, dilation_w, groups)
    cdef Geometry g
    cdef Py_ssize_t most = 1
    for rows in _axis_phases(H, KH, stride_h, top, dilation_h):
        for columns in _axis_phases(W, KW, stride_w, left, dilation_w):
            g = phase_geometry(&f, rows, columns)
            plan(&g, itemsize, n_threads)
            most = max(most, packed_size(&g) + groups * g.panels.total * g.panels.lanes + g.C)
    return most


def backward_input(
    const real[:, :, :, ::1] dy not None,       # IN (N, OH, OW, OC)
    const real[:, :, :, ::1] kernel not None,   # IN (KH, KW, C/groups, OC)
    real[:, :, :, ::1] dx not None,             # OUT (N, H, W, C), overwritten
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t top, Py_ssize_t left,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups,
    real[::1] scratch not None,                 # backward_input_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """dx = the gradient of the convolution's input."""
    cdef Geometry f = forward_geometry(
        dx.shape[0], dx.shape[1], dx.shape[2], dx.shape[3], dy.shape[1], dy.shape[2], dy.shape[3], KH, KW,
        stride_h, stride_w, top, left, dilation_h, dilation_w, groups)
    cdef Geometry g
    cdef real *packed = &scratch[0]
    cdef real *start
    cdef real *out
    cdef Py_ssize_t t, k0_h, step_h, k0_w, step_w, zeros
    all_rows = _axis_phases(f.H, KH, stride_h, top, dilation_h)
    all_columns = _axis_phases(f.W, KW, stride_w, left, dilation_w)
    if len(all_rows) < min(stride_h, f.H) or len(all_columns) < min(stride_w, f.W):
        memset(&dx[0, 0, 0, 0], 0, f.N * f.H * f.W * f.C * sizeof(real))    # pixels that no window met
    for rows in all_rows:
        for columns in all_columns:
            g = phase_geometry(&f, rows, columns)
            plan(&g, sizeof(real), n_threads)
            k0_h, step_h, k0_w, step_w = rows[3], rows[4], columns[3], columns[4]
            out = &dx[0, 0, 0, 0] + (<Py_ssize_t> rows[0] * f.W + <Py_ssize_t> columns[0]) * f.C
            start = packed + packed_size(&g)
            zeros = groups * g.panels.total * g.panels.lanes + g.C
            memset(start, 0, zeros * sizeof(real))
            with nogil:
                if n_threads == 1 or packed_size(&g) < 65536:
                    pack_backward(&g, &kernel[0, 0, 0, 0], KW, k0_h, step_h, k0_w, step_w, packed, 0, 1)
                else:
                    for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                        pack_backward(&g, &kernel[0, 0, 0, 0], KW, k0_h, step_h, k0_w, step_w, packed,
                                      t, n_threads)
                convolve(&g, &dy[0, 0, 0, 0], packed, start, out, <real *> NULL, NULL, n_threads)


# ---------------------------------------------------------------------------------------------- dw

cdef struct Gradient:
    # How dw is summed. A unit is a tile of dw: (tap, group, panel), or one panel where windows are gathered.
    Geometry f
    Panels panels
    Py_ssize_t pixel, group           # strides of dy from pixel to pixel and group to group
    bint gather, padded, by_samples
    Py_ssize_t samples, rows          # what a pass over the units covers: samples, or rows of one sample
    Py_ssize_t units, size            # tiles of dw, numbers in dw
    Py_ssize_t blocks, columns        # sample blocks; numbers a thread gathers windows in


cdef Gradient gradient_plan(const Geometry *f, Py_ssize_t itemsize) noexcept nogil:
    """Tiles, passes and blocks: functions of the shapes only, since blocks decide the order of sums."""
    cdef Gradient g
    cdef Py_ssize_t cg = f.C // f.groups, ocg = f.OC // f.groups, taps = f.KH * f.KW
    cdef Py_ssize_t sample = (f.H * f.W * f.C + f.OH * f.OW * f.OC) * itemsize
    g.f = f[0]
    g.f.depthwise = f.groups > 1 and f.groups == f.C and f.OC == f.C
    g.panels = panels_of(ocg, cg, itemsize)
    g.gather = cg < SMALL_CHANNELS and f.groups == 1
    g.padded = not g.f.depthwise and ocg % g.panels.lanes != 0
    g.group = g.panels.total * g.panels.lanes if g.padded else ocg
    g.pixel = f.groups * g.group
    g.size = taps * cg * f.OC
    g.units = g.panels.count if g.gather else taps * (1 if g.f.depthwise else f.groups * g.panels.count)
    g.by_samples = g.gather or g.size * itemsize <= SMALL_GRADIENT
    g.blocks = min(<Py_ssize_t> BLOCKS, f.N)
    g.samples = min(max(<Py_ssize_t> 1, 512 * 1024 // sample), <Py_ssize_t> 8)
    g.rows = f.OH if sample <= 512 * 1024 else max(<Py_ssize_t> 1, f.OH * 256 * 1024 // sample)
    g.columns = 0
    if g.gather:
        g.samples = 1
        g.rows = min(f.OH, max(<Py_ssize_t> 1, 65536 // (taps * f.C * f.OW * itemsize)))
        g.columns = taps * f.C * g.rows * f.OW + (f.C * f.H * f.W if f.C > 1 else 0)
    return g


cdef void split_channels(const Gradient *g, const real *x, real *planes) noexcept nogil:
    """planes[c, h, w] = x[h, w, c] of one sample, so that windows are gathered in runs."""
    cdef Py_ssize_t pixel, c, C = g.f.C, pixels = g.f.H * g.f.W
    for pixel in range(pixels):
        for c in range(C):
            planes[c * pixels + pixel] = x[pixel * C + c]


cdef void gather_windows(const Gradient *g, const real *planes, real *columns, Py_ssize_t row0,
                         Py_ssize_t rows) noexcept nogil:
    """columns[tap and channel, pixel] of one sample's output rows, zeros where a tap meets padding."""
    cdef const Geometry *f = &g.f
    cdef Py_ssize_t kh, kw, c, oh, ow, h
    cdef Span seen
    cdef real *out = columns
    cdef const real *source
    for kh in range(f.KH):
        for kw in range(f.KW):
            seen = inside(-f.w0, kw * f.dilation_w, f.stride_w, f.W, f.OW)
            for c in range(f.C):
                for oh in range(row0, row0 + rows):
                    h = oh * f.stride_h + f.h0 + kh * f.dilation_h
                    if h < 0 or h >= f.H or seen.first == seen.end:
                        memset(out, 0, f.OW * sizeof(real))
                        out += f.OW
                        continue
                    source = planes + (c * f.H + h) * f.W + f.w0 + kw * f.dilation_w
                    for ow in range(seen.first):
                        out[ow] = 0
                    if f.stride_w == 1:
                        memcpy(out + seen.first, source + seen.first, (seen.end - seen.first) * sizeof(real))
                    else:
                        for ow in range(seen.first, seen.end):
                            out[ow] = source[ow * f.stride_w]
                    for ow in range(seen.end, f.OW):
                        out[ow] = 0
                    out += f.OW


cdef void gathered_tiles(const Gradient *g, const real *x, const real *dy, real *dw, real *columns, Py_ssize_t n,
                         Py_ssize_t row0, Py_ssize_t rows) noexcept nogil:
    """dw += the product of gathered windows and dy, one sample's rows."""
    cdef const Geometry *f = &g.f
    cdef Py_ssize_t panel, column
    cdef real *planes = columns + f.KH * f.KW * f.C * g.rows * f.OW
    cdef product p
    if f.C > 1 and row0 == 0:
        split_channels(g, x + n * f.H * f.W * f.C, planes)
    gather_windows(g, planes if f.C > 1 else x + n * f.H * f.W, columns, row0, rows)
    p.T, p.R, p.Q = rows * f.OW, 1, 1
    p.a_t, p.a_m, p.b_t = 1, rows * f.OW, g.pixel
    p.c_m = p.s_m = f.OC
    p.a_r = p.a_q = p.b_r = p.b_q = 0
    for panel in range(g.panels.count):
        column = panel * g.panels.vectors * g.panels.lanes
        product_rows(&p, columns, dy + (n * f.OH + row0) * f.OW * g.pixel + column, dw + column, dw + column,
                     f.KH * f.KW * f.C, panel_channels(&g.panels, panel), panel_vectors(&g.panels, panel))


cdef void depthwise_tap(const Gradient *g, const product *p, const real *A, const real *B,
                        real *dw) noexcept nogil:
    """dw of one tap of a depthwise convolution, rows and samples in order."""
    cdef Py_ssize_t q, r
    for q in range(p.Q):
        for r in range(p.R):
            if real is float:
                depthwise_gradient_float(p, A + q * p.a_q + r * p.a_r, B + q * p.b_q + r * p.b_r, dw, g.f.C)
            else:
                depthwise_gradient_double(p, A + q * p.a_q + r * p.a_r, B + q * p.b_q + r * p.b_r, dw, g.f.C)


cdef void gradient_tile(const Gradient *g, const real *x, const real *dy, real *dw, Py_ssize_t unit, Py_ssize_t n,
                        Py_ssize_t samples, Py_ssize_t row0, Py_ssize_t rows) noexcept nogil:
    """dw of one (tap, group, panel) += its sum over the given samples and output rows."""
    cdef const Geometry *f = &g.f
    cdef Py_ssize_t cg = f.C // f.groups, ocg = f.OC // f.groups
    cdef Py_ssize_t per_tap = 1 if f.depthwise else f.groups * g.panels.count
    cdef Py_ssize_t tap = unit // per_tap, group = unit % per_tap // g.panels.count
    cdef Py_ssize_t panel = unit % g.panels.count
    cdef Py_ssize_t th = tap // f.KW * f.dilation_h, tw = tap % f.KW * f.dilation_w
    cdef Span down = inside(-f.h0, th, f.stride_h, f.H, f.OH)
    cdef Span right = inside(-f.w0, tw, f.stride_w, f.W, f.OW)
    cdef Py_ssize_t h = max(row0, down.first), w = right.first
    cdef Py_ssize_t column = panel * g.panels.vectors * g.panels.lanes
    cdef const real *A
    cdef const real *B
    cdef real *C
    cdef product p
    p.T, p.R = right.end - w, min(row0 + rows, down.end) - h
    p.Q = samples
    if p.T <= 0 or p.R <= 0:
        return
    p.a_m, p.a_t, p.a_r, p.a_q = 1, f.stride_w * f.C, f.stride_h * f.W * f.C, f.H * f.W * f.C
    p.b_t, p.b_r, p.b_q = g.pixel, f.OW * g.pixel, f.OH * f.OW * g.pixel
    p.c_m = p.s_m = f.OC
    A = x + ((n * f.H + h * f.stride_h + f.h0 + th) * f.W + w * f.stride_w + f.w0 + tw) * f.C
    B = dy + ((n * f.OH + h) * f.OW + w) * g.pixel
    if f.depthwise:
        depthwise_tap(g, &p, A, B, dw + tap * f.C)
        return
    C = dw + tap * cg * f.OC + group * ocg + column
    product_rows(&p, A + group * cg, B + group * g.group + column, C, C, cg, panel_channels(&g.panels, panel),
                 panel_vectors(&g.panels, panel))


cdef void gradient_pass(const Gradient *g, const real *x, const real *dy, real *dw, real *columns, Py_ssize_t n0,
                        Py_ssize_t n1, Py_ssize_t unit0, Py_ssize_t unit1) noexcept nogil:
    """Units unit0..unit1 summed over samples n0..n1, as much at a time as stays in cache."""
    cdef Py_ssize_t chunk, n, samples, block, row0, rows, unit
    for chunk in range((n1 - n0 + g.samples - 1) // g.samples):
        n = n0 + chunk * g.samples
        samples = min(g.samples, n1 - n)
        for block in range((g.f.OH + g.rows - 1) // g.rows):
            row0 = block * g.rows
            rows = min(g.rows, g.f.OH - row0)
            if g.gather:
                gathered_tiles(g, x, dy, dw, columns, n, row0, rows)
                continue
            for unit in range(unit0, unit1):
                gradient_tile(g, x, dy, dw, unit, n, samples, row0, rows)


cdef void pad_pixels(const Gradient *g, const real *dy, real *padded, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of dy copied into rows of whole vectors, so that no load leaves the array."""
    cdef Py_ssize_t ocg = g.f.OC // g.f.groups, rows = g.f.N * g.f.OH * g.f.OW * g.f.groups, row
    for row in range(rows * t // parts, rows * (t + 1) // parts):
        memcpy(padded + row * g.group, dy + row * ocg, ocg * sizeof(real))
        memset(padded + row * g.group + ocg, 0, (g.group - ocg) * sizeof(real))


cdef void gradient_part(const Gradient *g, const real *x, const real *dy, real *dw, real *partial, real *columns,
                        Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share: sample blocks with a sum each, or tiles of dw over all samples."""
    cdef Py_ssize_t block
    if not g.by_samples:
        gradient_pass(g, x, dy, dw, columns, 0, g.f.N, g.units * t // parts, g.units * (t + 1) // parts)
        return
    for block in range(g.blocks * t // parts, g.blocks * (t + 1) // parts):
        memset(partial + block * g.size, 0, g.size * sizeof(real))
        gradient_pass(g, x, dy, partial + block * g.size, columns + t * g.columns, g.f.N * block // g.blocks,
                      g.f.N * (block + 1) // g.blocks, 0, g.units)


cdef void add_blocks(const real *partial, Py_ssize_t blocks, Py_ssize_t size, real *total, Py_ssize_t t,
                     Py_ssize_t parts) noexcept nogil:
    """total += each block's sum in index order, thread t's share of the cells."""
    cdef Py_ssize_t first = size * t // parts, last = size * (t + 1) // parts, block, i
    for block in range(blocks):
        for i in range(first, last):
            total[i] += partial[block * size + i]


def backward_kernel_scratch(Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t OH, Py_ssize_t OW,
                            Py_ssize_t OC, Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w,
                            Py_ssize_t top, Py_ssize_t left, Py_ssize_t dilation_h, Py_ssize_t dilation_w,
                            Py_ssize_t groups, Py_ssize_t itemsize, Py_ssize_t n_threads):
    """Numbers of scratch that `backward_kernel` needs."""
    cdef Geometry f = forward_geometry(N, H, W, C, OH, OW, OC, KH, KW, stride_h, stride_w, top, left,
                                       dilation_h, dilation_w, groups)
    cdef Gradient g = gradient_plan(&f, itemsize)
    return (1 + (g.blocks * g.size if g.by_samples else 0) + n_threads * g.columns
            + (N * OH * OW * g.pixel if g.padded else 0))


def backward_kernel(
    const real[:, :, :, ::1] x not None,        # IN (N, H, W, C)
    const real[:, :, :, ::1] dy not None,       # IN (N, OH, OW, OC)
    real[:, :, :, ::1] dkernel not None,        # OUT (KH, KW, C/groups, OC), accumulated
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t top, Py_ssize_t left,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups,
    real[::1] scratch not None,                 # backward_kernel_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """dkernel += the gradient of the convolution's kernel."""
    cdef Geometry f = forward_geometry(
        x.shape[0], x.shape[1], x.shape[2], x.shape[3], dy.shape[1], dy.shape[2], dy.shape[3], KH, KW,
        stride_h, stride_w, top, left, dilation_h, dilation_w, groups)
    cdef Gradient g = gradient_plan(&f, sizeof(real))
    cdef real *partial = &scratch[0]
    cdef real *columns = partial + (g.blocks * g.size if g.by_samples else 0)
    cdef real *padded = columns + n_threads * g.columns
    cdef const real *pixels = padded if g.padded else &dy[0, 0, 0, 0]
    cdef const real *images = &x[0, 0, 0, 0]
    cdef real *dw = &dkernel[0, 0, 0, 0]
    cdef Py_ssize_t t
    with nogil:
        if n_threads == 1:
            if g.padded:
                pad_pixels(&g, &dy[0, 0, 0, 0], padded, 0, 1)
            gradient_part(&g, images, pixels, dw, partial, columns, 0, 1)
            if g.by_samples:
                add_blocks(partial, g.blocks, g.size, dw, 0, 1)
        else:
            if g.padded:
                for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                    pad_pixels(&g, &dy[0, 0, 0, 0], padded, t, n_threads)
            for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                gradient_part(&g, images, pixels, dw, partial, columns, t, n_threads)
            if g.by_samples:
                for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                    add_blocks(partial, g.blocks, g.size, dw, t, n_threads)


# ---------------------------------------------------------------------------------------------- db

cdef void bias_part(const real *dy, real *partial, Py_ssize_t N, Py_ssize_t P, Py_ssize_t OC, Py_ssize_t blocks,
                    Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's sample blocks, each summed into its own row, pixels in order."""
    cdef Py_ssize_t block, pixel, c
    cdef real *total
    for block in range(blocks * t // parts, blocks * (t + 1) // parts):
        total = partial + block * OC
        memset(total, 0, OC * sizeof(real))
        for pixel in range(N * block // blocks * P, N * (block + 1) // blocks * P):
            for c in range(OC):
                total[c] += dy[pixel * OC + c]


def backward_bias(
    const real[:, :, ::1] dy not None,      # IN (N, pixels, OC)
    real[::1] dbias not None,               # OUT (OC,), accumulated
    real[::1] scratch not None,             # 16 * OC numbers, overwritten
    Py_ssize_t n_threads,
):
    """dbias += dy summed over samples and pixels, in at most 16 fixed blocks of samples."""
    cdef Py_ssize_t N = dy.shape[0], P = dy.shape[1], OC = dy.shape[2], t
    cdef Py_ssize_t blocks = min(<Py_ssize_t> BLOCKS, N)
    with nogil:
        if n_threads == 1:
            bias_part(&dy[0, 0, 0], &scratch[0], N, P, OC, blocks, 0, 1)
        else:
            for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                bias_part(&dy[0, 0, 0], &scratch[0], N, P, OC, blocks, t, n_threads)
        add_blocks(&scratch[0], blocks, OC, &dbias[0], 0, 1)
