"""Gradients of a convolution's kernel and bias: sums over samples and pixels, in an order of their own.

    backward_kernel  dw: tiles of (input channels) x (output channels), summed over output pixels
    backward_bias    db: sums over output pixels

Layouts: x (N, H, W, C), kernel (KH, KW, C/groups, OC), dy (N, OH, OW, OC). Small gradients are summed in
16 blocks of samples, large ones in tiles that walk all samples; the shapes decide, never the threads.
With a max pool behind the convolution, dy is the gradient behind the pool. It is put in the places of the
winners as much at a time as is used at once, where tiles walk all samples at the beginning.
"""

from cython.parallel cimport prange
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from pyconvx._ext.common.align cimport whole_lines
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.common.shapes cimport expect_row
from pyconvx._ext.convolution.pooled cimport Pool, kept, spread_rows
from pyconvx._ext.convolution.windows cimport Geometry, Span, forward_geometry, inside, whole_windows
from pyconvx._ext.tile.microkernel cimport Panels, panel_channels, panel_vectors, panels_of, product, product_rows
from pyconvx._ext.tuning cimport (
    GRADIENT_DEPTHWISE_PIXELS, GRADIENT_FEW_CHANNELS, GRADIENT_GATHER_BYTES, GRADIENT_PASS_BYTES,
    GRADIENT_PASS_SAMPLES, GRADIENT_ROWS_BYTES, GRADIENT_SMALL_BYTES, POOLED_GRADIENT_BAND_BYTES, SUM_BLOCKS,
)

cdef extern from "tile/depthwise.h" nogil:
    void depthwise_gradient_float(const product *p, const float *x, const float *dy, float *dw,
                                  Py_ssize_t taps, Py_ssize_t channels)
    void depthwise_gradient_double(const product *p, const double *x, const double *dy, double *dw,
                                   Py_ssize_t taps, Py_ssize_t channels)

LEVEL = PYCONVX_LEVEL.decode()


cdef struct Gradient:
    # How dw is summed. A unit is a tile of dw: (tap, group, panel), or one panel where windows are gathered,
    # or all of it if depthwise.
    Geometry f
    Panels panels
    Pool pool                         # one of single cells is none
    Py_ssize_t pixel, group           # strides of dy from pixel to pixel and group to group
    bint gather, padded, by_samples, pooled
    Py_ssize_t samples, rows          # what a pass over the units covers: samples, or rows of one sample
    Py_ssize_t units, size            # tiles of dw, numbers in dw
    Py_ssize_t blocks, columns        # sample blocks; numbers a thread gathers windows in
    Py_ssize_t band, map              # numbers of dy's map: a thread's, and the whole where it is needed


cdef Gradient gradient_plan(const Geometry *f, const Pool *pool, Py_ssize_t itemsize) noexcept nogil:
    """Tiles, passes and blocks: functions of the shapes only, since blocks decide the order of sums."""
    cdef Gradient g
    cdef Py_ssize_t cg = f.C // f.groups, ocg = f.OC // f.groups, taps = f.KH * f.KW
    cdef Py_ssize_t sample = (f.H * f.W * f.C + f.OH * f.OW * f.OC) * itemsize
    g.f, g.pool = f[0], pool[0]
    g.pooled = pool.KH * pool.KW > 1
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
    """dw += the product of gathered windows and dy, one sample's rows; `dy` begins with these."""
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
        product_rows(&p, columns, dy + column, dw + column, dw + column,
                     f.KH * f.KW * f.C, panel_channels(&g.panels, panel), panel_vectors(&g.panels, panel))


cdef void depthwise_row(const Gradient *g, const real *x, const real *dy, real *dw, Py_ssize_t first,
                        Py_ssize_t end, Py_ssize_t tap, Py_ssize_t taps, bint last) noexcept nogil:
    """dw of a row's taps `tap` and up += their sum over pixels first..end of a row of dy; `last` of its rows."""
    cdef const Geometry *f = &g.f
    cdef product p
    p.T, p.a_t, p.b_t, p.c_m = end - first, f.stride_w * f.C, g.pixel, f.C
    p.a_r, p.b_r = f.stride_h * f.W * f.C if last else 0, f.OW * g.pixel
    x = x + (first * f.stride_w + f.w0 + tap * f.dilation_w) * f.C
    if real is float:
        depthwise_gradient_float(&p, x, dy + first * g.pixel, dw + tap * f.C, taps, f.C)
    else:
        depthwise_gradient_double(&p, x, dy + first * g.pixel, dw + tap * f.C, taps, f.C)


cdef void depthwise_rows(const Gradient *g, const real *x, const real *dy, real *dw, Py_ssize_t row0,
                         Py_ssize_t rows) noexcept nogil:
    """dw of a depthwise convolution += its sum over rows of one sample; `dy` begins there.

    A few pixels at a time, so that they are in L1 for every row of taps; of a row's taps, three are summed
    together where all of them see the image.
    """
    cdef const Geometry *f = &g.f
    cdef Span all = whole_windows(-f.w0, (f.KW - 1) * f.dilation_w, f.stride_w, f.W, f.OW), seen, part
    cdef bint three = f.KW == 3 and f.stride_w == 1 and f.dilation_w == 1
    cdef Py_ssize_t oh, kh, kw, h, i
    cdef Py_ssize_t pieces = (all.end - all.first + GRADIENT_DEPTHWISE_PIXELS - 1) // GRADIENT_DEPTHWISE_PIXELS
    for oh in range(row0, row0 + rows):
        for i in range(-1, pieces + 1):     # before the whole windows, pieces of them, behind them
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


cdef void gradient_tile(const Gradient *g, const real *x, const real *dy, real *dw, Py_ssize_t unit, Py_ssize_t n,
                        Py_ssize_t samples, Py_ssize_t row0, Py_ssize_t rows) noexcept nogil:
    """dw of one (tap, group, panel) += its sum over the given samples and output rows; `dy` begins there."""
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
    cdef product p
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


cdef const real *used_part(const Gradient *g, const real *dy, const uint8_t *winner, real *band, Py_ssize_t n,
                           Py_ssize_t samples, Py_ssize_t row0, Py_ssize_t rows) noexcept nogil:
    """Rows of some samples of dy's map, whole samples if they are several: where they lie, or in the band."""
    cdef const Pool *pool = &g.pool
    cdef Py_ssize_t i, cell, windows = (rows + pool.stride_h - 1) // pool.stride_h
    if g.band == 0:
        return dy + (n * g.f.OH + row0) * g.f.OW * g.pixel
    for i in range(samples):
        cell = ((n + i) * pool.PH + row0 // pool.stride_h) * pool.PW * pool.C
        spread_rows(pool, dy + cell, winner + cell, band + i * g.f.OH * g.f.OW * g.pixel, windows, rows,
                    g.f.groups if g.padded else 1, g.group if g.padded else g.pixel)
    return band


cdef void gradient_pass(const Gradient *g, const real *x, const real *dy, const uint8_t *winner, real *dw,
                        real *columns, Py_ssize_t n0, Py_ssize_t n1, Py_ssize_t unit0,
                        Py_ssize_t unit1) noexcept nogil:
    """Units unit0..unit1 summed over samples n0..n1, as much at a time as stays in cache."""
    cdef Py_ssize_t chunk, n, samples, block, row0, rows, unit, i
    cdef const real *used
    for chunk in range((n1 - n0 + g.samples - 1) // g.samples):
        n = n0 + chunk * g.samples
        samples = min(g.samples, n1 - n)
        for block in range((g.f.OH + g.rows - 1) // g.rows):
            row0 = block * g.rows
            rows = min(g.rows, g.f.OH - row0)
            used = used_part(g, dy, winner, columns + g.columns, n, samples, row0, rows)
            if g.gather:
                gathered_tiles(g, x, used, dw, columns, n, row0, rows)
                continue
            if g.f.depthwise:
                for i in range(samples):
                    depthwise_rows(g, x + (n + i) * g.f.H * g.f.W * g.f.C, used + i * g.f.OH * g.f.OW * g.pixel,
                                   dw, row0, rows)
                continue
            for unit in range(unit0, unit1):
                gradient_tile(g, x, used, dw, unit, n, samples, row0, rows)


cdef void make_map(const Gradient *g, const real *dy, const uint8_t *winner, real *padded, Py_ssize_t t,
                   Py_ssize_t parts) noexcept nogil:
    """Thread t's share of dy's map, its pixels in rows of whole vectors, so that no load leaves the array."""
    cdef Py_ssize_t ocg = g.f.OC // g.f.groups, rows = g.f.N * g.f.OH * g.f.OW * g.f.groups, row, n, cell
    if g.pooled:
        for n in range(g.f.N * t // parts, g.f.N * (t + 1) // parts):
            cell = n * g.pool.PH * g.pool.PW * g.pool.C
            spread_rows(&g.pool, dy + cell, winner + cell, padded + n * g.f.OH * g.f.OW * g.pixel, g.pool.PH,
                        g.f.OH, g.f.groups if g.padded else 1, g.group if g.padded else g.pixel)
        return
    for row in range(rows * t // parts, rows * (t + 1) // parts):
        memcpy(padded + row * g.group, dy + row * ocg, ocg * sizeof(real))
        memset(padded + row * g.group + ocg, 0, (g.group - ocg) * sizeof(real))


cdef void gradient_part(const Gradient *g, const real *x, const real *dy, const uint8_t *winner, real *dw,
                        real *partial, real *columns, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share: sample blocks with a sum each, or tiles of dw over all samples."""
    cdef Py_ssize_t block
    if not g.by_samples:
        gradient_pass(g, x, dy, winner, dw, columns, 0, g.f.N, g.units * t // parts, g.units * (t + 1) // parts)
        return
    for block in range(g.blocks * t // parts, g.blocks * (t + 1) // parts):
        memset(partial + block * g.size, 0, g.size * sizeof(real))
        gradient_pass(g, x, dy, winner, partial + block * g.size, columns + t * (g.columns + g.band),
                      g.f.N * block // g.blocks, g.f.N * (block + 1) // g.blocks, 0, g.units)


cdef void add_blocks(const real *partial, Py_ssize_t blocks, Py_ssize_t size, real *total, Py_ssize_t t,
                     Py_ssize_t parts) noexcept nogil:
    """total += each block's sum in index order, thread t's share of the cells."""
    cdef Py_ssize_t first = size * t // parts, last = size * (t + 1) // parts, block, i
    for block in range(blocks):
        for i in range(first, last):
            total[i] += partial[block * size + i]


def backward_kernel_scratch(Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t PH, Py_ssize_t PW,
                            Py_ssize_t OC, Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w,
                            Py_ssize_t top, Py_ssize_t left, Py_ssize_t dilation_h, Py_ssize_t dilation_w,
                            Py_ssize_t groups, Py_ssize_t pool_h, Py_ssize_t pool_w, Py_ssize_t pool_stride_h,
                            Py_ssize_t pool_stride_w, Py_ssize_t itemsize, Py_ssize_t n_threads):
    """Numbers of scratch that `backward_kernel` needs; a pool of one cell is none."""
    cdef Pool pool = Pool(PH, PW, pool_h, pool_w, pool_stride_h, pool_stride_w, OC)
    cdef Geometry f = forward_geometry(N, H, W, C, kept(PH, pool_h, pool_stride_h),
                                       kept(PW, pool_w, pool_stride_w), OC, KH, KW, stride_h, stride_w, top, left,
                                       dilation_h, dilation_w, groups)
    cdef Gradient g = gradient_plan(&f, &pool, itemsize)
    return (whole_lines(1 + (g.blocks * g.size if g.by_samples else 0)) + n_threads * (g.columns + g.band) + g.map)


def backward_kernel(
    const real[:, :, :, ::1] x not None,        # IN (N, H, W, C)
    const real[:, :, :, ::1] dy not None,       # IN (N, PH, PW, OC)
    const uint8_t[:, :, :, ::1] winner,         # IN (N, PH, PW, OC) as from conv.forward; None without a pool
    real[:, :, :, ::1] dkernel not None,        # OUT (KH, KW, C/groups, OC), accumulated
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t top, Py_ssize_t left,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups,
    Py_ssize_t pool_h, Py_ssize_t pool_w, Py_ssize_t pool_stride_h, Py_ssize_t pool_stride_w,   # 1 without
    real[::1] scratch not None,                 # backward_kernel_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """dkernel += the gradient of the convolution's kernel."""
    cdef Pool pool = Pool(dy.shape[1], dy.shape[2], pool_h, pool_w, pool_stride_h, pool_stride_w, dy.shape[3])
    cdef Geometry f = forward_geometry(
        x.shape[0], x.shape[1], x.shape[2], x.shape[3], kept(pool.PH, pool_h, pool_stride_h),
        kept(pool.PW, pool_w, pool_stride_w), pool.C, KH, KW, stride_h, stride_w, top, left, dilation_h,
        dilation_w, groups)
    cdef Gradient g = gradient_plan(&f, &pool, sizeof(real))
    cdef real *partial = &scratch[0]
    cdef real *columns = partial + whole_lines(1 + (g.blocks * g.size if g.by_samples else 0))
    cdef real *map = columns + n_threads * (g.columns + g.band)
    cdef const real *given = &dy[0, 0, 0, 0]
    cdef const real *slopes = map if g.map else given
    cdef const uint8_t *winners = &winner[0, 0, 0, 0] if g.pooled else NULL
    cdef const real *images = &x[0, 0, 0, 0]
    cdef real *dw = &dkernel[0, 0, 0, 0]
    cdef Py_ssize_t t
    with nogil:
        if n_threads == 1:
            if g.map:
                make_map(&g, given, winners, map, 0, 1)
            gradient_part(&g, images, slopes, winners, dw, partial, columns, 0, 1)
            if g.by_samples:
                add_blocks(partial, g.blocks, g.size, dw, 0, 1)
        else:
            if g.map:
                for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                    make_map(&g, given, winners, map, t, n_threads)
            for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                gradient_part(&g, images, slopes, winners, dw, partial, columns, t, n_threads)
            if g.by_samples:
                for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                    add_blocks(partial, g.blocks, g.size, dw, t, n_threads)


cdef void bias_part(const real *dy, real *partial, Py_ssize_t N, Py_ssize_t P, Py_ssize_t OC, Py_ssize_t blocks,
                    Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's sample blocks, each summed into its own row, pixels in order."""
    cdef Py_ssize_t block, pixel, c, first, end, whole
    cdef real *total
    cdef const real *d
    for block in range(blocks * t // parts, blocks * (t + 1) // parts):
        total = partial + block * OC
        memset(total, 0, OC * sizeof(real))
        first, end = N * block // blocks * P, N * (block + 1) // blocks * P
        whole = (end - first) // 8
        for pixel in range(whole):      # eight for one load and store of the totals
            d = dy + (first + 8 * pixel) * OC
            for c in range(OC):
                total[c] = (total[c] + d[c] + d[OC + c] + d[2 * OC + c] + d[3 * OC + c] + d[4 * OC + c]
                            + d[5 * OC + c] + d[6 * OC + c] + d[7 * OC + c])
        for pixel in range(first + 8 * whole, end):
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
    cdef Py_ssize_t blocks = min(<Py_ssize_t> SUM_BLOCKS, N)
    expect_row("the gradient of bias", dbias.shape, OC)
    with nogil:
        if n_threads == 1:
            bias_part(&dy[0, 0, 0], &scratch[0], N, P, OC, blocks, 0, 1)
        else:
            for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                bias_part(&dy[0, 0, 0], &scratch[0], N, P, OC, blocks, t, n_threads)
        add_blocks(&scratch[0], blocks, OC, &dbias[0], 0, 1)
