"""Convolution forward: y = x * kernel + bias, then an activation on rows that are still in cache.

With a max pool between convolution and activation, the map is there a few rows at a time, or a tile of it in
registers (pooled.pxd, pool_tile.h). How the convolution itself runs: direct.pxd.

Layouts: x (N, H, W, C), kernel (KH, KW, C/groups, OC), y (N, OH, OW, OC).
"""

from cython.parallel cimport prange
from libc.stdint cimport uint8_t

from pyconvx._ext.common.activation cimport activate, functions_in, pyconvx_activation
from pyconvx._ext.common.align cimport whole_lines
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.convolution.direct cimport Plan, Slab, Taps, convolve, convolve_panels, plan, prepare, slab_of
from pyconvx._ext.convolution.pooled cimport Pool, kept, pool_rows
from pyconvx._ext.convolution.windows cimport Geometry, forward_geometry
from pyconvx._ext.tile.microkernel cimport product
from pyconvx._ext.tuning cimport POOLED_FORWARD_BAND_BYTES

cdef extern from "convolution/pool_tile.h" nogil:
    void pooled_product_float(const product *p, Py_ssize_t a_down, const float *A, const float *B, const float *S,
                              float *Y, uint8_t *winner, Py_ssize_t windows, Py_ssize_t lanes, Py_ssize_t vectors)
    void pooled_product_double(const product *p, Py_ssize_t a_down, const double *A, const double *B,
                               const double *S, double *Y, uint8_t *winner, Py_ssize_t windows, Py_ssize_t lanes,
                               Py_ssize_t vectors)

LEVEL = PYCONVX_LEVEL.decode()


cdef void pool_plan(Plan *p, Geometry *g, const Pool *pool, Py_ssize_t itemsize) noexcept nogil:
    """Units of whole windows whose rows of the map fit a band of scratch; the map's strides are the band's."""
    cdef Py_ssize_t most = max(<Py_ssize_t> 1, POOLED_FORWARD_BAND_BYTES // (g.out_row * itemsize))
    cdef bint inside = g.h0 == 0 and g.w0 == 0 and (
        (g.OH - 1) * g.stride_h + (g.KH - 1) * g.dilation_h < g.H
        and (g.OW - 1) * g.stride_w + (g.KW - 1) * g.dilation_w < g.W)
    if not p.wide:
        p.registers = (inside and not g.depthwise and p.taps == g.KH and pool.KH == 2
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
        slab = slab_of(g, p, unit)
        B = packed + slab.kernel
        m.b_t, m.b_r, m.b_q = slab.step, cg * slab.step, g.KW * cg * slab.step
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


cdef void convolve_pooled(Geometry *g, const Taps *taps, const Pool *pool, const real *image, const real *kernel,
                          const real *bias, real *y, real *after, uint8_t *winner,
                          const pyconvx_activation *activation, real *scratch,
                          Py_ssize_t n_threads) noexcept nogil:
    """Convolution, max pool, activation; `g` is cut to the rows and columns that the pool keeps."""
    cdef Plan p = plan(g, taps.turned, sizeof(real), n_threads)
    cdef real *band = scratch + p.start + p.packed
    cdef const real *packed
    cdef Py_ssize_t t
    pool_plan(&p, g, pool, sizeof(real))
    packed = prepare(g, &p, taps, image, kernel, bias, band, scratch, n_threads)
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
    cdef Plan p = plan(&g, False, itemsize, n_threads)
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
    cdef const pyconvx_activation *f = functions_in(activation)
    cdef const real *bias_data = NULL
    cdef real *after_data = NULL
    cdef uint8_t *winners = NULL
    taps.turned = False
    if f != NULL:
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
