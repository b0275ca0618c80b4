"""Gradients of a convolution's kernel and bias: sums over samples and pixels, in an order of their own.

    ConvKernel    dw: tiles of (input channels) x (output channels), summed over output pixels
    BiasGradient  db: sums over output pixels

Layouts: x (N, H, W, C), kernel (KH, KW, C/groups, OC), dy (N, OH, OW, OC). Small gradients are summed in at most
SUM_BLOCKS blocks of samples, large ones in tiles that walk all samples; the shapes decide, never the threads.
After a fused max pool, dy is the gradient of the maxima. It is put in the places of the winners as much at a time
as is used at once; tiles that walk all samples have the whole map made first.
"""

from cython.parallel cimport prange
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from pyconvx._ext.common.align cimport whole_lines
from pyconvx._ext.common.arrays cimport ArraySpec, array_spec, data_of, scratch_of
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.convolution.gradient cimport (
    GradientPlan, depthwise_rows, gathered_tiles, gradient_plan, gradient_tile,
)
from pyconvx._ext.convolution.pooled cimport spread_rows
from pyconvx._ext.convolution.windows cimport Geometry, Pool, geometry_of, pool_of
from pyconvx._ext.tuning cimport SUM_BLOCKS

LEVEL = PYCONVX_LEVEL.decode()


cdef const real *rows_of_map(const GradientPlan *g, const real *dy, const uint8_t *winner, real *band,
                             Py_ssize_t n, Py_ssize_t samples, Py_ssize_t row0, Py_ssize_t rows) noexcept nogil:
    """Return rows of some samples of dy's map, whole samples if they are several: in place, or in the band."""
    cdef const Pool *pool = &g.pool
    cdef Py_ssize_t i, cell, windows = (rows + pool.stride_h - 1) // pool.stride_h
    if g.band == 0:
        return dy + (n * g.f.OH + row0) * g.f.OW * g.pixel
    for i in range(samples):
        cell = ((n + i) * pool.PH + row0 // pool.stride_h) * pool.PW * pool.C
        spread_rows(pool, dy + cell, winner + cell, band + i * g.f.OH * g.f.OW * g.pixel, windows, rows,
                    g.f.groups if g.padded else 1, g.group if g.padded else g.pixel)
    return band


cdef void gradient_pass(const GradientPlan *g, const real *x, const real *dy, const uint8_t *winner, real *dw,
                        real *columns, Py_ssize_t n0, Py_ssize_t n1, Py_ssize_t unit0,
                        Py_ssize_t unit1) noexcept nogil:
    """Add units unit0..unit1 summed over samples n0..n1, as much at a time as stays in cache."""
    cdef Py_ssize_t chunk, n, samples, block, row0, rows, unit, i
    cdef const real *slopes
    for chunk in range((n1 - n0 + g.samples - 1) // g.samples):
        n = n0 + chunk * g.samples
        samples = min(g.samples, n1 - n)
        for block in range((g.f.OH + g.rows - 1) // g.rows):
            row0 = block * g.rows
            rows = min(g.rows, g.f.OH - row0)
            slopes = rows_of_map(g, dy, winner, columns + g.columns, n, samples, row0, rows)
            if g.gather:
                gathered_tiles(g, x, slopes, dw, columns, n, row0, rows)
                continue
            if g.f.depthwise:
                for i in range(samples):
                    depthwise_rows(g, x + (n + i) * g.f.H * g.f.W * g.f.C, slopes + i * g.f.OH * g.f.OW * g.pixel,
                                   dw, row0, rows)
                continue
            for unit in range(unit0, unit1):
                gradient_tile(g, x, slopes, dw, unit, n, samples, row0, rows)


cdef void make_map(const GradientPlan *g, const real *dy, const uint8_t *winner, real *padded,
                   Py_ssize_t t) noexcept nogil:
    """Write thread t's share of dy's map, pixels in rows of whole vectors, so that no load leaves the array."""
    cdef Py_ssize_t ocg = g.f.OC // g.f.groups, rows = g.f.N * g.f.OH * g.f.OW * g.f.groups, row, n, cell
    if g.pooled:
        for n in range(g.f.N * t // g.n_threads, g.f.N * (t + 1) // g.n_threads):
            cell = n * g.pool.PH * g.pool.PW * g.pool.C
            spread_rows(&g.pool, dy + cell, winner + cell, padded + n * g.f.OH * g.f.OW * g.pixel, g.pool.PH,
                        g.f.OH, g.f.groups if g.padded else 1, g.group if g.padded else g.pixel)
        return
    for row in range(rows * t // g.n_threads, rows * (t + 1) // g.n_threads):
        memcpy(padded + row * g.group, dy + row * ocg, ocg * sizeof(real))
        memset(padded + row * g.group + ocg, 0, (g.group - ocg) * sizeof(real))


cdef void gradient_part(const GradientPlan *g, const real *x, const real *dy, const uint8_t *winner, real *dw,
                        real *partial, real *columns, Py_ssize_t t) noexcept nogil:
    """Sum thread t's share: blocks of samples with a sum each, or tiles of dw over all samples."""
    cdef Py_ssize_t block, parts = g.n_threads
    if not g.by_samples:
        gradient_pass(g, x, dy, winner, dw, columns, 0, g.f.N, g.units * t // parts, g.units * (t + 1) // parts)
        return
    for block in range(g.blocks * t // parts, g.blocks * (t + 1) // parts):
        memset(partial + block * g.size, 0, g.size * sizeof(real))
        gradient_pass(g, x, dy, winner, partial + block * g.size, columns + t * (g.columns + g.band),
                      g.f.N * block // g.blocks, g.f.N * (block + 1) // g.blocks, 0, g.units)


cdef void add_blocks(const real *partial, Py_ssize_t blocks, Py_ssize_t size, real *total, Py_ssize_t t,
                     Py_ssize_t parts) noexcept nogil:
    """Add each block's sum to the total in index order, thread t's share of the cells."""
    cdef Py_ssize_t first = size * t // parts, last = size * (t + 1) // parts, block, i
    for block in range(blocks):
        for i in range(first, last):
            total[i] += partial[block * size + i]


cdef inline Py_ssize_t partial_size(const GradientPlan *g) noexcept nogil:
    """Numbers of the blocks' sums."""
    return whole_lines(1 + (g.blocks * g.size if g.by_samples else 0))


cdef void kernel_gradient(const GradientPlan *g, const real *x, const real *dy, const uint8_t *winner, real *dw,
                          real *scratch) noexcept nogil:
    """Add the gradient of the kernel to dw; one thread enters no parallel region."""
    cdef real *columns = scratch + partial_size(g)
    cdef real *map = columns + g.n_threads * (g.columns + g.band)
    cdef const real *slopes = dy
    cdef Py_ssize_t t
    if g.map:
        slopes = map
    if g.n_threads == 1:
        if g.map:
            make_map(g, dy, winner, map, 0)
        gradient_part(g, x, slopes, winner, dw, scratch, columns, 0)
        if g.by_samples:
            add_blocks(scratch, g.blocks, g.size, dw, 0, 1)
        return
    if g.map:
        for t in prange(g.n_threads, num_threads=g.n_threads, schedule="static"):
            make_map(g, dy, winner, map, t)
    for t in prange(g.n_threads, num_threads=g.n_threads, schedule="static"):
        gradient_part(g, x, slopes, winner, dw, scratch, columns, t)
    if g.by_samples:
        for t in prange(g.n_threads, num_threads=g.n_threads, schedule="static"):
            add_blocks(scratch, g.blocks, g.size, dw, t, g.n_threads)


cdef class ConvKernel:
    """The gradient of a convolution's kernel, planned for batches of one shape.

    Attributes
    ----------
    scratch : int
        Numbers of scratch that `run` needs.
    """

    cdef readonly Py_ssize_t scratch
    cdef GradientPlan plan
    cdef bint empty, single
    cdef ArraySpec x, dy, dkernel, winner, memory

    def __cinit__(self, input_shape, Py_ssize_t filters, window, Py_ssize_t groups, pool, Py_ssize_t itemsize,
                  Py_ssize_t n_threads):
        """Plan as `ConvForward` does, from the same arguments."""
        cdef Py_ssize_t N = input_shape[0]
        cdef Pool windows = pool_of(window, pool, filters)
        cdef Geometry f = geometry_of(input_shape, window, groups, &windows)
        f.N = max(<Py_ssize_t> 1, N)
        self.plan = gradient_plan(&f, &windows, itemsize, n_threads)
        self.scratch = (partial_size(&self.plan) + n_threads * (self.plan.columns + self.plan.band)
                        + self.plan.map)
        self.empty, self.single = N == 0, itemsize == sizeof(float)
        self.x = array_spec(b"x", itemsize, False, N, f.H, f.W, f.C)
        self.dy = array_spec(b"dy", itemsize, False, N, windows.PH, windows.PW, f.OC)
        self.winner = array_spec(b"winner", 1, False, N, windows.PH, windows.PW, f.OC)
        self.dkernel = array_spec(b"the gradient of kernel", itemsize, True, f.KH, f.KW, f.C // groups, f.OC)
        self.memory = array_spec(b"scratch", itemsize, True, self.scratch, -1, -1, -1)

    def run(
        self,
        x,              # IN (N, H, W, C)
        dy,             # IN (N, PH, PW, OC)
        dkernel,        # OUT (KH, KW, C/groups, OC), accumulated
        winner,         # IN uint8 (N, PH, PW, OC) as from forward; None without a pool
        scratch,        # `scratch` numbers or more, overwritten
    ):
        """dkernel += the gradient of the convolution's kernel."""
        cdef void *images = data_of(x, &self.x)
        cdef void *gradients = data_of(dy, &self.dy)
        cdef void *out = data_of(dkernel, &self.dkernel)
        cdef void *winners = data_of(winner, &self.winner) if self.plan.pooled else NULL
        cdef void *memory = scratch_of(scratch, &self.memory)
        if self.empty:
            return
        with nogil:
            if self.single:
                kernel_gradient(&self.plan, <float *> images, <float *> gradients, <uint8_t *> winners,
                                <float *> out, <float *> memory)
            else:
                kernel_gradient(&self.plan, <double *> images, <double *> gradients, <uint8_t *> winners,
                                <double *> out, <double *> memory)


cdef void bias_part(const real *dy, real *partial, Py_ssize_t N, Py_ssize_t P, Py_ssize_t OC, Py_ssize_t blocks,
                    Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Sum thread t's blocks of samples, each into a row of its own, pixels in order."""
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


cdef struct Rows:
    # dy as N samples of P pixels of OC channels, and the blocks that the samples are cut into
    Py_ssize_t N, P, OC, blocks, n_threads


cdef void bias_gradient(const Rows *r, const real *dy, real *dbias, real *scratch) noexcept nogil:
    """Add the sums over pixels to dbias; one thread enters no parallel region."""
    cdef Py_ssize_t t
    if r.n_threads == 1:
        bias_part(dy, scratch, r.N, r.P, r.OC, r.blocks, 0, 1)
    else:
        for t in prange(r.n_threads, num_threads=r.n_threads, schedule="static"):
            bias_part(dy, scratch, r.N, r.P, r.OC, r.blocks, t, r.n_threads)
    add_blocks(scratch, r.blocks, r.OC, dbias, 0, 1)


cdef class BiasGradient:
    """The gradient of a bias, planned for dy of one shape, whose last axis is that of the bias.

    Attributes
    ----------
    scratch : int
        Numbers of scratch that `run` needs.
    """

    cdef readonly Py_ssize_t scratch
    cdef Rows rows
    cdef bint single
    cdef ArraySpec dy, dbias, memory

    def __cinit__(self, shape, Py_ssize_t itemsize, Py_ssize_t n_threads):
        """Plan for dy of shape (N, OC) or (N, OH, OW, OC)."""
        cdef Py_ssize_t N = shape[0], OC = shape[len(shape) - 1]
        if len(shape) == 2:
            self.rows = Rows(N, 1, OC, min(<Py_ssize_t> SUM_BLOCKS, N), n_threads)
            self.dy = array_spec(b"dy", itemsize, False, N, OC, -1, -1)
        else:
            self.rows = Rows(N, shape[1] * shape[2], OC, min(<Py_ssize_t> SUM_BLOCKS, N), n_threads)
            self.dy = array_spec(b"dy", itemsize, False, N, shape[1], shape[2], OC)
        self.single = itemsize == sizeof(float)
        self.scratch = SUM_BLOCKS * OC
        self.dbias = array_spec(b"the gradient of bias", itemsize, True, OC, -1, -1, -1)
        self.memory = array_spec(b"scratch", itemsize, True, self.scratch, -1, -1, -1)

    def run(
        self,
        dy,             # IN (N, OC) or (N, OH, OW, OC)
        dbias,          # OUT (OC,), accumulated
        scratch,        # `scratch` numbers or more, overwritten
    ):
        """dbias += dy summed over samples and pixels, in fixed blocks of samples."""
        cdef void *gradients = data_of(dy, &self.dy)
        cdef void *out = data_of(dbias, &self.dbias)
        cdef void *memory = scratch_of(scratch, &self.memory)
        if self.rows.N == 0:
            return
        with nogil:
            if self.single:
                bias_gradient(&self.rows, <float *> gradients, <float *> out, <float *> memory)
            else:
                bias_gradient(&self.rows, <double *> gradients, <double *> out, <double *> memory)
