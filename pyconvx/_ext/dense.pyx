"""Dense layers: three matrix products on the register tile.

    DenseForward   y  = x w + bias, then an activation
    DenseInput     dx = dy w^T
    DenseWeights   dw += x^T dy

Layouts: x (N, I), w (I, O), y (N, O). Every cell is summed in index order, whatever the threads. Matrices are read
as they are stored; those whose rows are no whole vectors are copied first, w^T a slab at a time, just before it is
used.
"""

from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from pyconvx._ext.common.activation cimport activate, functions_in, pyconvx_activation
from pyconvx._ext.common.arrays cimport ArraySpec, array_spec, data_of, data_or_null, scratch_of
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.tile.microkernel cimport (
    VECTOR_BYTES, Panels, pack_rows, panel_channels, panel_vectors, panels_at, product_rows, tile_args,
)
from pyconvx._ext.tuning cimport (
    DENSE_PASS_SAMPLES, DENSE_SLAB_BYTES, DENSE_UNIT_ROWS, TILE_NARROW_VECTORS, TILE_WIDE_VECTORS,
)

cdef extern from "tile/transpose.h" nogil:
    void transpose_float(const float *source, Py_ssize_t stride, float *out, Py_ssize_t rows, Py_ssize_t lanes,
                         Py_ssize_t width)
    void transpose_double(const double *source, Py_ssize_t stride, double *out, Py_ssize_t rows, Py_ssize_t lanes,
                          Py_ssize_t width)

LEVEL = PYCONVX_LEVEL.decode()


cdef struct Matmul:
    # out (M, panels.channels) = start + sum over k < K of a[m*a_m + k*a_k] b[k*b_k + column], in slabs of K
    Py_ssize_t M, K
    Py_ssize_t a_m, a_k, b_k
    Py_ssize_t slab
    Py_ssize_t row_blocks
    bint transposed       # b[column*b_k + k] instead: transposed into memory of the thread, slab by slab
    bint by_rows          # threads share out row blocks, else (panel, row block) units
    Panels panels
    Py_ssize_t n_threads


cdef Matmul matmul(Py_ssize_t M, Py_ssize_t K, Py_ssize_t columns, Py_ssize_t itemsize,
                   Py_ssize_t n_threads) noexcept nogil:
    """Plan panels and units of a product with a (M, K) as it is stored."""
    cdef Matmul g
    g.M, g.K, g.n_threads = M, K, n_threads
    g.a_m, g.a_k = K, 1
    g.row_blocks = (M + DENSE_UNIT_ROWS - 1) // DENSE_UNIT_ROWS
    g.transposed = g.by_rows = False
    # few rows need many vectors across, or too few sums are under way
    g.panels = panels_at(columns, TILE_NARROW_VECTORS if VECTOR_BYTES == 32 and M > 3 else TILE_WIDE_VECTORS,
                         itemsize)
    g.b_k = row_of(&g)
    g.slab = max(<Py_ssize_t> 1, DENSE_SLAB_BYTES // (g.panels.vectors * VECTOR_BYTES))
    return g


cdef inline Py_ssize_t row_of(const Matmul *g) noexcept nogil:
    """Numbers in a row of whole vectors."""
    return g.panels.total * g.panels.lanes


cdef void multiply_part(const Matmul *g, const real *a, const real *b, const real *start, Py_ssize_t start_step,
                        real *out, real *local, Py_ssize_t t) noexcept nogil:
    """Compute thread t's share of the units; without start values the sums in `out` are continued."""
    cdef Py_ssize_t units = g.row_blocks if g.by_rows else g.panels.count * g.row_blocks
    cdef Py_ssize_t low = units * t // g.n_threads, high = units * (t + 1) // g.n_threads
    cdef Py_ssize_t first_panel = 0 if g.by_rows else low // g.row_blocks
    cdef Py_ssize_t end_panel = g.panels.count if g.by_rows else (high + g.row_blocks - 1) // g.row_blocks
    cdef Py_ssize_t panel, skipped, column, first, end, i, k, lanes, vectors
    cdef const real *rows
    cdef const real *origin
    cdef real *cells
    cdef tile_args p
    p.R = p.Q = 1
    p.a_m, p.a_t = g.a_m, g.a_k
    p.a_r = p.a_q = p.b_r = p.b_q = 0
    p.c_m = g.panels.channels
    for i in range((g.K + g.slab - 1) // g.slab):
        k = i * g.slab
        p.T = min(g.slab, g.K - k)
        for panel in range(first_panel, end_panel):
            skipped = 0 if g.by_rows else panel * g.row_blocks
            first = DENSE_UNIT_ROWS * max(<Py_ssize_t> 0, low - skipped)
            end = min(g.M, DENSE_UNIT_ROWS * min(g.row_blocks, high - skipped))
            column = panel * g.panels.vectors * g.panels.lanes
            lanes, vectors = panel_channels(&g.panels, panel), panel_vectors(&g.panels, panel)
            if g.transposed:
                p.b_t = vectors * g.panels.lanes
                transpose(b + column * g.b_k + k, g.b_k, local, p.T, lanes, p.b_t)
                rows = local
            else:
                p.b_t = g.b_k
                rows = b + k * g.b_k + column
            cells = out + first * p.c_m + column
            origin = start + column * start_step if k == 0 and start != NULL else cells
            p.s_m = 0 if origin != cells else p.c_m
            product_rows(&p, a + first * g.a_m + k * g.a_k, rows, origin, cells, end - first, lanes, vectors)


cdef inline void transpose(const real *source, Py_ssize_t stride, real *out, Py_ssize_t rows, Py_ssize_t lanes,
                           Py_ssize_t width) noexcept nogil:
    """Write out[row, lane] = source[lane, row]."""
    if real is float:
        transpose_float(source, stride, out, rows, lanes, width)
    else:
        transpose_double(source, stride, out, rows, lanes, width)


cdef void multiply(const Matmul *g, const real *a, const real *b, const real *start, Py_ssize_t start_step,
                   real *out, real *local) noexcept nogil:
    """Compute all units; one thread enters no parallel region."""
    cdef Py_ssize_t t, each = local_size(g)
    if g.n_threads == 1:
        multiply_part(g, a, b, start, start_step, out, local, 0)
    else:
        for t in prange(g.n_threads, num_threads=g.n_threads, schedule="static"):
            multiply_part(g, a, b, start, start_step, out, local + t * each, t)


cdef inline Py_ssize_t local_size(const Matmul *g) noexcept nogil:
    """Numbers that a thread needs for a transposed slab of a panel."""
    return min(g.slab, g.K) * g.panels.vectors * g.panels.lanes if g.transposed else 0


cdef inline Py_ssize_t copy_size(Py_ssize_t rows, const Matmul *g) noexcept nogil:
    """Numbers of a copy in rows of whole vectors; none if the rows are that already."""
    return 0 if row_of(g) == g.panels.channels else rows * row_of(g)


cdef const real *whole_rows(const real *b, Py_ssize_t rows, const Matmul *g, real *copied) noexcept nogil:
    """Return b (rows, channels) as it is stored, or copied into rows of whole vectors."""
    if copy_size(rows, g) == 0:
        return b
    pack_rows(b, g.panels.channels, 1, copied, rows, g.panels.channels, row_of(g))
    return copied


cdef void forward(const Matmul *g, const real *x, const real *w, const real *bias, real *y, real *activated,
                  const pyconvx_activation *f, real *scratch) noexcept nogil:
    """Run y = x w + bias, then f."""
    cdef const real *rows
    memset(scratch, 0, row_of(g) * sizeof(real))
    if bias != NULL:
        memcpy(scratch, bias, g.panels.channels * sizeof(real))
    rows = whole_rows(w, g.K, g, scratch + row_of(g))
    multiply(g, x, rows, scratch, 1, y, <real *> NULL)
    if f != NULL:       # a few thousand numbers: not worth a parallel region
        activate(f, y, activated, g.M * g.panels.channels)


cdef class DenseForward:
    """A dense layer forward, planned for batches of one size.

    Attributes
    ----------
    scratch : int
        Numbers of scratch that `run` needs: start values, and a copy of w if its rows are no whole vectors.
    """

    cdef readonly Py_ssize_t scratch
    cdef Matmul plan
    cdef bint single
    cdef ArraySpec x, w, bias, y, activated, memory

    def __cinit__(self, Py_ssize_t N, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t itemsize,
                  Py_ssize_t n_threads):
        """Plan for x of shape (N, inputs) and w of shape (inputs, outputs)."""
        self.plan = matmul(N, inputs, outputs, itemsize, n_threads)
        self.scratch = row_of(&self.plan) + copy_size(inputs, &self.plan)
        self.single = itemsize == sizeof(float)
        self.x = array_spec(b"x", itemsize, False, N, inputs, -1, -1)
        self.w = array_spec(b"weights", itemsize, False, inputs, outputs, -1, -1)
        self.bias = array_spec(b"bias", itemsize, False, outputs, -1, -1, -1)
        self.y = array_spec(b"y", itemsize, True, N, outputs, -1, -1)
        self.activated = array_spec(b"activated", itemsize, True, N, outputs, -1, -1)
        self.memory = array_spec(b"scratch", itemsize, True, self.scratch, -1, -1, -1)

    def run(
        self,
        x,              # IN (N, I)
        w,              # IN (I, O)
        bias,           # IN (O,) or None
        y,              # OUT (N, O), before the activation
        activated,      # OUT (N, O), its activation; may be y; None without one
        activation,     # IN capsule of a compiled activation, or None
        scratch,        # `scratch` numbers or more, overwritten
    ):
        """y = x w + bias; activated = f(y)."""
        cdef const pyconvx_activation *f = functions_in(activation)
        cdef void *rows = data_of(x, &self.x)
        cdef void *weights = data_of(w, &self.w)
        cdef void *offsets = data_or_null(bias, &self.bias)
        cdef void *out = data_of(y, &self.y)
        cdef void *result = NULL if f == NULL else data_of(activated, &self.activated)
        cdef void *memory = scratch_of(scratch, &self.memory)
        if self.plan.M == 0:
            return
        with nogil:
            if self.single:
                forward(&self.plan, <float *> rows, <float *> weights, <float *> offsets, <float *> out,
                        <float *> result, f, <float *> memory)
            else:
                forward(&self.plan, <double *> rows, <double *> weights, <double *> offsets, <double *> out,
                        <double *> result, f, <double *> memory)


cdef inline Py_ssize_t width_of(const Matmul *g) noexcept nogil:
    """Numbers in a row of a panel."""
    return g.panels.vectors * g.panels.lanes


cdef void input_gradient(const Matmul *g, const real *dy, const real *w, real *dx, real *scratch) noexcept nogil:
    """Run dx = dy w^T."""
    memset(scratch, 0, width_of(g) * sizeof(real))
    multiply(g, dy, w, scratch, 0, dx, scratch + width_of(g))


cdef class DenseInput:
    """The gradient of a dense layer's input, planned for batches of one size.

    Attributes
    ----------
    scratch : int
        Numbers of scratch that `run` needs: start values, and a transposed slab of w for each thread.
    """

    cdef readonly Py_ssize_t scratch
    cdef Matmul plan
    cdef bint single
    cdef ArraySpec dy, w, dx, memory

    def __cinit__(self, Py_ssize_t N, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t itemsize,
                  Py_ssize_t n_threads):
        """Plan as `DenseForward` does, from the same arguments."""
        self.plan = matmul(N, outputs, inputs, itemsize, n_threads)
        self.plan.transposed, self.plan.b_k = True, outputs
        self.scratch = width_of(&self.plan) + n_threads * local_size(&self.plan)
        self.single = itemsize == sizeof(float)
        self.dy = array_spec(b"dy", itemsize, False, N, outputs, -1, -1)
        self.w = array_spec(b"weights", itemsize, False, inputs, outputs, -1, -1)
        self.dx = array_spec(b"dx", itemsize, True, N, inputs, -1, -1)
        self.memory = array_spec(b"scratch", itemsize, True, self.scratch, -1, -1, -1)

    def run(
        self,
        dy,             # IN (N, O)
        w,              # IN (I, O)
        dx,             # OUT (N, I), overwritten
        scratch,        # `scratch` numbers or more, overwritten
    ):
        """dx = dy w^T."""
        cdef void *gradients = data_of(dy, &self.dy)
        cdef void *weights = data_of(w, &self.w)
        cdef void *out = data_of(dx, &self.dx)
        cdef void *memory = scratch_of(scratch, &self.memory)
        if self.plan.M == 0:
            return
        with nogil:
            if self.single:
                input_gradient(&self.plan, <float *> gradients, <float *> weights, <float *> out, <float *> memory)
            else:
                input_gradient(&self.plan, <double *> gradients, <double *> weights, <double *> out,
                               <double *> memory)


cdef void weight_gradient(const Matmul *g, const real *x, const real *dy, real *dw, real *scratch) noexcept nogil:
    """Run dw += x^T dy."""
    cdef const real *rows = whole_rows(dy, g.K, g, scratch)
    multiply(g, x, rows, <const real *> NULL, 0, dw, <real *> NULL)


cdef class DenseWeights:
    """The gradient of a dense layer's weights, planned for batches of one size.

    Attributes
    ----------
    scratch : int
        Numbers of scratch that `run` needs: a copy of dy if its rows are no whole vectors.
    """

    cdef readonly Py_ssize_t scratch
    cdef Matmul plan
    cdef bint single
    cdef ArraySpec x, dy, dw, memory

    def __cinit__(self, Py_ssize_t N, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t itemsize,
                  Py_ssize_t n_threads):
        """Plan as `DenseForward` does, from the same arguments."""
        self.plan = matmul(inputs, N, outputs, itemsize, n_threads)      # x transposed, as it is stored
        self.plan.a_m, self.plan.a_k, self.plan.slab = 1, inputs, DENSE_PASS_SAMPLES
        # cores that write alternate stretches of a row fetch one another's lines ahead of use
        self.plan.by_rows = True
        self.scratch = copy_size(N, &self.plan)
        self.single = itemsize == sizeof(float)
        self.x = array_spec(b"x", itemsize, False, N, inputs, -1, -1)
        self.dy = array_spec(b"dy", itemsize, False, N, outputs, -1, -1)
        self.dw = array_spec(b"the gradient of weights", itemsize, True, inputs, outputs, -1, -1)
        self.memory = array_spec(b"scratch", itemsize, True, self.scratch, -1, -1, -1)

    def run(
        self,
        x,              # IN (N, I)
        dy,             # IN (N, O)
        dw,             # OUT (I, O), accumulated
        scratch,        # `scratch` numbers or more, overwritten
    ):
        """dw += x^T dy."""
        cdef void *rows = data_of(x, &self.x)
        cdef void *gradients = data_of(dy, &self.dy)
        cdef void *out = data_of(dw, &self.dw)
        cdef void *memory = scratch_of(scratch, &self.memory)
        if self.plan.K == 0:
            return
        with nogil:
            if self.single:
                weight_gradient(&self.plan, <float *> rows, <float *> gradients, <float *> out, <float *> memory)
            else:
                weight_gradient(&self.plan, <double *> rows, <double *> gradients, <double *> out,
                                <double *> memory)
