"""The gradient of a convolution's input: the convolution run over dy, once per phase of the stride.

The kernel is turned round for it. Images with few channels go the way of scatter.pxd. Given the gradient behind
a max pool, dy's map is there a few rows at a time, with the gradients in the places of the winners (pooled.pxd).

Layouts: dy (N, OH, OW, OC), kernel (KH, KW, C/groups, OC), dx (N, H, W, C).
"""

from cython.parallel cimport prange
from libc.stdint cimport uint8_t
from libc.string cimport memset

from pyconvx._ext.common.align cimport whole_lines
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.convolution.direct cimport Plan, Taps, convolve, convolve_panels, plan, prepare
from pyconvx._ext.convolution.pooled cimport Pool, kept, spread_rows
from pyconvx._ext.convolution.scatter cimport Scatter, few_channels, scatter_pack, scatter_part, scatter_plan
from pyconvx._ext.convolution.windows cimport Geometry, forward_geometry

LEVEL = PYCONVX_LEVEL.decode()


cdef void spread_plan(Plan *p, const Geometry *g, const Pool *pool) noexcept nogil:
    """The rows of dy's map that a unit of dx sees, in a band of scratch."""
    cdef Py_ssize_t rows = g.H
    if p.samples == 1 and not p.wide:
        rows = min(rows, p.rows + (g.KH - 1) * g.dilation_h + 2 * pool.stride_h)
    p.band = whole_lines(p.samples * rows * g.W * g.C)


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
    cdef Plan p = plan(g, taps.turned, sizeof(real), n_threads)
    cdef real *band = scratch + p.start + p.packed
    cdef const real *packed
    cdef Py_ssize_t t, n, cell
    spread_plan(&p, g, pool)
    if p.wide:
        for n in range(g.N):
            cell = n * pool.PH * pool.PW * pool.C
            spread_rows(pool, dy + cell, winner + cell, band + n * g.H * g.W * g.C, pool.PH, g.H, 1, g.C)
    packed = prepare(g, &p, taps, band, kernel, <const real *> NULL, out, scratch, n_threads)
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
            p = plan(&g, True, itemsize, n_threads)
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
