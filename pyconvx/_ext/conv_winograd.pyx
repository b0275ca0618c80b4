"""3x3 convolutions of stride 1 with 2.25 times fewer products: Winograd's F(2x2, 3x3), forward and backward.

    WinogradForward    y  = x * kernel + bias, an activation, and the maxima of a fused pool
    WinogradBackward   dx and dw from dy, or from the gradient of those maxima

The map is cut into tiles of 2x2 outputs. A tile becomes one row of 16 matrix products on the register tile;
winograd/winograd.h has the formulas. Products of a tile lie `step` numbers apart. Layouts: x (N, H, W, C), kernel
(3, 3, C, OC), y (N, OH, OW, OC), the transformed kernel U (16, C, outputs), where `outputs` is OC up to whole
vectors. Every number is summed over channels, or for dw over tiles, in index order. A fused pool of 2x2 windows
runs on the tiles themselves; pools of other windows run after the whole map.
"""

from cython.parallel cimport prange
from libc.stdint cimport uint8_t
from libc.string cimport memset

from pyconvx._ext.common.activation cimport functions_in, pyconvx_activation
from pyconvx._ext.common.arrays cimport ArraySpec, array_spec, data_of, data_or_null, scratch_of
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.convolution.pooled cimport spread_rows
from pyconvx._ext.convolution.windows cimport Pool, has_taps
from pyconvx._ext.winograd.backward cimport BackwardPlan, backward_part, backward_plan
from pyconvx._ext.winograd.forward cimport (
    ForwardPlan, MapPool, forward, forward_plan, grid_of, map_pool, transform_kernel,
)
from pyconvx._ext.winograd.tiles cimport PRODUCTS, TileGrid

LEVEL = PYCONVX_LEVEL.decode()


cdef class WinogradForward:
    """A 3x3 convolution forward, planned for batches of one shape: y = x * kernel + bias, max pool, activation.

    Attributes
    ----------
    scratch : int
        Numbers of scratch that `run` needs.
    transformed_shape : (int, int, int)
        Shape of a transformed kernel.
    """

    cdef readonly Py_ssize_t scratch
    cdef readonly tuple transformed_shape
    cdef ForwardPlan plan
    cdef bint empty, single
    cdef ArraySpec x, kernel, U, U_out, bias, y, activated, winner, memory

    def __cinit__(self, input_shape, Py_ssize_t filters, window, pool, Py_ssize_t itemsize, Py_ssize_t n_threads):
        """Plan for x of shape (N, H, W, C), a 3x3 window, a fused pool's window over the map or None."""
        cdef Py_ssize_t N = input_shape[0]
        cdef MapPool m = map_pool(window, pool, filters)
        cdef TileGrid g = grid_of(input_shape, filters, window, &m, itemsize)
        self.plan = forward_plan(&g, &m, itemsize, n_threads)
        self.scratch = self.plan.scratch
        self.transformed_shape = PRODUCTS, g.C, g.outputs
        self.empty, self.single = N == 0, itemsize == sizeof(float)
        self.x = array_spec(b"x", itemsize, False, N, g.H, g.W, g.C)
        self.kernel = array_spec(b"kernel", itemsize, False, 3, 3, g.C, g.OC)
        self.U = array_spec(b"the transformed kernel", itemsize, False, PRODUCTS, g.C, g.outputs, -1)
        self.U_out = array_spec(b"the transformed kernel", itemsize, True, PRODUCTS, g.C, g.outputs, -1)
        self.bias = array_spec(b"bias", itemsize, False, g.OC, -1, -1, -1)
        self.y = array_spec(b"y", itemsize, True, N, m.pool.PH, m.pool.PW, g.OC)
        self.activated = array_spec(b"activated", itemsize, True, N, m.pool.PH, m.pool.PW, g.OC)
        self.winner = array_spec(b"winner", 1, True, N, m.pool.PH, m.pool.PW, g.OC)
        self.memory = array_spec(b"scratch", itemsize, True, self.scratch, -1, -1, -1)

    def transform(
        self,
        kernel,         # IN (3, 3, C, OC)
        U,              # OUT, of shape `transformed_shape`
    ):
        """Write the transformed kernel, which `run` takes instead of the kernel."""
        cdef void *weights = data_of(kernel, &self.kernel)
        cdef void *out = data_of(U, &self.U_out)
        with nogil:
            if self.single:
                transform_kernel(&self.plan, <float *> weights, <float *> out)
            else:
                transform_kernel(&self.plan, <double *> weights, <double *> out)

    def run(
        self,
        x,              # IN (N, H, W, C)
        kernel,         # IN (3, 3, C, OC), or what `transform` made of it
        bias,           # IN (OC,) or None
        y,              # OUT (N, PH, PW, OC), before the activation
        activated,      # OUT (N, PH, PW, OC), its activation; may be y; None without one
        winner,         # OUT uint8 (N, PH, PW, OC), taps of the maxima; None without a pool
        activation,     # IN capsule of a compiled activation, or None
        scratch,        # `scratch` numbers or more, overwritten
    ):
        """y = x cross-correlated with kernel, + bias, or the maxima of its windows; activated = f(y)."""
        cdef const pyconvx_activation *f = functions_in(activation)
        cdef bint transformed = getattr(kernel, "ndim", 4) == 3
        cdef void *images = data_of(x, &self.x)
        cdef void *weights = data_of(kernel, &self.U if transformed else &self.kernel)
        cdef void *offsets = data_or_null(bias, &self.bias)
        cdef void *out = data_of(y, &self.y)
        cdef void *result = NULL if f == NULL else data_of(activated, &self.activated)
        cdef void *winners = data_of(winner, &self.winner) if has_taps(&self.plan.m.pool) else NULL
        cdef void *memory = scratch_of(scratch, &self.memory)
        if self.empty:
            return
        with nogil:
            if self.single:
                self.start(<float *> images, <float *> weights, transformed, <float *> offsets, <float *> out,
                           <float *> result, <uint8_t *> winners, f, <float *> memory)
            else:
                self.start(<double *> images, <double *> weights, transformed, <double *> offsets, <double *> out,
                           <double *> result, <uint8_t *> winners, f, <double *> memory)

    cdef void start(self, const real *x, const real *kernel, bint transformed, const real *bias, real *y,
                    real *activated, uint8_t *winner, const pyconvx_activation *f, real *scratch) noexcept nogil:
        cdef const real *U = kernel
        if not transformed:
            U = scratch + self.plan.U
            transform_kernel(&self.plan, kernel, scratch + self.plan.U)
        forward(&self.plan, x, U, bias, y, activated, winner, f, scratch)


cdef void backward(const TileGrid *g, const BackwardPlan *b, const real *x, const real *dy, const uint8_t *winner,
                   const real *kernel, real *dkernel, real *dx, real *scratch) noexcept nogil:
    """Run the plan; one thread enters no parallel region."""
    cdef Py_ssize_t phase, t
    memset(scratch, 0, b.rotated * sizeof(real))
    for phase in range(0 if b.dx else 1, 3 if b.dw and b.by_samples else 2):
        if b.n_threads == 1:
            backward_part(g, b, x, dy, winner, kernel, dkernel, dx, scratch, phase, 0)
        else:
            for t in prange(b.n_threads, num_threads=b.n_threads, schedule="static"):
                backward_part(g, b, x, dy, winner, kernel, dkernel, dx, scratch, phase, t)


cdef void spread_part(const TileGrid *g, const Pool *pool, const real *dy, const uint8_t *winner, real *map,
                      Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Write thread t's share of the samples of dy's map: gradients in the places of the winners."""
    cdef Py_ssize_t n, cell, size = g.OH * g.OW * g.OC
    for n in range(g.N * t // parts, g.N * (t + 1) // parts):
        cell = n * pool.PH * pool.PW * pool.C
        memset(map + n * size, 0, size * sizeof(real))
        spread_rows(pool, dy + cell, winner + cell, map + n * size, pool.PH, 0, 1, g.OC)


cdef class WinogradBackward:
    """The gradients of a 3x3 convolution's kernel and input, planned for batches of one shape.

    Attributes
    ----------
    scratch : int
        Numbers of scratch that `run` needs.
    """

    cdef readonly Py_ssize_t scratch
    cdef TileGrid g
    cdef MapPool m
    cdef BackwardPlan kernel_alone, input_alone, both
    cdef Py_ssize_t map           # offset of dy's map in scratch
    cdef bint empty, single
    cdef ArraySpec x, dy, kernel, dkernel, dx, winner, memory

    def __cinit__(self, input_shape, Py_ssize_t filters, window, pool, Py_ssize_t itemsize, Py_ssize_t n_threads):
        """Plan as `WinogradForward` does, from the same arguments."""
        cdef Py_ssize_t N = input_shape[0]
        cdef TileGrid *g = &self.g
        self.m = map_pool(window, pool, filters)
        self.g = grid_of(input_shape, filters, window, &self.m, itemsize)
        self.kernel_alone = backward_plan(g, itemsize, True, False, n_threads)
        self.input_alone = backward_plan(g, itemsize, False, True, n_threads)
        self.both = backward_plan(g, itemsize, True, True, n_threads)
        self.map = 0
        for plan in (self.kernel_alone, self.input_alone, self.both):
            self.map = max(self.map, <Py_ssize_t> plan.shared + <Py_ssize_t> plan.local * n_threads)
        self.scratch = self.map + (g.N * g.OH * g.OW * g.OC if self.m.after_map else 0)
        self.empty, self.single = N == 0, itemsize == sizeof(float)
        self.x = array_spec(b"x", itemsize, False, N, g.H, g.W, g.C)
        self.dy = array_spec(b"dy", itemsize, False, N, self.m.pool.PH, self.m.pool.PW, g.OC)
        self.winner = array_spec(b"winner", 1, False, N, self.m.pool.PH, self.m.pool.PW, g.OC)
        self.kernel = array_spec(b"kernel", itemsize, False, 3, 3, g.C, g.OC)
        self.dkernel = array_spec(b"the gradient of kernel", itemsize, True, 3, 3, g.C, g.OC)
        self.dx = array_spec(b"dx", itemsize, True, N, g.H, g.W, g.C)
        self.memory = array_spec(b"scratch", itemsize, True, self.scratch, -1, -1, -1)

    def run(
        self,
        x,              # IN (N, H, W, C)
        dy,             # IN (N, PH, PW, OC)
        kernel,         # IN (3, 3, C, OC)
        dkernel,        # OUT (3, 3, C, OC), accumulated; None: not wanted
        dx,             # OUT (N, H, W, C), overwritten; None: not wanted
        winner,         # IN uint8 (N, PH, PW, OC) as from forward; None without a pool
        scratch,        # `scratch` numbers or more, overwritten
    ):
        """dkernel += the gradient of the convolution's kernel, dx = that of its input."""
        cdef void *images = data_of(x, &self.x)
        cdef void *gradients = data_of(dy, &self.dy)
        cdef void *weights = data_of(kernel, &self.kernel)
        cdef void *dw = data_or_null(dkernel, &self.dkernel)
        cdef void *di = data_or_null(dx, &self.dx)
        cdef void *winners = data_of(winner, &self.winner) if has_taps(&self.m.pool) else NULL
        cdef void *memory = scratch_of(scratch, &self.memory)
        if self.empty or (dw == NULL and di == NULL):
            return
        with nogil:
            if self.single:
                self.start(<float *> images, <float *> gradients, <uint8_t *> winners, <float *> weights,
                           <float *> dw, <float *> di, <float *> memory)
            else:
                self.start(<double *> images, <double *> gradients, <uint8_t *> winners, <double *> weights,
                           <double *> dw, <double *> di, <double *> memory)

    cdef void start(self, const real *x, const real *dy, const uint8_t *winner, const real *kernel, real *dkernel,
                    real *dx, real *scratch) noexcept nogil:
        cdef const BackwardPlan *b = (
            &self.input_alone if dkernel == NULL else &self.kernel_alone if dx == NULL else &self.both)
        cdef real *map = scratch + self.map
        cdef const real *slopes = dy
        cdef Py_ssize_t t
        if self.m.after_map:
            slopes = map
            if b.n_threads == 1:
                spread_part(&self.g, &self.m.pool, dy, winner, map, 0, 1)
            else:
                for t in prange(b.n_threads, num_threads=b.n_threads, schedule="static"):
                    spread_part(&self.g, &self.m.pool, dy, winner, map, t, b.n_threads)
        backward(&self.g, b, x, slopes, winner, kernel, dkernel, dx, scratch)
