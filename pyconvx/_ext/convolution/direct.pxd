"""A convolution as products on the register tile, straight from the image: how it is cut, in which order it runs.

conv.pyx runs it over x for y, conv_input.pyx over dy, with the kernel rotated by 180 degrees, for dx. Every output
cell is summed in one order that depends on shapes alone: see docs/internals/kernels.md.
"""

from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from pyconvx._ext.common.activation cimport activate, pyconvx_activation
from pyconvx._ext.common.align cimport whole_lines
from pyconvx._ext.common.real cimport real
from pyconvx._ext.convolution.windows cimport Geometry, Span, taps_inside, whole_windows
from pyconvx._ext.tile.microkernel cimport (
    Panels, pack_rows, panel_channels, panel_vectors, panels_of, product_rows, tile_args,
)
from pyconvx._ext.tuning cimport (
    CONV_BAND_BYTES, CONV_FEW_PIXELS, CONV_SLAB_BYTES, CONV_SMALL_MAP_PIXELS, CONV_SMALL_MAP_SAMPLES,
    CONV_TINY_MAP_PIXELS, CONV_TINY_MAP_SAMPLES, CONV_UNITS_PER_THREAD,
)

cdef extern from "tile/depthwise.h" nogil:
    void depthwise_rows_float(const tile_args *p, const float *A, const float *B, const float *S, float *C,
                              Py_ssize_t rows, Py_ssize_t channels)
    void depthwise_rows_double(const tile_args *p, const double *A, const double *B, const double *S, double *C,
                               Py_ssize_t rows, Py_ssize_t channels)

cdef enum Direction:
    RIGHT, DOWN, ACROSS       # along a row of the map, down a column, across samples


cdef struct Taps:
    # Which taps of the stored kernel the loops run over. Rotated by 180 degrees: the last first, channels swapped.
    bint rotated
    Py_ssize_t width                              # KW of the stored kernel
    Py_ssize_t first_h, step_h, first_w, step_w   # stored taps of a rotated kernel: first + i * step


cdef struct DirectPlan:
    # One convolution and how it is cut into units of work, which changes no bit of the result
    Geometry g
    Taps taps
    Panels panels
    Py_ssize_t n_threads
    bint in_place                     # the kernel is used as it is stored
    bint wide                         # units are panels over the whole batch, packed just before use
    bint registers                    # a pool of 2 x 2 cells in the registers of the tile
    Py_ssize_t samples, rows          # of a unit
    Py_ssize_t blocks, units          # units of a sample, of everything
    Py_ssize_t tap_rows               # rows of taps in a slab
    Py_ssize_t start, packed, band    # numbers of scratch: start values, packed kernel, a thread's rows


cdef inline DirectPlan direct_plan(const Geometry *g, const Taps *taps, Py_ssize_t itemsize,
                                   Py_ssize_t n_threads) noexcept nogil:
    """Panels, units and scratch."""
    cdef DirectPlan p
    cdef Py_ssize_t cg = g.C // g.groups, pixels = g.OH * g.OW
    cdef Py_ssize_t row_bytes = (g.W * g.C * min(g.stride_h, g.H) + g.OW * g.OC) * itemsize
    cdef Py_ssize_t most = max(<Py_ssize_t> 1, g.N // (CONV_UNITS_PER_THREAD * n_threads)), tap_row
    p.g, p.taps, p.n_threads = g[0], taps[0], n_threads
    p.panels = panels_of(g.OC // g.groups, g.OW, itemsize)
    tap_row = g.KW * cg * p.panels.vectors * p.panels.lanes
    p.tap_rows = min(g.KH, max(<Py_ssize_t> 1, CONV_SLAB_BYTES // (tap_row * itemsize)))
    p.start = whole_lines(g.groups * p.panels.total * p.panels.lanes + g.C)
    p.packed = whole_lines(g.KH * g.KW * (g.C if g.depthwise else g.groups * cg * p.panels.total * p.panels.lanes))
    p.band, p.registers = 0, False
    p.wide = not g.depthwise and p.packed * itemsize > CONV_SLAB_BYTES and g.N * pixels < CONV_FEW_PIXELS
    p.in_place = (not taps.rotated and not p.wide and g.N * pixels < CONV_FEW_PIXELS
                  and (g.depthwise or g.OC // g.groups == p.panels.total * p.panels.lanes))
    if p.in_place:
        p.packed = 0
    if p.wide:
        p.samples, p.rows, p.blocks = g.N, g.OH, 1
        p.units = g.groups * p.panels.count
        p.packed = n_threads * p.tap_rows * tap_row
        return p
    # cells in the corners of small maps are computed across samples
    p.samples = min(most, CONV_TINY_MAP_SAMPLES if pixels <= CONV_TINY_MAP_PIXELS else
                    CONV_SMALL_MAP_SAMPLES if pixels <= CONV_SMALL_MAP_PIXELS else <Py_ssize_t> 1)
    p.rows = g.OH if p.samples > 1 else max(<Py_ssize_t> 1, min(g.OH, CONV_BAND_BYTES // row_bytes))
    if g.N < CONV_UNITS_PER_THREAD * n_threads and g.N % n_threads != 0:     # as much for every thread
        p.rows = min(p.rows, (g.OH + n_threads - 1) // n_threads)
    p.blocks = (g.OH + p.rows - 1) // p.rows
    p.units = (g.N + p.samples - 1) // p.samples * p.blocks
    return p


cdef inline Py_ssize_t direct_scratch(const DirectPlan *p) noexcept nogil:
    """Numbers of scratch: start values, the packed kernel, and a band for each thread."""
    return p.start + p.packed + p.band * (1 if p.wide else p.n_threads)


cdef struct Slab:
    # One panel of one group, and the rows of taps of it that are in use
    Py_ssize_t image, out             # offsets of its first channel in a pixel of image and output
    Py_ssize_t start                  # offset of its start values
    Py_ssize_t kernel, step           # offset in the packed kernel, numbers from a row of it to the next
    Py_ssize_t lanes, vectors, width
    Span taps


cdef inline Slab slab_of(const DirectPlan *p, Py_ssize_t unit) noexcept nogil:
    """Return the panel of that number with all taps."""
    cdef const Geometry *g = &p.g
    cdef const Panels *panels = &p.panels
    cdef Slab slab
    cdef Py_ssize_t group = unit // panels.count, panel = unit % panels.count
    cdef Py_ssize_t column = panel * panels.vectors * panels.lanes
    slab.image, slab.out = group * (g.C // g.groups), group * (g.OC // g.groups) + column
    slab.start = group * panels.total * panels.lanes + column
    slab.lanes, slab.vectors = panel_channels(panels, panel), panel_vectors(panels, panel)
    slab.width = slab.vectors * panels.lanes
    slab.kernel, slab.step = g.KH * g.KW * (g.C // g.groups) * slab.start, slab.width
    if p.in_place:
        slab.kernel, slab.step = slab.out, g.OC
    slab.taps.first, slab.taps.end = 0, g.KH
    return slab


cdef inline Py_ssize_t stored_tap(const DirectPlan *p, Py_ssize_t kh, Py_ssize_t kw) noexcept nogil:
    """Number of the stored tap at a place of the rotated kernel."""
    return ((p.taps.first_h + (p.g.KH - 1 - kh) * p.taps.step_h) * p.taps.width
            + p.taps.first_w + (p.g.KW - 1 - kw) * p.taps.step_w)


cdef inline void pack_slab(const DirectPlan *p, const Slab *slab, const real *kernel, real *packed) noexcept nogil:
    """Copy the slab's taps as rows of whole vectors, padded with zeros."""
    cdef const Geometry *g = &p.g
    cdef Py_ssize_t cg = g.C // g.groups, ocg = g.OC // g.groups, kh, kw, tap, column
    if not p.taps.rotated:
        pack_rows(kernel + slab.taps.first * g.KW * cg * g.OC + slab.out, g.OC, 1, packed,
                  (slab.taps.end - slab.taps.first) * g.KW * cg, slab.lanes, slab.width)
        return
    column = slab.out - slab.image // cg * ocg
    for kh in range(slab.taps.first, slab.taps.end):
        for kw in range(g.KW):
            tap = stored_tap(p, kh, kw)
            pack_rows(kernel + (tap * ocg + column) * g.C + slab.image, 1, g.C, packed, cg, slab.lanes, slab.width)
            packed += cg * slab.width


cdef inline void pack_part(const DirectPlan *p, const real *kernel, real *packed, Py_ssize_t t) noexcept nogil:
    """Pack thread t's share of the panels of the whole kernel."""
    cdef const Geometry *g = &p.g
    cdef Py_ssize_t units = g.groups * p.panels.count, unit, i, tap
    cdef Slab slab
    if g.depthwise:
        for i in range(g.KH * g.KW if t == 0 else 0):
            tap = stored_tap(p, i // g.KW, i % g.KW) if p.taps.rotated else i
            memcpy(packed + i * g.C, kernel + tap * g.C, g.C * sizeof(real))
        return
    for unit in range(units * t // p.n_threads, units * (t + 1) // p.n_threads):
        slab = slab_of(p, unit)
        pack_slab(p, &slab, kernel, packed + slab.kernel)


cdef inline void set_start(const DirectPlan *p, const real *bias, real *start) noexcept nogil:
    """Write the start value of every lane: the bias, or zero."""
    cdef const Geometry *g = &p.g
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
    """Compute `count` output cells from (oh, ow) on, in one direction, that see the same taps of the slab."""
    cdef Py_ssize_t h = g.h0 + oh * g.stride_h, w = g.w0 + ow * g.stride_w
    cdef Py_ssize_t width = slab.step, depth = g.C // g.groups
    cdef Span rows = taps_inside(h, g.dilation_h, g.KH, g.H)
    cdef Span columns = taps_inside(w, g.dilation_w, g.KW, g.W)
    cdef Py_ssize_t first = max(rows.first, slab.taps.first), end = min(rows.end, slab.taps.end)
    cdef real *cells = out + oh * g.out_row + ow * g.out_col + slab.out
    cdef const real *origin = start + slab.start
    cdef const real *A
    cdef const real *B
    cdef tile_args p
    if count <= 0 or (end <= first and not (slab.taps.first == 0 and rows.end <= rows.first)):
        return                          # no tap of this slab; a window all in padding is written once
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


cdef inline void convolve_slab(const Geometry *g, const Slab *slab, const real *image, const real *packed,
                               const real *start, real *out, Py_ssize_t first, Py_ssize_t rows,
                               Py_ssize_t samples) noexcept nogil:
    """Compute output rows first..first+rows of some samples, one slab. Padding is not read but left out of the
    sums: rows of cells see the same taps between the side borders, columns of them between top and bottom, and a
    cell in a corner sees the same taps in every sample."""
    cdef Span right = whole_windows(-g.w0, (g.KW - 1) * g.dilation_w, g.stride_w, g.W, g.OW)
    cdef Span down = whole_windows(-g.h0, (g.KH - 1) * g.dilation_h, g.stride_h, g.H, g.OH)
    cdef Py_ssize_t oh, ow, n, x_n = g.H * g.W * g.C
    down.first = min(max(down.first, first), first + rows)
    down.end = min(max(down.end, down.first), first + rows)
    if 2 * (right.end - right.first) <= samples:   # a row has few cells, but every sample has one in this place
        for oh in range(first, first + rows):
            for ow in range(g.OW):
                run(g, slab, image, packed, start, out, oh, ow, samples, ACROSS)
        return
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


cdef inline void convolve_panels(const DirectPlan *p, const real *image, const real *packed, const real *start,
                                 real *out, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t samples) noexcept nogil:
    """Compute output rows first..first+rows of some samples, all channels; the whole kernel is packed."""
    cdef const Geometry *g = &p.g
    cdef Py_ssize_t unit, q, cg = g.C // g.groups
    cdef Slab slab
    for unit in range(1 if g.depthwise else g.groups * p.panels.count):
        slab = slab_of(p, unit)
        for q in range(1 if g.depthwise else (g.KH + p.tap_rows - 1) // p.tap_rows):
            if not g.depthwise:
                slab.taps.first, slab.taps.end = q * p.tap_rows, min(g.KH, (q + 1) * p.tap_rows)
            convolve_slab(g, &slab, image, packed + slab.kernel + slab.taps.first * g.KW * cg * slab.step, start,
                          out, first, rows, samples)


cdef inline void wide_part(const DirectPlan *p, const real *image, const real *kernel, const real *start,
                           real *out, real *packed, Py_ssize_t t) noexcept nogil:
    """Compute thread t's share of the panels, each over the whole batch, packed a slab at a time."""
    cdef const Geometry *g = &p.g
    cdef Py_ssize_t unit, q
    cdef Slab slab
    for unit in range(p.units * t // p.n_threads, p.units * (t + 1) // p.n_threads):
        slab = slab_of(p, unit)
        for q in range((g.KH + p.tap_rows - 1) // p.tap_rows):
            slab.taps.first, slab.taps.end = q * p.tap_rows, min(g.KH, (q + 1) * p.tap_rows)
            pack_slab(p, &slab, kernel, packed)
            convolve_slab(g, &slab, image, packed, start, out, 0, g.OH, g.N)


cdef inline void convolve_part(const DirectPlan *p, const real *image, const real *packed, const real *start,
                               real *out, real *activated, const pyconvx_activation *activation,
                               Py_ssize_t t) noexcept nogil:
    """Compute thread t's share of the (samples, rows) units; `activated` gets f(out) if there is an activation f.

    A wide plan has written `out` already.
    """
    cdef const Geometry *g = &p.g
    cdef Py_ssize_t unit, n, first, rows, samples, offset, size
    for unit in range(p.units * t // p.n_threads, p.units * (t + 1) // p.n_threads):
        n, first = unit // p.blocks * p.samples, unit % p.blocks * p.rows
        rows, samples = min(p.rows, g.OH - first), min(p.samples, g.N - n)
        if not p.wide:
            convolve_panels(p, image + n * g.H * g.W * g.C, packed, start, out + n * g.out_n, first, rows, samples)
        if activation != NULL:
            offset = n * g.out_n + first * g.out_row
            size = g.out_n * samples if rows == g.OH else rows * g.out_row
            activate(activation, out + offset, activated + offset, size)


cdef inline const real *prepare(const DirectPlan *p, const real *image, const real *kernel, const real *bias,
                                real *out, real *scratch) noexcept nogil:
    """Write start values and the packed kernel to scratch; return the kernel. A wide plan runs the convolution."""
    cdef real *packed = scratch + p.start
    cdef Py_ssize_t t
    set_start(p, bias, scratch)
    if p.wide:
        if p.n_threads == 1:
            wide_part(p, image, kernel, scratch, out, packed, 0)
        else:
            for t in prange(p.n_threads, num_threads=p.n_threads, schedule="static"):
                wide_part(p, image, kernel, scratch, out, packed + t * (p.packed // p.n_threads), t)
    elif p.in_place:
        return kernel
    elif p.n_threads == 1:
        pack_part(p, kernel, packed, 0)
    else:
        for t in prange(p.n_threads, num_threads=p.n_threads, schedule="static"):
            pack_part(p, kernel, packed, t)
    return packed


cdef inline void convolve(const DirectPlan *p, const real *image, const real *kernel, const real *bias, real *out,
                          real *activated, const pyconvx_activation *activation, real *scratch) noexcept nogil:
    """Run the plan; one thread enters no parallel region."""
    cdef Py_ssize_t t
    cdef const real *packed = prepare(p, image, kernel, bias, out, scratch)
    cdef DirectPlan rest
    if p.wide:
        if activation == NULL:
            return
        rest = p[0]
        rest.samples, rest.units = 1, p.g.N
        p = &rest
    if p.n_threads == 1:
        convolve_part(p, image, packed, scratch, out, activated, activation, 0)
    else:
        for t in prange(p.n_threads, num_threads=p.n_threads, schedule="static"):
            convolve_part(p, image, packed, scratch, out, activated, activation, t)
