"""Convolution forward: y = x * kernel + bias, then an activation on rows that are still in cache.

With a max pool between convolution and activation, the map is there a few rows at a time, or a tile of it in
registers (convolution/pooled.pxd, pool_tile.h). How the convolution itself runs: convolution/direct.pxd.

Layouts: x (N, H, W, C), kernel (KH, KW, C/groups, OC), y (N, OH, OW, OC).
"""

from cython.parallel cimport prange
from libc.stdint cimport uint8_t

from pyconvx._ext.common.activation cimport activate, functions_in, pyconvx_activation
from pyconvx._ext.common.align cimport whole_lines
from pyconvx._ext.common.arrays cimport ArraySpec, array_spec, data_of, data_or_null, scratch_of
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.convolution.direct cimport (
    DirectPlan, Slab, Taps, convolve, convolve_panels, direct_plan, direct_scratch, prepare, slab_of,
)
from pyconvx._ext.convolution.pooled cimport pool_rows
from pyconvx._ext.convolution.windows cimport Geometry, Pool, geometry_of, has_taps, pool_of
from pyconvx._ext.tile.microkernel cimport tile_args
from pyconvx._ext.tuning cimport POOLED_FORWARD_BAND_BYTES

cdef extern from "convolution/pool_tile.h" nogil:
    void pooled_product_float(const tile_args *p, Py_ssize_t a_down, const float *A, const float *B,
                              const float *S, float *Y, uint8_t *winner, Py_ssize_t windows, Py_ssize_t lanes,
                              Py_ssize_t vectors)
    void pooled_product_double(const tile_args *p, Py_ssize_t a_down, const double *A, const double *B,
                               const double *S, double *Y, uint8_t *winner, Py_ssize_t windows, Py_ssize_t lanes,
                               Py_ssize_t vectors)

LEVEL = PYCONVX_LEVEL.decode()


cdef void cut_for_pool(DirectPlan *p, const Pool *pool, Py_ssize_t itemsize) noexcept nogil:
    """Make units of whole windows whose rows fit a band of scratch; the map's strides become those of the band."""
    cdef Geometry *g = &p.g
    cdef Py_ssize_t most = max(<Py_ssize_t> 1, POOLED_FORWARD_BAND_BYTES // (g.out_row * itemsize))
    cdef bint inside = g.h0 == 0 and g.w0 == 0 and (
        (g.OH - 1) * g.stride_h + (g.KH - 1) * g.dilation_h < g.H
        and (g.OW - 1) * g.stride_w + (g.KW - 1) * g.dilation_w < g.W)
    if not p.wide:
        p.registers = (inside and not g.depthwise and p.tap_rows == g.KH and pool.KH == 2
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


cdef void pool_panels(const DirectPlan *p, const Pool *pool, const real *image, const real *packed,
                      const real *start, real *y, uint8_t *winner, Py_ssize_t windows) noexcept nogil:
    """Compute rows of 2 x 2 maxima, from the image's row `image` on; no window of the convolution sees padding."""
    cdef const Geometry *g = &p.g
    cdef Py_ssize_t unit, i, cell, cg = g.C // g.groups, down = g.stride_h * g.W * g.C
    cdef const real *A
    cdef const real *B
    cdef Slab slab
    cdef tile_args m
    m.T, m.R, m.Q = cg, g.KW, g.KH
    m.a_t, m.a_r, m.a_q = 1, g.dilation_w * g.C, g.dilation_h * g.W * g.C
    m.a_m, m.c_m, m.s_m = g.stride_w * g.C, pool.C, 0
    for unit in range(g.groups * p.panels.count):
        slab = slab_of(p, unit)
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


cdef void pooled_part(const DirectPlan *p, const Pool *pool, const real *image, const real *packed,
                      const real *start, real *band, real *y, real *activated, uint8_t *winner,
                      const pyconvx_activation *activation, Py_ssize_t t) noexcept nogil:
    """Run thread t's share: rows of the map into its band, from there the maxima, then their activation.

    A wide plan has written all of the map already; then `band` is that map, and units are samples.
    """
    cdef const Geometry *g = &p.g
    cdef Py_ssize_t unit, n, i, first, rows, windows, samples, cell, at
    for unit in range(p.units * t // p.n_threads, p.units * (t + 1) // p.n_threads):
        n, first = unit // p.blocks * p.samples, unit % p.blocks * p.rows
        rows, samples = min(p.rows, g.OH - first), min(p.samples, g.N - n)
        windows = (rows + pool.stride_h - 1) // pool.stride_h
        cell = (n * pool.PH + first // pool.stride_h) * pool.PW * pool.C
        if not (p.registers or p.wide):
            convolve_panels(p, image + n * g.H * g.W * g.C, packed, start, band - first * g.out_row, first, rows,
                            samples)
        for i in range(samples):
            at = cell + i * pool.PH * pool.PW * pool.C
            if p.registers:
                pool_panels(p, pool, image + ((n + i) * g.H + first * g.stride_h) * g.W * g.C, packed, start,
                            y + at, winner + at, windows)
            else:
                pool_rows(pool, band + (unit if p.wide else i) * g.out_n, y + at, winner + at, windows)
        if activation != NULL:
            activate(activation, y + cell, activated + cell,
                     (windows if samples == 1 else samples * pool.PH) * pool.PW * pool.C)


cdef void convolve_pooled(const DirectPlan *p, const Pool *pool, const real *image, const real *kernel,
                          const real *bias, real *y, real *activated, uint8_t *winner,
                          const pyconvx_activation *activation, real *scratch) noexcept nogil:
    """Run convolution, max pool and activation."""
    cdef real *band = scratch + p.start + p.packed
    cdef const real *packed = prepare(p, image, kernel, bias, band, scratch)
    cdef Py_ssize_t t
    cdef DirectPlan rest
    if p.wide:
        rest = p[0]
        rest.samples, rest.units, rest.rows, rest.band = 1, p.g.N, pool.PH * pool.stride_h, 0
        p = &rest
    if p.n_threads == 1:
        pooled_part(p, pool, image, packed, scratch, band, y, activated, winner, activation, 0)
    else:
        for t in prange(p.n_threads, num_threads=p.n_threads, schedule="static"):
            pooled_part(p, pool, image, packed, scratch, band + t * p.band, y, activated, winner, activation, t)


cdef class ConvForward:
    """A convolution forward, planned for batches of one shape: y = x * kernel + bias, max pool, activation.

    Attributes
    ----------
    scratch : int
        Numbers of scratch that `run` needs.
    """

    cdef readonly Py_ssize_t scratch
    cdef DirectPlan plan
    cdef Pool pool
    cdef bint empty, single, pooled
    cdef ArraySpec x, kernel, bias, y, activated, winner, memory

    def __cinit__(self, input_shape, Py_ssize_t filters, window, Py_ssize_t groups, pool, Py_ssize_t itemsize,
                  Py_ssize_t n_threads):
        """Plan for x of shape (N, H, W, C), a window, a fused pool's window over the map or None."""
        cdef Py_ssize_t N = input_shape[0]
        cdef Geometry g
        cdef Taps taps
        self.pool = pool_of(window, pool, filters)
        self.pooled = has_taps(&self.pool)
        g = geometry_of(input_shape, window, groups, &self.pool)
        g.N = max(<Py_ssize_t> 1, N)
        taps.rotated = False
        self.plan = direct_plan(&g, &taps, itemsize, n_threads)
        if self.pooled:
            cut_for_pool(&self.plan, &self.pool, itemsize)
        self.scratch = direct_scratch(&self.plan)
        self.empty, self.single = N == 0, itemsize == sizeof(float)
        self.x = array_spec(b"x", itemsize, False, N, g.H, g.W, g.C)
        self.kernel = array_spec(b"kernel", itemsize, False, g.KH, g.KW, g.C // groups, g.OC)
        self.bias = array_spec(b"bias", itemsize, False, g.OC, -1, -1, -1)
        self.y = array_spec(b"y", itemsize, True, N, self.pool.PH, self.pool.PW, g.OC)
        self.activated = array_spec(b"activated", itemsize, True, N, self.pool.PH, self.pool.PW, g.OC)
        self.winner = array_spec(b"winner", 1, True, N, self.pool.PH, self.pool.PW, g.OC)
        self.memory = array_spec(b"scratch", itemsize, True, self.scratch, -1, -1, -1)

    def run(
        self,
        x,              # IN (N, H, W, C)
        kernel,         # IN (KH, KW, C/groups, OC)
        bias,           # IN (OC,) or None
        y,              # OUT (N, PH, PW, OC), before the activation
        activated,      # OUT (N, PH, PW, OC), its activation; may be y; None without one
        winner,         # OUT uint8 (N, PH, PW, OC), taps of the maxima; None without a pool
        activation,     # IN capsule of a compiled activation, or None
        scratch,        # `scratch` numbers or more, overwritten
    ):
        """y = x cross-correlated with kernel, + bias, or the maxima of its windows; activated = f(y)."""
        cdef const pyconvx_activation *f = functions_in(activation)
        cdef void *images = data_of(x, &self.x)
        cdef void *weights = data_of(kernel, &self.kernel)
        cdef void *offsets = data_or_null(bias, &self.bias)
        cdef void *out = data_of(y, &self.y)
        cdef void *result = NULL if f == NULL else data_of(activated, &self.activated)
        cdef void *winners = data_of(winner, &self.winner) if self.pooled else NULL
        cdef void *memory = scratch_of(scratch, &self.memory)
        if self.empty:
            return
        with nogil:
            if self.single:
                self.start(<float *> images, <float *> weights, <float *> offsets, <float *> out, <float *> result,
                           <uint8_t *> winners, f, <float *> memory)
            else:
                self.start(<double *> images, <double *> weights, <double *> offsets, <double *> out,
                           <double *> result, <uint8_t *> winners, f, <double *> memory)

    cdef void start(self, const real *x, const real *kernel, const real *bias, real *y, real *activated,
                    uint8_t *winner, const pyconvx_activation *f, real *scratch) noexcept nogil:
        if self.pooled:
            convolve_pooled(&self.plan, &self.pool, x, kernel, bias, y, activated, winner, f, scratch)
        else:
            convolve(&self.plan, x, kernel, bias, y, activated, f, scratch)
