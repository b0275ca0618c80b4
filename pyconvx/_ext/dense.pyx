"""Dense layers: three matrix products on the register tile.

    forward            y  = x w + bias, then an activation
    backward_input     dx = dy w^T
    backward_weights   dw += x^T dy

Layouts: x (N, I), w (I, O), y (N, O). Every cell is summed in index order, whatever the threads. Matrices are
read as they lie; those whose rows are no whole vectors are copied first, w^T a slab at a time where it is used.
"""

from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from pyconvx._ext.common.activation cimport activate, functions_in, pyconvx_activation
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.common.shapes cimport expect_matrix, expect_row
from pyconvx._ext.tile.microkernel cimport (
    VECTOR_BYTES, Panels, pack_rows, panel_channels, panel_vectors, panels_at, product, product_rows,
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


cdef struct Product:
    # out (M, panels.channels) = start + sum over k < K of a[m*a_m + k*a_k] b[k*b_k + column], in slabs of K
    Py_ssize_t M, K
    Py_ssize_t a_m, a_k, b_k
    Py_ssize_t slab
    Py_ssize_t row_blocks
    bint transposed       # b[column*b_k + k] instead: turned into the thread's spare memory, slab by slab
    bint by_rows          # threads share out row blocks, else (panel, row block) units
    Panels panels


cdef Product plan(Py_ssize_t M, Py_ssize_t K, Py_ssize_t columns, Py_ssize_t itemsize) noexcept nogil:
    """Panels and units of a product with a (M, K) as it lies."""
    cdef Product g
    g.M, g.K = M, K
    g.a_m, g.a_k = K, 1
    g.row_blocks = (M + DENSE_UNIT_ROWS - 1) // DENSE_UNIT_ROWS
    g.transposed = g.by_rows = False
    # few rows need many vectors across, or too few sums are under way
    g.panels = panels_at(columns, TILE_NARROW_VECTORS if VECTOR_BYTES == 32 and M > 3 else TILE_WIDE_VECTORS,
                         itemsize)
    g.b_k = row_of(&g)
    g.slab = max(<Py_ssize_t> 1, DENSE_SLAB_BYTES // (g.panels.vectors * VECTOR_BYTES))
    return g


cdef inline Py_ssize_t row_of(const Product *g) noexcept nogil:
    """Numbers in a row of whole vectors."""
    return g.panels.total * g.panels.lanes


cdef void multiply_part(const Product *g, const real *a, const real *b, const real *start, Py_ssize_t start_step,
                        real *out, real *spare, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the units; without start values the sums in `out` go on."""
    cdef Py_ssize_t units = g.row_blocks if g.by_rows else g.panels.count * g.row_blocks
    cdef Py_ssize_t low = units * t // parts, high = units * (t + 1) // parts
    cdef Py_ssize_t first_panel = 0 if g.by_rows else low // g.row_blocks
    cdef Py_ssize_t end_panel = g.panels.count if g.by_rows else (high + g.row_blocks - 1) // g.row_blocks
    cdef Py_ssize_t panel, skipped, column, first, end, i, k, lanes, vectors
    cdef const real *rows
    cdef const real *origin
    cdef real *cells
    cdef product p
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
                turn(b + column * g.b_k + k, g.b_k, spare, p.T, lanes, p.b_t)
                rows = spare
            else:
                p.b_t = g.b_k
                rows = b + k * g.b_k + column
            cells = out + first * p.c_m + column
            origin = start + column * start_step if k == 0 and start != NULL else cells
            p.s_m = 0 if origin != cells else p.c_m
            product_rows(&p, a + first * g.a_m + k * g.a_k, rows, origin, cells, end - first, lanes, vectors)


cdef inline void turn(const real *source, Py_ssize_t stride, real *out, Py_ssize_t rows, Py_ssize_t lanes,
                      Py_ssize_t width) noexcept nogil:
    """out[row, lane] = source[lane, row]"""
    if real is float:
        transpose_float(source, stride, out, rows, lanes, width)
    else:
        transpose_double(source, stride, out, rows, lanes, width)


cdef void multiply(const Product *g, const real *a, const real *b, const real *start, Py_ssize_t start_step,
                   real *out, real *spare, Py_ssize_t n_threads) noexcept nogil:
    """All units; one thread enters no parallel region."""
    cdef Py_ssize_t t, each = spare_size(g)
    if n_threads == 1:
        multiply_part(g, a, b, start, start_step, out, spare, 0, 1)
    else:
        for t in prange(n_threads, num_threads=n_threads, schedule="static"):
            multiply_part(g, a, b, start, start_step, out, spare + t * each, t, n_threads)


cdef inline Py_ssize_t spare_size(const Product *g) noexcept nogil:
    """Numbers that a thread needs for a turned slab of a panel."""
    return min(g.slab, g.K) * g.panels.vectors * g.panels.lanes if g.transposed else 0


cdef inline Py_ssize_t copy_size(Py_ssize_t rows, const Product *g) noexcept nogil:
    """Numbers of a copy in rows of whole vectors; none where the rows are that already."""
    return 0 if row_of(g) == g.panels.channels else rows * row_of(g)


cdef const real *whole_rows(const real *b, Py_ssize_t rows, const Product *g, real *copied) noexcept nogil:
    """b (rows, channels) as it lies, or copied into rows of whole vectors."""
    if copy_size(rows, g) == 0:
        return b
    pack_rows(b, g.panels.channels, 1, copied, rows, g.panels.channels, row_of(g))
    return copied


def forward_scratch(Py_ssize_t N, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t itemsize):
    """Numbers of scratch that `forward` needs: start values, and w where its rows are no whole vectors."""
    cdef Product g = plan(N, inputs, outputs, itemsize)
    return row_of(&g) + copy_size(inputs, &g)


def forward(
    const real[:, ::1] x not None,      # IN (N, I)
    const real[:, ::1] w not None,      # IN (I, O)
    const real[::1] bias,               # IN (O,) or None
    real[:, ::1] y not None,            # OUT (N, O), before the activation
    real[:, ::1] after,                 # OUT (N, O), its activation; may be y; None without
    activation,                         # IN capsule of a compiled activation, or None
    real[::1] scratch not None,         # forward_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """y = x w + bias; after = f(y)."""
    cdef Product g = plan(x.shape[0], x.shape[1], y.shape[1], sizeof(real))
    cdef const real *bias_data = NULL
    cdef const real *rows
    cdef real *start = &scratch[0]
    cdef const pyconvx_activation *f = functions_in(activation)
    expect_matrix("weights", w.shape, x.shape[1], y.shape[1])
    if bias is not None:
        expect_row("bias", bias.shape, y.shape[1])
        bias_data = &bias[0]
    with nogil:
        memset(start, 0, row_of(&g) * sizeof(real))
        if bias_data != NULL:
            memcpy(start, bias_data, g.panels.channels * sizeof(real))
        rows = whole_rows(&w[0, 0], g.K, &g, start + row_of(&g))
        multiply(&g, &x[0, 0], rows, start, 1, &y[0, 0], <real *> NULL, n_threads)
        if f != NULL:       # a few thousand numbers: not worth a parallel region
            activate(f, &y[0, 0], &after[0, 0], g.M * g.panels.channels)


cdef Product input_plan(Py_ssize_t N, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t itemsize) noexcept nogil:
    """dy (N, O) times w (I, O) turned."""
    cdef Product g = plan(N, outputs, inputs, itemsize)
    g.transposed = True
    g.b_k = outputs
    return g


def backward_input_scratch(Py_ssize_t N, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t itemsize,
                           Py_ssize_t n_threads):
    """Numbers of scratch that `backward_input` needs: start values, a turned slab for each thread."""
    cdef Product g = input_plan(N, inputs, outputs, itemsize)
    return g.panels.vectors * g.panels.lanes + n_threads * spare_size(&g)


def backward_input(
    const real[:, ::1] dy not None,     # IN (N, O)
    const real[:, ::1] w not None,      # IN (I, O)
    real[:, ::1] dx not None,           # OUT (N, I), overwritten
    real[::1] scratch not None,         # backward_input_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """dx = dy w^T."""
    cdef Product g = input_plan(dy.shape[0], dx.shape[1], dy.shape[1], sizeof(real))
    cdef real *start = &scratch[0]
    cdef Py_ssize_t width = g.panels.vectors * g.panels.lanes
    expect_matrix("weights", w.shape, dx.shape[1], dy.shape[1])
    expect_matrix("dy", dy.shape, dx.shape[0], w.shape[1])
    with nogil:
        memset(start, 0, width * sizeof(real))
        multiply(&g, &dy[0, 0], &w[0, 0], start, 0, &dx[0, 0], start + width, n_threads)


cdef Product weights_plan(Py_ssize_t N, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t itemsize) noexcept nogil:
    """x (N, I) turned, as it lies, times dy (N, O)."""
    cdef Product g = plan(inputs, N, outputs, itemsize)
    g.a_m, g.a_k = 1, inputs
    g.slab = DENSE_PASS_SAMPLES
    # cores that write alternate stretches of a row fetch one another's lines ahead of use
    g.by_rows = True
    return g


def backward_weights_scratch(Py_ssize_t N, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t itemsize):
    """Numbers of scratch that `backward_weights` needs: dy where its rows are no whole vectors."""
    cdef Product g = weights_plan(N, inputs, outputs, itemsize)
    return copy_size(N, &g)


def backward_weights(
    const real[:, ::1] x not None,      # IN (N, I)
    const real[:, ::1] dy not None,     # IN (N, O)
    real[:, ::1] dw not None,           # OUT (I, O), accumulated
    real[::1] scratch not None,         # backward_weights_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """dw += x^T dy."""
    cdef Product g = weights_plan(x.shape[0], x.shape[1], dy.shape[1], sizeof(real))
    cdef const real *rows
    cdef real *spare = NULL
    expect_matrix("dy", dy.shape, x.shape[0], dw.shape[1])
    expect_matrix("the gradient of weights", dw.shape, x.shape[1], dy.shape[1])
    if scratch.shape[0]:
        spare = &scratch[0]
    with nogil:
        rows = whole_rows(&dy[0, 0], g.K, &g, spare)
        multiply(&g, &x[0, 0], rows, <const real *> NULL, 0, &dw[0, 0], <real *> NULL, n_threads)
