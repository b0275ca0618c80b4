"""The gradient of a convolution's input: the convolution run over dy, once per phase of the stride.

The kernel is rotated by 180 degrees for it. Images with few channels are scattered (convolution/scatter.pxd).
Given the gradient after a max pool, dy's map is there a few rows at a time, with the gradients in the places of
the winners (convolution/pooled.pxd).

Layouts: dy (N, OH, OW, OC), kernel (KH, KW, C/groups, OC), dx (N, H, W, C).
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cython.parallel cimport prange
from libc.stdint cimport uint8_t
from libc.string cimport memset

from pyconvx._ext.common.align cimport whole_lines
from pyconvx._ext.common.arrays cimport ArraySpec, array_spec, data_of, scratch_of
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.convolution.direct cimport (
    DirectPlan, Taps, convolve, convolve_panels, direct_plan, direct_scratch, prepare,
)
from pyconvx._ext.convolution.pooled cimport spread_rows
from pyconvx._ext.convolution.scatter cimport Scatter, few_channels, scatter_pack, scatter_part, scatter_plan
from pyconvx._ext.convolution.windows cimport Geometry, Pool, geometry_of, has_taps, pool_of

LEVEL = PYCONVX_LEVEL.decode()


cdef struct AxisPhase:
    # Positions of one axis of dx that see the same taps: the first of them, how many, the taps (k0, k0 + step
    # and so on), where the last tap meets dy at the first position, and the distance of taps in dy
    Py_ssize_t first, positions, taps, k0, step, origin, dilation


cdef struct Phase:
    # One phase of dx: where its first number lies, and the convolution over dy that writes it
    Py_ssize_t offset
    DirectPlan plan


cdef list axis_phases(Py_ssize_t size, Py_ssize_t K, Py_ssize_t stride, Py_ssize_t before, Py_ssize_t dilation):
    """Return the phases of one axis, `AxisPhase`s: input positions by their remainder modulo the stride.

    dx[i] = sum over k of w[k] * dy[(i + before - k*dilation) / stride], taps that divide evenly. With
    i = first + stride*q, tap k0 + j*step reads dy[origin' - j*dilation' + q]: a convolution of stride 1.
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
            phases.append(AxisPhase(first, (size - first + stride - 1) // stride, taps, k, step,
                                    (first + before - k * dilation) // stride - (taps - 1) * spread, spread))
    return phases


cdef Phase phase_of(const Geometry *f, const Pool *pool, AxisPhase rows, AxisPhase columns, Py_ssize_t itemsize,
                    Py_ssize_t n_threads) noexcept:
    """Plan one phase of dx: dy is the image, a sub-grid of dx the output."""
    cdef Geometry g
    cdef Taps taps
    cdef Phase phase
    g.N, g.H, g.W, g.C, g.OC, g.groups = f.N, f.OH, f.OW, f.OC, f.C, f.groups
    g.OH, g.KH, g.h0, g.dilation_h = rows.positions, rows.taps, rows.origin, rows.dilation
    g.OW, g.KW, g.w0, g.dilation_w = columns.positions, columns.taps, columns.origin, columns.dilation
    g.stride_h = g.stride_w = 1
    g.out_n, g.out_row, g.out_col = f.H * f.W * f.C, f.stride_h * f.W * f.C, f.stride_w * f.C
    g.depthwise = f.depthwise
    taps.rotated, taps.width = True, f.KW
    taps.first_h, taps.step_h, taps.first_w, taps.step_w = rows.k0, rows.step, columns.k0, columns.step
    phase.offset = (rows.first * f.W + columns.first) * f.C
    phase.plan = direct_plan(&g, &taps, itemsize, n_threads)
    if has_taps(pool):
        cut_for_pool(&phase.plan, pool)
    return phase


cdef void cut_for_pool(DirectPlan *p, const Pool *pool) noexcept nogil:
    """Make room for the rows of dy's map that a unit of dx sees."""
    cdef const Geometry *g = &p.g
    cdef Py_ssize_t rows = g.H
    if p.samples == 1 and not p.wide:
        rows = min(rows, p.rows + (g.KH - 1) * g.dilation_h + 2 * pool.stride_h)
    p.band = whole_lines(p.samples * rows * g.W * g.C)


cdef Py_ssize_t spread_unit(const Geometry *g, const Pool *pool, const real *dy, const uint8_t *winner, real *band,
                            Py_ssize_t n, Py_ssize_t samples, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    """Write the rows of dy's map that output rows first..first+rows see, of some samples, to the band.

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


cdef void spread_part(const DirectPlan *p, const Pool *pool, const real *dy, const uint8_t *winner,
                      const real *packed, const real *start, real *out, real *band, Py_ssize_t t) noexcept nogil:
    """Compute thread t's share of the units of dx; each sees its rows of dy's map in the thread's band."""
    cdef const Geometry *g = &p.g
    cdef Py_ssize_t unit, n, first, rows, samples, row0
    for unit in range(p.units * t // p.n_threads, p.units * (t + 1) // p.n_threads):
        n, first = unit // p.blocks * p.samples, unit % p.blocks * p.rows
        rows, samples = min(p.rows, g.OH - first), min(p.samples, g.N - n)
        row0 = spread_unit(g, pool, dy, winner, band, n, samples, first, rows)
        convolve_panels(p, band - row0 * g.W * g.C, packed, start, out + n * g.out_n, first, rows, samples)


cdef void convolve_spread(const DirectPlan *p, const Pool *pool, const real *dy, const uint8_t *winner,
                          const real *kernel, real *out, real *scratch) noexcept nogil:
    """Run one phase of dx, given the gradient after a max pool."""
    cdef const Geometry *g = &p.g
    cdef real *band = scratch + p.start + p.packed
    cdef const real *packed
    cdef Py_ssize_t t, n, cell
    if p.wide:
        for n in range(g.N):
            cell = n * pool.PH * pool.PW * pool.C
            spread_rows(pool, dy + cell, winner + cell, band + n * g.H * g.W * g.C, pool.PH, g.H, 1, g.C)
    packed = prepare(p, band, kernel, <const real *> NULL, out, scratch)
    if p.wide:
        return
    if p.n_threads == 1:
        spread_part(p, pool, dy, winner, packed, scratch, out, band, 0)
    else:
        for t in prange(p.n_threads, num_threads=p.n_threads, schedule="static"):
            spread_part(p, pool, dy, winner, packed, scratch, out, band + t * p.band, t)


cdef void scatter(const Scatter *s, const Geometry *f, const Pool *pool, const real *dy, const uint8_t *winner,
                  const real *kernel, real *dx, real *scratch) noexcept nogil:
    """Compute dx of an image of few channels."""
    cdef real *products = scratch + s.packed
    cdef Py_ssize_t t
    scatter_pack(s, f, kernel, scratch)
    if s.n_threads == 1:
        scatter_part(s, f, pool, dy, winner, scratch, products, dx, 0)
    else:
        for t in prange(s.n_threads, num_threads=s.n_threads, schedule="static"):
            scatter_part(s, f, pool, dy, winner, scratch, products + t * s.band, dx, t)


cdef class ConvInput:
    """The gradient of a convolution's input, planned for batches of one shape.

    Attributes
    ----------
    scratch : int
        Numbers of scratch that `run` needs.
    """

    cdef readonly Py_ssize_t scratch
    cdef Geometry g
    cdef Pool pool
    cdef Scatter scattered
    cdef Phase *phases
    cdef Py_ssize_t count
    cdef bint empty, single, few, gaps
    cdef ArraySpec dy, kernel, dx, winner, memory

    def __cinit__(self, input_shape, Py_ssize_t filters, window, Py_ssize_t groups, pool, Py_ssize_t itemsize,
                  Py_ssize_t n_threads):
        """Plan as `ConvForward` does, from the same arguments."""
        cdef Py_ssize_t N = input_shape[0]
        self.pool = pool_of(window, pool, filters)
        self.g = geometry_of(input_shape, window, groups, &self.pool)
        self.g.N = max(<Py_ssize_t> 1, N)
        self.empty, self.single = N == 0, itemsize == sizeof(float)
        self.few = few_channels(&self.g, itemsize)
        if self.few:
            self.scattered = scatter_plan(&self.g, &self.pool, itemsize, n_threads)
            self.scratch = self.scattered.packed + n_threads * self.scattered.band
        else:
            self.plan_phases(itemsize, n_threads)
        self.dy = array_spec(b"dy", itemsize, False, N, self.pool.PH, self.pool.PW, self.g.OC)
        self.winner = array_spec(b"winner", 1, False, N, self.pool.PH, self.pool.PW, self.g.OC)
        self.kernel = array_spec(b"kernel", itemsize, False, self.g.KH, self.g.KW, self.g.C // groups, self.g.OC)
        self.dx = array_spec(b"dx", itemsize, True, N, self.g.H, self.g.W, self.g.C)
        self.memory = array_spec(b"scratch", itemsize, True, self.scratch, -1, -1, -1)

    cdef int plan_phases(self, Py_ssize_t itemsize, Py_ssize_t n_threads) except -1:
        """Make a plan for each phase; scratch is theirs in turn."""
        cdef Geometry *g = &self.g
        cdef AxisPhase rows, columns
        cdef list all_rows = axis_phases(g.H, g.KH, g.stride_h, -g.h0, g.dilation_h)
        cdef list all_columns = axis_phases(g.W, g.KW, g.stride_w, -g.w0, g.dilation_w)
        self.gaps = len(all_rows) < min(g.stride_h, g.H) or len(all_columns) < min(g.stride_w, g.W)
        self.phases = <Phase *> PyMem_Malloc(max(1, len(all_rows) * len(all_columns)) * sizeof(Phase))
        if self.phases == NULL:
            raise MemoryError
        self.scratch = 1
        for rows in all_rows:
            for columns in all_columns:
                self.phases[self.count] = phase_of(g, &self.pool, rows, columns, itemsize, n_threads)
                self.scratch = max(self.scratch, direct_scratch(&self.phases[self.count].plan))
                self.count += 1
        return 0

    def __dealloc__(self):
        PyMem_Free(self.phases)

    def run(
        self,
        dy,             # IN (N, PH, PW, OC)
        kernel,         # IN (KH, KW, C/groups, OC)
        dx,             # OUT (N, H, W, C), overwritten
        winner,         # IN uint8 (N, PH, PW, OC) as from forward; None without a pool
        scratch,        # `scratch` numbers or more, overwritten
    ):
        """dx = the gradient of the convolution's input."""
        cdef void *gradients = data_of(dy, &self.dy)
        cdef void *weights = data_of(kernel, &self.kernel)
        cdef void *out = data_of(dx, &self.dx)
        cdef void *winners = data_of(winner, &self.winner) if has_taps(&self.pool) else NULL
        cdef void *memory = scratch_of(scratch, &self.memory)
        if self.empty:
            return
        with nogil:
            if self.single:
                self.start(<float *> gradients, <float *> weights, <float *> out, <uint8_t *> winners,
                           <float *> memory)
            else:
                self.start(<double *> gradients, <double *> weights, <double *> out, <uint8_t *> winners,
                           <double *> memory)

    cdef void start(self, const real *dy, const real *kernel, real *dx, const uint8_t *winner,
                    real *scratch) noexcept nogil:
        cdef Py_ssize_t i
        cdef Phase *phase
        if self.few:
            scatter(&self.scattered, &self.g, &self.pool, dy, winner, kernel, dx, scratch)
            return
        if self.gaps:
            memset(dx, 0, self.g.N * self.g.H * self.g.W * self.g.C * sizeof(real))    # pixels that no window met
        for i in range(self.count):
            phase = &self.phases[i]
            if winner == NULL:
                convolve(&phase.plan, dy, kernel, <const real *> NULL, dx + phase.offset, <real *> NULL, NULL,
                         scratch)
            else:
                convolve_spread(&phase.plan, &self.pool, dy, winner, kernel, dx + phase.offset, scratch)
