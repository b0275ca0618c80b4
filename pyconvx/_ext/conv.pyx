"""Convolution forward, and back to its input: which memory goes through the register tile, in which order.

    forward          y  = x * kernel + bias, then an activation on rows that are still in cache
    backward_input   dx: the same loops over dy, with the kernel turned round, once per phase of the stride;
                     images with few channels go the way of scatter.pxd

With a max pool between convolution and activation, the map is there a few rows at a time, forward in order
to find the maxima, backward with the gradients in the places of the winners (pooled.pxd).

Layouts: x (N, H, W, C), kernel (KH, KW, C/groups, OC), y (N, OH, OW, OC). Every output cell is summed in
one order that depends on shapes alone: see docs/kernels.md.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from cython.parallel cimport prange
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from pyconvx._ext.microkernel cimport (
    Panels, pack_rows, panel_channels, panel_vectors, panels_of, product, product_rows, real,
)
from pyconvx._ext.pooled cimport Pool, kept, pool_rows, spread_rows
from pyconvx._ext.scatter cimport Scatter, few_channels, scatter_pack, scatter_part, scatter_plan
from pyconvx._ext.windows cimport Geometry, Span, forward_geometry, taps_inside, whole_windows

cdef extern from "depthwise.h" nogil:
    const char *PYCONVX_LEVEL
    void depthwise_rows_float(const product *p, const float *A, const float *B, const float *S, float *C,
                              Py_ssize_t rows, Py_ssize_t channels)
    void depthwise_rows_double(const product *p, const double *A, const double *B, const double *S, double *C,
                               Py_ssize_t rows, Py_ssize_t channels)

cdef extern from "pool_tile.h" nogil:
    bint POOL_TILE
    void pooled_product_float(const product *p, Py_ssize_t a_down, const float *A, const float *B, const float *S,
                              float *Y, uint8_t *winner, Py_ssize_t windows, Py_ssize_t lanes, Py_ssize_t vectors)
    void pooled_product_double(const product *p, Py_ssize_t a_down, const double *A, const double *B,
                               const double *S, double *Y, uint8_t *winner, Py_ssize_t windows, Py_ssize_t lanes,
                               Py_ssize_t vectors)

cdef extern from "pyconvx/activation.h" nogil:
    const char *PYCONVX_ACTIVATION_TAG
    ctypedef struct pyconvx_activation:
        void (*f_float)(const float *x, float *y, Py_ssize_t n) noexcept nogil
        void (*f_double)(const double *x, double *y, Py_ssize_t n) noexcept nogil

LEVEL = PYCONVX_LEVEL.decode()

cdef enum:
    SLAB = 256 * 1024         # bytes of a packed panel in use: a quarter of a common L2
    BAND = 128 * 1024         # bytes of input and output that a unit of work covers
    POOL_BAND = 32 * 1024     # bytes of the map before a pool that is in use: a common L1
    FEW_PIXELS = 2048         # output pixels of a batch below which each thread packs what it uses

cdef enum Direction:
    RIGHT, DOWN, ACROSS       # along a row of the map, down a column, across samples


cdef struct Taps:
    # Which taps of the stored kernel the loops run over. Turned round: the last first, channels swapped.
    bint turned
    Py_ssize_t width                              # KW of the stored kernel
    Py_ssize_t first_h, step_h, first_w, step_w   # stored taps of a turned kernel: first + i * step


cdef struct Plan:
    # How a convolution is cut into units of work; none of it changes a bit of the result
    Panels panels
    bint wide                         # units are panels over the whole batch, packed where they are used
    bint registers                    # a pool of 2 x 2 cells in the registers of the tile
    Py_ssize_t samples, rows          # of a unit
    Py_ssize_t blocks, units          # units of a sample, of everything
    Py_ssize_t taps                   # rows of taps in a slab
    Py_ssize_t start, packed, band    # numbers of scratch: start values, packed kernel, a thread's rows


cdef inline Py_ssize_t whole_lines(Py_ssize_t numbers) noexcept nogil:
    """Rounded up to whole cache lines, so that what comes behind is aligned."""
    return (numbers + 15) // 16 * 16


cdef Plan plan(const Geometry *g, Py_ssize_t itemsize, Py_ssize_t n_threads) noexcept nogil:
    """Panels, units and scratch."""
    cdef Plan p
    cdef Py_ssize_t cg = g.C // g.groups, pixels = g.OH * g.OW
    cdef Py_ssize_t row_bytes = (g.W * g.C * min(g.stride_h, g.H) + g.OW * g.OC) * itemsize
    cdef Py_ssize_t share = max(<Py_ssize_t> 1, g.N // (4 * n_threads))
    cdef Py_ssize_t tap_row
    p.panels = panels_of(g.OC // g.groups, g.OW, itemsize)
    tap_row = g.KW * cg * p.panels.vectors * p.panels.lanes
    p.taps = min(g.KH, max(<Py_ssize_t> 1, SLAB // <Py_ssize_t> (tap_row * itemsize)))
    p.start = whole_lines(g.groups * p.panels.total * p.panels.lanes + g.C)
    p.packed = whole_lines(g.KH * g.KW * (g.C if g.depthwise else g.groups * cg * p.panels.total * p.panels.lanes))
    p.band, p.registers = 0, False
    p.wide = not g.depthwise and p.packed * itemsize > SLAB and g.N * pixels < FEW_PIXELS
    if p.wide:
        p.samples, p.rows, p.blocks = g.N, g.OH, 1
        p.units = g.groups * p.panels.count
        p.packed = n_threads * p.taps * tap_row
        return p
    # cells in the corners of small maps are computed across samples
    p.samples = min(share, <Py_ssize_t> (8 if pixels <= 64 else 4 if pixels <= 256 else 1))
    p.rows = g.OH if p.samples > 1 else max(<Py_ssize_t> 1, min(g.OH, <Py_ssize_t> BAND // row_bytes))
    if n_threads > 1 and g.N < 4 * n_threads:
        p.rows = max(<Py_ssize_t> 1, min(p.rows, g.OH * g.N // (4 * n_threads)))
    p.blocks = (g.OH + p.rows - 1) // p.rows
    p.units = (g.N + p.samples - 1) // p.samples * p.blocks
    return p


cdef void pool_plan(Plan *p, Geometry *g, const Pool *pool, Py_ssize_t itemsize) noexcept nogil:
    """Units of whole windows whose rows of the map fit a band of scratch; the map's strides are the band's."""
    cdef Py_ssize_t most = max(<Py_ssize_t> 1, <Py_ssize_t> POOL_BAND // (g.out_row * itemsize))
    cdef bint inside = g.h0 == 0 and g.w0 == 0 and (
        (g.OH - 1) * g.stride_h + (g.KH - 1) * g.dilation_h < g.H
        and (g.OW - 1) * g.stride_w + (g.KW - 1) * g.dilation_w < g.W)
    if not p.wide:
        p.registers = (POOL_TILE and inside and not g.depthwise and p.taps == g.KH and pool.KH == 2
                       and pool.KW == 2 and pool.stride_h == 2 and pool.stride_w == 2)
        p.samples = min(p.samples, max(<Py_ssize_t> 1, most // g.OH))
        if p.samples == 1:
            p.rows = min(p.rows, most)
        p.rows = min(pool.PH, max(<Py_ssize_t> 1, p.rows // pool.stride_h)) * pool.stride_h
        if p.samples > 1:
            p.rows = pool.PH * pool.stride_h
        p.blocks = (g.OH + p.rows - 1) // p.rows
        p.units = (g.N + p.samples - 1) // p.samples * p.blocks
        g.out_n = p.rows * g.out_row
    p.band = whole_lines(p.samples * g.out_n)


cdef void spread_plan(Plan *p, const Geometry *g, const Pool *pool) noexcept nogil:
    """The rows of dy's map that a unit of dx sees, in a band of scratch."""
    cdef Py_ssize_t rows = g.H
    if p.samples == 1 and not p.wide:
        rows = min(rows, p.rows + (g.KH - 1) * g.dilation_h + 2 * pool.stride_h)
    p.band = whole_lines(p.samples * rows * g.W * g.C)


cdef struct Slab:
    # One panel of one group, and the rows of taps of it that are in use
    Py_ssize_t image, out             # offsets of its first channel in a pixel of image and output
    Py_ssize_t start                  # offset of its start values
    Py_ssize_t lanes, vectors, width
    Span taps


cdef inline Slab slab_of(const Geometry *g, const Panels *panels, Py_ssize_t unit) noexcept nogil:
    """The panel of that number, all taps."""
    cdef Slab slab
    cdef Py_ssize_t group = unit // panels.count, panel = unit % panels.count
    cdef Py_ssize_t column = panel * panels.vectors * panels.lanes
    slab.image, slab.out = group * (g.C // g.groups), group * (g.OC // g.groups) + column
    slab.start = group * panels.total * panels.lanes + column
    slab.lanes, slab.vectors = panel_channels(panels, panel), panel_vectors(panels, panel)
    slab.width = slab.vectors * panels.lanes
    slab.taps.first, slab.taps.end = 0, g.KH
    return slab


cdef void pack_slab(const Geometry *g, const Taps *taps, const Slab *slab, const real *kernel,
                    real *packed) noexcept nogil:
    """The slab's taps as rows of whole vectors, padded with zeros."""
    cdef Py_ssize_t cg = g.C // g.groups, ocg = g.OC // g.groups, kh, kw, tap, column
    if not taps.turned:
        pack_rows(kernel + slab.taps.first * g.KW * cg * g.OC + slab.out, g.OC, 1, packed,
                  (slab.taps.end - slab.taps.first) * g.KW * cg, slab.lanes, slab.width)
        return
    column = slab.out - slab.image // cg * ocg
    for kh in range(slab.taps.first, slab.taps.end):
        for kw in range(g.KW):
            tap = ((taps.first_h + (g.KH - 1 - kh) * taps.step_h) * taps.width
                   + taps.first_w + (g.KW - 1 - kw) * taps.step_w)
            pack_rows(kernel + (tap * ocg + column) * g.C + slab.image, 1, g.C, packed, cg, slab.lanes, slab.width)
            packed += cg * slab.width


cdef void pack_part(const Geometry *g, const Plan *p, const Taps *taps, const real *kernel, real *packed,
                    Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the panels of the whole kernel."""
    cdef Py_ssize_t units = g.groups * p.panels.count, unit, i, tap
    cdef Slab slab
    if g.depthwise:
        for i in range(g.KH * g.KW if t == 0 else 0):
            tap = i
            if taps.turned:
                tap = ((taps.first_h + (g.KH - 1 - i // g.KW) * taps.step_h) * taps.width
                       + taps.first_w + (g.KW - 1 - i % g.KW) * taps.step_w)
            memcpy(packed + i * g.C, kernel + tap * g.C, g.C * sizeof(real))
        return
    for unit in range(units * t // parts, units * (t + 1) // parts):
        slab = slab_of(g, &p.panels, unit)
        pack_slab(g, taps, &slab, kernel, packed + g.KH * g.KW * (g.C // g.groups) * slab.start)


cdef void set_start(const Geometry *g, const Plan *p, const real *bias, real *start) noexcept nogil:
    """Start values of every lane: the bias, or zeros."""
    cdef Py_ssize_t group, ocg = g.OC // g.groups, lanes = p.panels.total * p.panels.lanes
    memset(start, 0, p.start * sizeof(real))
    if bias == NULL:
        return
    if g.depthwise:
        memcpy(start, bias, g.C * sizeof(real))
        return
    for group in range(g.groups):
        memcpy(start + group * lanes, bias + group * ocg, ocg * sizeof(real))


cdef inline void run(const Geometry *g, const Slab *slab, const real *image, const real *packed, const real *start,
                     real *out, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t count, Direction way) noexcept nogil:
    """`count` output cells from (oh, ow) on, in one direction, that see the same taps of the slab."""
    cdef Py_ssize_t h = g.h0 + oh * g.stride_h, w = g.w0 + ow * g.stride_w
    cdef Py_ssize_t width = slab.width, depth = g.C // g.groups
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
    p.a_m, p.c_m = g.stride_w * g.C, g.out_col
    if way == DOWN:
        p.a_m, p.c_m = g.stride_h * g.W * g.C, g.out_row
    elif way == ACROSS:
        p.a_m, p.c_m = g.H * g.W * g.C, g.out_n
    p.T, p.R, p.Q = depth, columns.end - columns.first, max(<Py_ssize_t> 0, end - first)
    p.a_t, p.a_r, p.a_q = 1, g.dilation_w * g.C, g.dilation_h * g.W * g.C
    if g.depthwise:
        width, depth = g.C, 1
    p.b_t, p.b_r, p.b_q = width, depth * width, g.KW * depth * width
    A = image + ((h + first * g.dilation_h) * g.W + w + columns.first * g.dilation_w) * g.C + slab.image
    B = packed + (first - slab.taps.first) * p.b_q + columns.first * p.b_r
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
                        const real *start, real *out, Py_ssize_t first, Py_ssize_t rows,
                        Py_ssize_t samples) noexcept nogil:
    """Output rows first..first+rows of some samples, one slab. Padding is not read but left out of the sums:
    rows of cells see the same taps between the side borders, columns of them between top and bottom, and a
    cell in a corner sees the same taps in every sample."""
    cdef Span right = whole_windows(-g.w0, (g.KW - 1) * g.dilation_w, g.stride_w, g.W, g.OW)
    cdef Span down = whole_windows(-g.h0, (g.KH - 1) * g.dilation_h, g.stride_h, g.H, g.OH)
    cdef Py_ssize_t oh, ow, n, x_n = g.H * g.W * g.C
    down.first = min(max(down.first, first), first + rows)
    down.end = min(max(down.end, down.first), first + rows)
    for n in range(samples):
        for oh in range(first, first + rows):
            run(g, slab, image + n * x_n, packed, start, out + n * g.out_n, oh, right.first,
                right.end - right.first, RIGHT)
    for ow in range(g.OW):
        if right.first <= ow < right.end:
            continue
        for n in range(samples):
            run(g, slab, image + n * x_n, packed, start, out + n * g.out_n, down.first, ow,
                down.end - down.first, DOWN)
        for oh in range(first, first + rows):
            if not down.first <= oh < down.end:
                run(g, slab, image, packed, start, out, oh, ow, samples, ACROSS)


cdef void convolve_panels(const Geometry *g, const Plan *p, const real *image, const real *packed,
                          const real *start, real *out, Py_ssize_t first, Py_ssize_t rows,
                          Py_ssize_t samples) noexcept nogil:
    """Output rows first..first+rows of some samples, all channels, the kernel packed as a whole."""
    cdef Py_ssize_t unit, q, cg = g.C // g.groups
    cdef Slab slab
    for unit in range(1 if g.depthwise else g.groups * p.panels.count):
        slab = slab_of(g, &p.panels, unit)
        for q in range(1 if g.depthwise else (g.KH + p.taps - 1) // p.taps):
            if not g.depthwise:
                slab.taps.first, slab.taps.end = q * p.taps, min(g.KH, (q + 1) * p.taps)
            convolve_slab(g, &slab, image,
                          packed + cg * g.KW * (g.KH * slab.start + slab.taps.first * slab.width), start, out,
                          first, rows, samples)


cdef void wide_part(const Geometry *g, const Plan *p, const Taps *taps, const real *image, const real *kernel,
                    const real *start, real *out, real *packed, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the panels, each over the whole batch, packed a slab at a time."""
    cdef Py_ssize_t unit, q
    cdef Slab slab
    for unit in range(p.units * t // parts, p.units * (t + 1) // parts):
        slab = slab_of(g, &p.panels, unit)
        for q in range((g.KH + p.taps - 1) // p.taps):
            slab.taps.first, slab.taps.end = q * p.taps, min(g.KH, (q + 1) * p.taps)
            pack_slab(g, taps, &slab, kernel, packed)
            convolve_slab(g, &slab, image, packed, start, out, 0, g.OH, g.N)


cdef inline void activate(const pyconvx_activation *f, const real *x, real *y, Py_ssize_t n) noexcept nogil:
    """y = f(x), in either precision."""
    if real is float:
        f.f_float(x, y, n)
    else:
        f.f_double(x, y, n)


cdef void convolve_part(const Geometry *g, const Plan *p, const real *image, const real *packed,
                        const real *start, real *out, real *after, const pyconvx_activation *activation,
                        Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the (samples, rows) units; `after` gets the activation of `out`, if there is one."""
    cdef Py_ssize_t unit, n, first, rows, samples, offset, size
    for unit in range(p.units * t // parts, p.units * (t + 1) // parts):
        n, first = unit // p.blocks * p.samples, unit % p.blocks * p.rows
        rows, samples = min(p.rows, g.OH - first), min(p.samples, g.N - n)
        if not p.wide:
            convolve_panels(g, p, image + n * g.H * g.W * g.C, packed, start, out + n * g.out_n, first, rows,
                            samples)
        if activation != NULL:
            offset = n * g.out_n + first * g.out_row
            size = g.out_n * samples if rows == g.OH else rows * g.out_row
            activate(activation, out + offset, after + offset, size)


cdef void pool_panels(const Geometry *g, const Plan *p, const Pool *pool, const real *image, const real *packed,
                      const real *start, real *y, uint8_t *winner, Py_ssize_t windows) noexcept nogil:
    """Rows of 2 x 2 maxima, from the image's row `image` on; no window of the convolution sees padding."""
    cdef Py_ssize_t unit, i, cell, cg = g.C // g.groups, down = g.stride_h * g.W * g.C
    cdef const real *A
    cdef const real *B
    cdef Slab slab
    cdef product m
    m.T, m.R, m.Q = cg, g.KW, g.KH
    m.a_t, m.a_r, m.a_q = 1, g.dilation_w * g.C, g.dilation_h * g.W * g.C
    m.a_m, m.c_m, m.s_m = g.stride_w * g.C, pool.C, 0
    for unit in range(g.groups * p.panels.count):
        slab = slab_of(g, &p.panels, unit)
        B = packed + cg * g.KW * g.KH * slab.start
        m.b_t, m.b_r, m.b_q = slab.width, cg * slab.width, g.KW * cg * slab.width
        if g.groups == 1 and g.dilation_w == 1:     # a row of the window is one run of numbers
            m.T, m.R = g.KW * g.C, 1
        for i in range(windows):
            A = image + 2 * i * down + slab.image
            cell = i * pool.PW * pool.C + slab.out
            if real is float:
                pooled_product_float(&m, down, A, B, start + slab.start, y + cell, winner + cell, pool.PW,
                                     slab.lanes, slab.vectors)
            else:
                pooled_product_double(&m, down, A, B, start + slab.start, y + cell, winner + cell, pool.PW,
                                      slab.lanes, slab.vectors)


cdef void pooled_part(const Geometry *g, const Plan *p, const Pool *pool, const real *image, const real *packed,
                      const real *start, real *band, real *y, real *after, uint8_t *winner,
                      const pyconvx_activation *activation, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share: rows of the map into its band, from there the maxima, then their activation.

    A wide plan has written all of the map already; then `band` is that, and units are samples.
    """
    cdef Py_ssize_t unit, n, i, first, rows, windows, samples, cell, at
    for unit in range(p.units * t // parts, p.units * (t + 1) // parts):
        n, first = unit // p.blocks * p.samples, unit % p.blocks * p.rows
        rows, samples = min(p.rows, g.OH - first), min(p.samples, g.N - n)
        windows = (rows + pool.stride_h - 1) // pool.stride_h
        cell = (n * pool.PH + first // pool.stride_h) * pool.PW * pool.C
        if not (p.registers or p.wide):
            convolve_panels(g, p, image + n * g.H * g.W * g.C, packed, start, band - first * g.out_row, first,
                            rows, samples)
        for i in range(samples):
            at = cell + i * pool.PH * pool.PW * pool.C
            if p.registers:
                pool_panels(g, p, pool, image + ((n + i) * g.H + first * g.stride_h) * g.W * g.C, packed, start,
                            y + at, winner + at, windows)
            else:
                pool_rows(pool, band + (unit if p.wide else i) * g.out_n, y + at, winner + at, windows)
        if activation != NULL:
            activate(activation, y + cell, after + cell,
                     (windows if samples == 1 else samples * pool.PH) * pool.PW * pool.C)


cdef void prepare(const Geometry *g, const Plan *p, const Taps *taps, const real *image, const real *kernel,
                  const real *bias, real *out, real *scratch, Py_ssize_t n_threads) noexcept nogil:
    """Start values and packed kernel behind one another in scratch; with a wide plan the convolution itself."""
    cdef real *packed = scratch + p.start
    cdef Py_ssize_t t
    set_start(g, p, bias, scratch)
    if n_threads == 1:
        if p.wide:
            wide_part(g, p, taps, image, kernel, scratch, out, packed, 0, 1)
        else:
            pack_part(g, p, taps, kernel, packed, 0, 1)
    else:
        for t in prange(n_threads, num_threads=n_threads, schedule="static"):
            if p.wide:
                wide_part(g, p, taps, image, kernel, scratch, out, packed + t * (p.packed // n_threads), t,
                          n_threads)
            else:
                pack_part(g, p, taps, kernel, packed, t, n_threads)


cdef void convolve(const Geometry *g, const Taps *taps, const real *image, const real *kernel, const real *bias,
                   real *out, real *after, const pyconvx_activation *activation, real *scratch,
                   Py_ssize_t n_threads) noexcept nogil:
    """Everything, on `n_threads` threads; one thread enters no parallel region."""
    cdef Plan p = plan(g, sizeof(real), n_threads)
    cdef const real *packed = scratch + p.start
    cdef Py_ssize_t t
    prepare(g, &p, taps, image, kernel, bias, out, scratch, n_threads)
    if p.wide:
        if activation == NULL:
            return
        p.samples, p.units = 1, g.N
    if n_threads == 1:
        convolve_part(g, &p, image, packed, scratch, out, after, activation, 0, 1)
    else:
        for t in prange(n_threads, num_threads=n_threads, schedule="static"):
            convolve_part(g, &p, image, packed, scratch, out, after, activation, t, n_threads)


cdef void convolve_pooled(Geometry *g, const Taps *taps, const Pool *pool, const real *image, const real *kernel,
                          const real *bias, real *y, real *after, uint8_t *winner,
                          const pyconvx_activation *activation, real *scratch,
                          Py_ssize_t n_threads) noexcept nogil:
    """Convolution, max pool, activation; `g` is cut to the rows and columns that the pool keeps."""
    cdef Plan p = plan(g, sizeof(real), n_threads)
    cdef real *packed = scratch + p.start
    cdef real *band = packed + p.packed
    cdef Py_ssize_t t
    pool_plan(&p, g, pool, sizeof(real))
    prepare(g, &p, taps, image, kernel, bias, band, scratch, n_threads)
    if p.wide:
        p.samples, p.units, p.rows, p.band = 1, g.N, pool.PH * pool.stride_h, 0
    if n_threads == 1:
        pooled_part(g, &p, pool, image, packed, scratch, band, y, after, winner, activation, 0, 1)
    else:
        for t in prange(n_threads, num_threads=n_threads, schedule="static"):
            pooled_part(g, &p, pool, image, packed, scratch, band + t * p.band, y, after, winner, activation, t,
                        n_threads)


def forward_scratch(Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t PH, Py_ssize_t PW,
                    Py_ssize_t OC, Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w,
                    Py_ssize_t top, Py_ssize_t left, Py_ssize_t dilation_h, Py_ssize_t dilation_w,
                    Py_ssize_t groups, Py_ssize_t pool_h, Py_ssize_t pool_w, Py_ssize_t pool_stride_h,
                    Py_ssize_t pool_stride_w, Py_ssize_t itemsize, Py_ssize_t n_threads):
    """Numbers of scratch that `forward` needs; a pool of one cell is none."""
    cdef Pool pool = Pool(PH, PW, pool_h, pool_w, pool_stride_h, pool_stride_w, OC)
    cdef Geometry g = forward_geometry(N, H, W, C, kept(PH, pool_h, pool_stride_h),
                                       kept(PW, pool_w, pool_stride_w), OC, KH, KW, stride_h, stride_w, top, left,
                                       dilation_h, dilation_w, groups)
    cdef Plan p = plan(&g, itemsize, n_threads)
    if pool_h * pool_w > 1:
        pool_plan(&p, &g, &pool, itemsize)
    return p.start + p.packed + p.band * (1 if p.wide else n_threads)


def forward(
    const real[:, :, :, ::1] x not None,        # IN (N, H, W, C)
    const real[:, :, :, ::1] kernel not None,   # IN (KH, KW, C/groups, OC)
    const real[::1] bias,                       # IN (OC,) or None
    real[:, :, :, ::1] y not None,              # OUT (N, PH, PW, OC), before the activation
    real[:, :, :, ::1] after,                   # OUT (N, PH, PW, OC), its activation; may be y; None without
    uint8_t[:, :, :, ::1] winner,               # OUT (N, PH, PW, OC), taps of the maxima; None without a pool
    activation,                                 # IN capsule of a compiled activation, or None
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t top, Py_ssize_t left,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups,
    Py_ssize_t pool_h, Py_ssize_t pool_w, Py_ssize_t pool_stride_h, Py_ssize_t pool_stride_w,   # 1 without
    real[::1] scratch not None,                 # forward_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """y = x cross-correlated with kernel, + bias, or its maxima over windows apart; after = f(y)."""
    cdef Pool pool = Pool(y.shape[1], y.shape[2], pool_h, pool_w, pool_stride_h, pool_stride_w, y.shape[3])
    cdef Geometry g = forward_geometry(
        x.shape[0], x.shape[1], x.shape[2], x.shape[3], kept(pool.PH, pool_h, pool_stride_h),
        kept(pool.PW, pool_w, pool_stride_w), pool.C, KH, KW, stride_h, stride_w, top, left, dilation_h,
        dilation_w, groups)
    cdef Taps taps
    cdef const pyconvx_activation *f = NULL
    cdef const real *bias_data = NULL
    cdef real *after_data = NULL
    cdef uint8_t *winners = NULL
    taps.turned = False
    if activation is not None:
        f = <const pyconvx_activation *> PyCapsule_GetPointer(activation, PYCONVX_ACTIVATION_TAG)
        after_data = &after[0, 0, 0, 0]
    if bias is not None:
        bias_data = &bias[0]
    if winner is not None:
        winners = &winner[0, 0, 0, 0]
    with nogil:
        if winners == NULL:
            convolve(&g, &taps, &x[0, 0, 0, 0], &kernel[0, 0, 0, 0], bias_data, &y[0, 0, 0, 0], after_data, f,
                     &scratch[0], n_threads)
        else:
            convolve_pooled(&g, &taps, &pool, &x[0, 0, 0, 0], &kernel[0, 0, 0, 0], bias_data, &y[0, 0, 0, 0],
                            after_data, winners, f, &scratch[0], n_threads)


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
    g.N, g.H, g.W, g.C, g.OC, g.groups = f.N, f.OH, f.OW, f.OC, f.C, f.groups
    _, g.OH, g.KH, _, _, g.h0, g.dilation_h = rows
    _, g.OW, g.KW, _, _, g.w0, g.dilation_w = columns
    g.stride_h = g.stride_w = 1
    g.out_n, g.out_row, g.out_col = f.H * f.W * f.C, f.stride_h * f.W * f.C, f.stride_w * f.C
    g.depthwise = f.depthwise
    return g


cdef Py_ssize_t spread_unit(const Geometry *g, const Plan *p, const Pool *pool, const real *dy,
                            const uint8_t *winner, real *band, Py_ssize_t n, Py_ssize_t samples, Py_ssize_t first,
                            Py_ssize_t rows) noexcept nogil:
    """The rows of dy's map that output rows first..first+rows see, of some samples, into the band.

    Returns the first of these rows."""
    cdef Py_ssize_t begin = max(<Py_ssize_t> 0, g.h0 + first) // pool.stride_h
    cdef Py_ssize_t last = min(g.H, g.h0 + first + rows + (g.KH - 1) * g.dilation_h)
    cdef Py_ssize_t end = min(pool.PH, (last + pool.stride_h - 1) // pool.stride_h), i, cell
    if samples > 1:
        begin, end = 0, pool.PH
    for i in range(samples if begin < end else 0):
        cell = ((n + i) * pool.PH + begin) * pool.PW * pool.C
        spread_rows(pool, dy + cell, winner + cell, band + i * g.H * g.W * g.C, end - begin,
                    min(g.H - begin * pool.stride_h, (end - begin) * pool.stride_h), 1, g.C)
    return begin * pool.stride_h


cdef void spread_part(const Geometry *g, const Plan *p, const Pool *pool, const real *dy, const uint8_t *winner,
                      const real *packed, const real *start, real *out, real *band, Py_ssize_t t,
                      Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the units of dx; each sees its rows of dy's map in the thread's band."""
    cdef Py_ssize_t unit, n, first, rows, samples, row0
    for unit in range(p.units * t // parts, p.units * (t + 1) // parts):
        n, first = unit // p.blocks * p.samples, unit % p.blocks * p.rows
        rows, samples = min(p.rows, g.OH - first), min(p.samples, g.N - n)
        row0 = spread_unit(g, p, pool, dy, winner, band, n, samples, first, rows)
        convolve_panels(g, p, band - row0 * g.W * g.C, packed, start, out + n * g.out_n, first, rows, samples)


cdef void convolve_spread(const Geometry *g, const Taps *taps, const Pool *pool, const real *dy,
                          const uint8_t *winner, const real *kernel, real *out, real *scratch,
                          Py_ssize_t n_threads) noexcept nogil:
    """One phase of dx, given the gradient behind a max pool."""
    cdef Plan p = plan(g, sizeof(real), n_threads)
    cdef real *packed = scratch + p.start
    cdef real *band = packed + p.packed
    cdef Py_ssize_t t, n, cell
    spread_plan(&p, g, pool)
    if p.wide:
        for n in range(g.N):
            cell = n * pool.PH * pool.PW * pool.C
            spread_rows(pool, dy + cell, winner + cell, band + n * g.H * g.W * g.C, pool.PH, g.H, 1, g.C)
    prepare(g, &p, taps, band, kernel, <const real *> NULL, out, scratch, n_threads)
    if p.wide:
        return
    if n_threads == 1:
        spread_part(g, &p, pool, dy, winner, packed, scratch, out, band, 0, 1)
    else:
        for t in prange(n_threads, num_threads=n_threads, schedule="static"):
            spread_part(g, &p, pool, dy, winner, packed, scratch, out, band + t * p.band, t, n_threads)


cdef void scatter(const Geometry *f, const Pool *pool, const real *dy, const uint8_t *winner, const real *kernel,
                  real *dx, real *scratch, Py_ssize_t n_threads) noexcept nogil:
    """dx of an image of few channels, on `n_threads` threads."""
    cdef Scatter s = scatter_plan(f, pool, sizeof(real), n_threads)
    cdef real *products = scratch + s.packed
    cdef Py_ssize_t t
    scatter_pack(&s, f, kernel, scratch)
    if n_threads == 1:
        scatter_part(&s, f, pool, dy, winner, scratch, products, dx, 0, 1)
    else:
        for t in prange(n_threads, num_threads=n_threads, schedule="static"):
            scatter_part(&s, f, pool, dy, winner, scratch, products + t * s.band, dx, t, n_threads)


def backward_input_scratch(Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t PH, Py_ssize_t PW,
                           Py_ssize_t OC, Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w,
                           Py_ssize_t top, Py_ssize_t left, Py_ssize_t dilation_h, Py_ssize_t dilation_w,
                           Py_ssize_t groups, Py_ssize_t pool_h, Py_ssize_t pool_w, Py_ssize_t pool_stride_h,
                           Py_ssize_t pool_stride_w, Py_ssize_t itemsize, Py_ssize_t n_threads):
    """Numbers of scratch that `backward_input` needs; a pool of one cell is none."""
    cdef Pool pool = Pool(PH, PW, pool_h, pool_w, pool_stride_h, pool_stride_w, OC)
    cdef Geometry f = forward_geometry(N, H, W, C, kept(PH, pool_h, pool_stride_h),
                                       kept(PW, pool_w, pool_stride_w), OC, KH, KW, stride_h, stride_w, top, left,
                                       dilation_h, dilation_w, groups)
    cdef Geometry g
    cdef Plan p
    cdef Scatter s
    cdef Py_ssize_t most = 1
    if few_channels(&f, itemsize):
        s = scatter_plan(&f, &pool, itemsize, n_threads)
        return s.packed + n_threads * s.band
    for rows in _axis_phases(H, KH, stride_h, top, dilation_h):
        for columns in _axis_phases(W, KW, stride_w, left, dilation_w):
            g = phase_geometry(&f, rows, columns)
            p = plan(&g, itemsize, n_threads)
            if pool_h * pool_w > 1:
                spread_plan(&p, &g, &pool)
            most = max(most, p.start + p.packed + p.band * (1 if p.wide else n_threads))
    return most


def backward_input(
    const real[:, :, :, ::1] dy not None,       # IN (N, PH, PW, OC)
    const uint8_t[:, :, :, ::1] winner,         # IN (N, PH, PW, OC) as from forward; None without a pool
    const real[:, :, :, ::1] kernel not None,   # IN (KH, KW, C/groups, OC)
    real[:, :, :, ::1] dx not None,             # OUT (N, H, W, C), overwritten
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t top, Py_ssize_t left,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups,
    Py_ssize_t pool_h, Py_ssize_t pool_w, Py_ssize_t pool_stride_h, Py_ssize_t pool_stride_w,   # 1 without
    real[::1] scratch not None,                 # backward_input_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """dx = the gradient of the convolution's input."""
    cdef Pool pool = Pool(dy.shape[1], dy.shape[2], pool_h, pool_w, pool_stride_h, pool_stride_w, dy.shape[3])
    cdef Geometry f = forward_geometry(
        dx.shape[0], dx.shape[1], dx.shape[2], dx.shape[3], kept(pool.PH, pool_h, pool_stride_h),
        kept(pool.PW, pool_w, pool_stride_w), pool.C, KH, KW, stride_h, stride_w, top, left, dilation_h,
        dilation_w, groups)
    cdef Geometry g
    cdef Taps taps
    cdef real *out
    cdef const uint8_t *winners = NULL
    if winner is not None:
        winners = &winner[0, 0, 0, 0]
    if few_channels(&f, sizeof(real)):
        with nogil:
            scatter(&f, &pool, &dy[0, 0, 0, 0], winners, &kernel[0, 0, 0, 0], &dx[0, 0, 0, 0], &scratch[0],
                    n_threads)
        return
    all_rows = _axis_phases(f.H, KH, stride_h, top, dilation_h)
    all_columns = _axis_phases(f.W, KW, stride_w, left, dilation_w)
    if len(all_rows) < min(stride_h, f.H) or len(all_columns) < min(stride_w, f.W):
        memset(&dx[0, 0, 0, 0], 0, f.N * f.H * f.W * f.C * sizeof(real))    # pixels that no window met
    taps.turned, taps.width = True, KW
    for rows in all_rows:
        for columns in all_columns:
            g = phase_geometry(&f, rows, columns)
            taps.first_h, taps.step_h, taps.first_w, taps.step_w = rows[3], rows[4], columns[3], columns[4]
            out = &dx[0, 0, 0, 0] + (<Py_ssize_t> rows[0] * f.W + <Py_ssize_t> columns[0]) * f.C
            with nogil:
                if winners == NULL:
                    convolve(&g, &taps, &dy[0, 0, 0, 0], &kernel[0, 0, 0, 0], <const real *> NULL, out,
                             <real *> NULL, NULL, &scratch[0], n_threads)
                else:
                    convolve_spread(&g, &taps, &pool, &dy[0, 0, 0, 0], winners, &kernel[0, 0, 0, 0], out,
                                    &scratch[0], n_threads)
