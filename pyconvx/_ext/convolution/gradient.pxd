"""The gradient of a convolution's kernel: how it is cut, and its tiles.

Three ways, which shapes choose: tiles of (input channels) x (output channels) of a tap, summed over output pixels;
windows of few channels gathered into columns first; depthwise rows.
"""

from libc.string cimport memcpy, memset

from pyconvx._ext.common.align cimport whole_lines
from pyconvx._ext.common.real cimport real
from pyconvx._ext.convolution.windows cimport Geometry, Pool, Span, has_taps, inside, whole_windows
from pyconvx._ext.tile.microkernel cimport (
    Panels, panel_channels, panel_vectors, panels_of, product_rows, tile_args,
)
from pyconvx._ext.tuning cimport (
    GRADIENT_DEPTHWISE_PIXELS, GRADIENT_FEW_CHANNELS, GRADIENT_GATHER_BYTES, GRADIENT_PASS_BYTES,
    GRADIENT_PASS_SAMPLES, GRADIENT_ROWS_BYTES, GRADIENT_SMALL_BYTES, POOLED_GRADIENT_BAND_BYTES, SUM_BLOCKS,
)

cdef extern from "tile/depthwise.h" nogil:
    void depthwise_gradient_float(const tile_args *p, const float *x, const float *dy, float *dw,
                                  Py_ssize_t taps, Py_ssize_t channels)
    void depthwise_gradient_double(const tile_args *p, const double *x, const double *dy, double *dw,
                                   Py_ssize_t taps, Py_ssize_t channels)


cdef struct GradientPlan:
    # How dw is summed. A unit is a tile of dw: (tap, group, panel), or one panel if windows are gathered, or all
    # of it if depthwise.
    Geometry f
    Panels panels
    Pool pool
    Py_ssize_t pixel, group           # strides of dy from pixel to pixel and group to group
    bint gather, padded, by_samples, pooled
    Py_ssize_t samples, rows          # what a pass over the units covers: samples, or rows of one sample
    Py_ssize_t units, size            # tiles of dw, numbers in dw
    Py_ssize_t blocks, columns        # sample blocks; numbers a thread gathers windows in
    Py_ssize_t band, map              # numbers of dy's map: a thread's, and the whole if that is needed
    Py_ssize_t n_threads


cdef inline GradientPlan gradient_plan(const Geometry *f, const Pool *pool, Py_ssize_t itemsize,
                                       Py_ssize_t n_threads) noexcept nogil:
    """Plan tiles, passes and blocks from the shapes alone, since blocks decide the order of sums."""
    cdef GradientPlan g
    cdef Py_ssize_t cg = f.C // f.groups, ocg = f.OC // f.groups, taps = f.KH * f.KW
    cdef Py_ssize_t sample = (f.H * f.W * f.C + f.OH * f.OW * f.OC) * itemsize
    g.f, g.pool, g.n_threads = f[0], pool[0], n_threads
    g.pooled = has_taps(pool)
    g.panels = panels_of(ocg, cg, itemsize)
    g.gather = cg < GRADIENT_FEW_CHANNELS and f.groups == 1
    g.padded = not f.depthwise and ocg % g.panels.lanes != 0
    g.group = g.panels.total * g.panels.lanes if g.padded else ocg
    g.pixel = f.groups * g.group
    g.size = taps * cg * f.OC
    g.units = 1 if f.depthwise else g.panels.count if g.gather else taps * f.groups * g.panels.count
    g.by_samples = g.gather or f.depthwise or g.size * itemsize <= GRADIENT_SMALL_BYTES
    g.blocks = min(<Py_ssize_t> SUM_BLOCKS, f.N)
    g.samples = min(max(<Py_ssize_t> 1, GRADIENT_PASS_BYTES // sample), GRADIENT_PASS_SAMPLES)
    g.rows = (f.OH if sample <= GRADIENT_PASS_BYTES
              else max(<Py_ssize_t> 1, f.OH * GRADIENT_ROWS_BYTES // sample))
    g.columns = 0
    if g.gather:
        g.samples = 1
        g.rows = min(f.OH, max(<Py_ssize_t> 1, GRADIENT_GATHER_BYTES // (taps * f.C * f.OW * itemsize)))
        if g.pooled:
            g.rows = min(g.rows, POOLED_GRADIENT_BAND_BYTES // ((taps * f.C + g.pixel) * f.OW * itemsize))
    if g.pooled:        # whole windows
        g.rows = min(pool.PH, max(<Py_ssize_t> 1, g.rows // pool.stride_h)) * pool.stride_h
    if g.gather:
        g.columns = whole_lines(taps * f.C * g.rows * f.OW + (f.C * f.H * f.W if f.C > 1 else 0))
    g.band = g.map = 0
    if g.pooled and g.by_samples:
        g.band = whole_lines(g.samples * g.rows * f.OW * g.pixel)
    elif g.pooled or g.padded:
        g.map = f.N * f.OH * f.OW * g.pixel
    return g


cdef inline void split_channels(const GradientPlan *g, const real *x, real *planes) noexcept nogil:
    """Write planes[c, h, w] = x[h, w, c] of one sample, so that windows are gathered in runs."""
    cdef Py_ssize_t pixel, c, C = g.f.C, pixels = g.f.H * g.f.W
    for pixel in range(pixels):
        for c in range(C):
            planes[c * pixels + pixel] = x[pixel * C + c]


cdef inline void gather_windows(const GradientPlan *g, const real *planes, real *columns, Py_ssize_t row0,
                                Py_ssize_t rows) noexcept nogil:
    """Write columns[tap and channel, pixel] of one sample's output rows, zeros if a tap meets padding."""
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


cdef inline void gathered_tiles(const GradientPlan *g, const real *x, const real *dy, real *dw, real *columns,
                                Py_ssize_t n, Py_ssize_t row0, Py_ssize_t rows) noexcept nogil:
    """Add the product of gathered windows and dy to dw, one sample's rows; `dy` begins with these."""
    cdef const Geometry *f = &g.f
    cdef Py_ssize_t panel, column
    cdef real *planes = columns + f.KH * f.KW * f.C * g.rows * f.OW
    cdef tile_args p
    if f.C > 1 and row0 == 0:
        split_channels(g, x + n * f.H * f.W * f.C, planes)
    gather_windows(g, planes if f.C > 1 else x + n * f.H * f.W, columns, row0, rows)
    p.T, p.R, p.Q = rows * f.OW, 1, 1
    p.a_t, p.a_m, p.b_t = 1, rows * f.OW, g.pixel
    p.c_m = p.s_m = f.OC
    p.a_r = p.a_q = p.b_r = p.b_q = 0
    for panel in range(g.panels.count):
        column = panel * g.panels.vectors * g.panels.lanes
        product_rows(&p, columns, dy + column, dw + column, dw + column,
                     f.KH * f.KW * f.C, panel_channels(&g.panels, panel), panel_vectors(&g.panels, panel))


cdef inline void depthwise_row(const GradientPlan *g, const real *x, const real *dy, real *dw, Py_ssize_t first,
                               Py_ssize_t end, Py_ssize_t tap, Py_ssize_t taps, bint last) noexcept nogil:
    """Add to dw of `taps` taps of a row, from `tap` on, their sums over pixels first..end of a row of dy.

    `last` says that no other row of taps follows, so that the next rows may be fetched.
    """
    cdef const Geometry *f = &g.f
    cdef tile_args p
    p.T, p.a_t, p.b_t, p.c_m = end - first, f.stride_w * f.C, g.pixel, f.C
    p.a_r, p.b_r = f.stride_h * f.W * f.C if last else 0, f.OW * g.pixel
    x = x + (first * f.stride_w + f.w0 + tap * f.dilation_w) * f.C
    if real is float:
        depthwise_gradient_float(&p, x, dy + first * g.pixel, dw + tap * f.C, taps, f.C)
    else:
        depthwise_gradient_double(&p, x, dy + first * g.pixel, dw + tap * f.C, taps, f.C)


cdef inline void depthwise_rows(const GradientPlan *g, const real *x, const real *dy, real *dw, Py_ssize_t row0,
                                Py_ssize_t rows) noexcept nogil:
    """Add to dw of a depthwise convolution its sum over rows of one sample; `dy` begins there.

    A few pixels at a time, so that they are in L1 for every row of taps; three taps of a row are summed together
    if all of them see the image.
    """
    cdef const Geometry *f = &g.f
    cdef Span all = whole_windows(-f.w0, (f.KW - 1) * f.dilation_w, f.stride_w, f.W, f.OW), seen, part
    cdef bint three = f.KW == 3 and f.stride_w == 1 and f.dilation_w == 1
    cdef Py_ssize_t oh, kh, kw, h, i
    cdef Py_ssize_t pieces = (all.end - all.first + GRADIENT_DEPTHWISE_PIXELS - 1) // GRADIENT_DEPTHWISE_PIXELS
    for oh in range(row0, row0 + rows):
        for i in range(-1, pieces + 1):     # before the whole windows, pieces of them, after them
            part.first = all.first + (all.end - all.first) * i // pieces if 0 <= i < pieces else all.end
            part.end = all.first + (all.end - all.first) * (i + 1) // pieces if 0 <= i < pieces else f.OW
            if i < 0:
                part.first, part.end = 0, all.first
            for kh in range(f.KH if part.first < part.end else 0):
                h = oh * f.stride_h + f.h0 + kh * f.dilation_h
                if h < 0 or h >= f.H:
                    continue
                if three and 0 <= i < pieces:
                    depthwise_row(g, x + h * f.W * f.C, dy, dw + kh * f.KW * f.C, part.first, part.end, 0, 3,
                                  kh == f.KH - 1)
                    continue
                for kw in range(f.KW):
                    seen = inside(-f.w0, kw * f.dilation_w, f.stride_w, f.W, f.OW)
                    depthwise_row(g, x + h * f.W * f.C, dy, dw + kh * f.KW * f.C, max(part.first, seen.first),
                                  min(part.end, seen.end), kw, 1, False)
        dy += f.OW * g.pixel


cdef inline void gradient_tile(const GradientPlan *g, const real *x, const real *dy, real *dw, Py_ssize_t unit,
                               Py_ssize_t n, Py_ssize_t samples, Py_ssize_t row0, Py_ssize_t rows) noexcept nogil:
    """Add to dw of one (tap, group, panel) its sum over the given samples and output rows; `dy` begins there."""
    cdef const Geometry *f = &g.f
    cdef Py_ssize_t cg = f.C // f.groups, ocg = f.OC // f.groups
    cdef Py_ssize_t per_tap = f.groups * g.panels.count
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
    cdef tile_args p
    p.T, p.R = right.end - w, min(row0 + rows, down.end) - h
    p.Q = samples
    if p.T <= 0 or p.R <= 0:
        return
    p.a_m, p.a_t, p.a_r, p.a_q = 1, f.stride_w * f.C, f.stride_h * f.W * f.C, f.H * f.W * f.C
    p.b_t, p.b_r, p.b_q = g.pixel, f.OW * g.pixel, f.OH * f.OW * g.pixel
    p.c_m = p.s_m = f.OC
    A = x + ((n * f.H + h * f.stride_h + f.h0 + th) * f.W + w * f.stride_w + f.w0 + tw) * f.C
    B = dy + ((h - row0) * f.OW + w) * g.pixel
    C = dw + tap * cg * f.OC + group * ocg + column
    product_rows(&p, A + group * cg, B + group * g.group + column, C, C, cg, panel_channels(&g.panels, panel),
                 panel_vectors(&g.panels, panel))
