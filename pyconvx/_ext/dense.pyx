"""Dense layers: three matrix products on the register tile.

    forward            y  = x w + bias, then an activation
    backward_input     dx = dy w^T
    backward_weights   dw += x^T dy

Layouts: x (N, I), w (I, O), y (N, O). Every cell is summed in index order, whatever the threads.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from pyconvx._ext.microkernel cimport (
    Panels, pack_rows, panel_channels, panel_vectors, panels_of, product, product_rows, real,
)

cdef extern from "microkernel.h" nogil:
    const char *PYCONVX_LEVEL

cdef extern from "pyconvx/activation.h" nogil:
    const char *PYCONVX_ACTIVATION_TAG
    ctypedef struct pyconvx_activation:
        void (*f_float)(const float *x, float *y, Py_ssize_t n) noexcept nogil
        void (*f_double)(const double *x, double *y, Py_ssize_t n) noexcept nogil

LEVEL = PYCONVX_LEVEL.decode()

cdef enum:
    SLAB = 256 * 1024     # bytes of packed weights in use at a time
    ROWS = 24             # rows of a unit of work: whole tiles for every height
    SAMPLES = 256         # samples that a pass of dw covers


cdef struct Product:
    # out (M, panels.channels) = start + a (M, K) times packed panels (K, ...)
    Py_ssize_t M, K
    Py_ssize_t row_blocks
    Panels panels


cdef Product plan(Py_ssize_t M, Py_ssize_t K, Py_ssize_t columns, Py_ssize_t itemsize) noexcept nogil:
    """Panels and units of a product."""
    cdef Product g
    g.M, g.K = M, K
    g.row_blocks = (M + ROWS - 1) // ROWS
    g.panels = panels_of(columns, M, itemsize)
    return g


cdef inline Py_ssize_t scratch_size(const Product *g) noexcept nogil:
    """Numbers for the packed matrix and a row of start values."""
    return (g.K + 1) * g.panels.total * g.panels.lanes


cdef void pack_part(const Product *g, const real *w, Py_ssize_t k_stride, Py_ssize_t column_stride,
                    real *packed, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the panels of w[k*k_stride + column*column_stride]."""
    cdef Py_ssize_t panel, column
    for panel in range(g.panels.count * t // parts, g.panels.count * (t + 1) // parts):
        column = panel * g.panels.vectors * g.panels.lanes
        pack_rows(w + column * column_stride, k_stride, column_stride, packed + g.K * column, g.K,
                  panel_channels(&g.panels, panel), panel_vectors(&g.panels, panel) * g.panels.lanes)


cdef void multiply_part(const Product *g, const real *a, const real *packed, const real *start, real *out,
                        Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the (panel, row block) units, each a slab of the sum at a time."""
    cdef Py_ssize_t units = g.panels.count * g.row_blocks, unit, panel, column, first, end, k, slab, width
    cdef const real *origin
    cdef real *cells
    cdef product p
    p.R = p.Q = 1
    p.a_m, p.a_t = g.K, 1
    p.a_r = p.a_q = p.b_r = p.b_q = 0
    p.c_m = g.panels.channels
    for unit in range(units * t // parts, units * (t + 1) // parts):
        panel = unit // g.row_blocks
        first = g.M * (unit % g.row_blocks) // g.row_blocks
        end = g.M * (unit % g.row_blocks + 1) // g.row_blocks
        column = panel * g.panels.vectors * g.panels.lanes
        width = panel_vectors(&g.panels, panel) * g.panels.lanes
        slab = max(<Py_ssize_t> 1, SLAB // <Py_ssize_t> (width * sizeof(real)))
        p.b_t = width
        cells = out + first * g.panels.channels + column
        for k in range((g.K + slab - 1) // slab):
            p.T = min(slab, g.K - k * slab)
            origin = start + column if k == 0 else cells
            p.s_m = 0 if k == 0 else p.c_m
            product_rows(&p, a + first * g.K + k * slab, packed + g.K * column + k * slab * width, origin, cells,
                         end - first, panel_channels(&g.panels, panel), panel_vectors(&g.panels, panel))


cdef void multiply(const Product *g, const real *a, const real *w, Py_ssize_t k_stride, Py_ssize_t column_stride,
                   const real *bias, real *out, real *scratch, Py_ssize_t n_threads) noexcept nogil:
    """out = bias + a times w, packed first; one thread enters no parallel region."""
    cdef real *start = scratch + g.K * g.panels.total * g.panels.lanes
    cdef Py_ssize_t t
    memset(start, 0, g.panels.total * g.panels.lanes * sizeof(real))
    if bias != NULL:
        memcpy(start, bias, g.panels.channels * sizeof(real))
    if n_threads == 1:
        pack_part(g, w, k_stride, column_stride, scratch, 0, 1)
        multiply_part(g, a, scratch, start, out, 0, 1)
    else:
        for t in prange(n_threads, num_threads=n_threads, schedule="static"):
            pack_part(g, w, k_stride, column_stride, scratch, t, n_threads)
        for t in prange(n_threads, num_threads=n_threads, schedule="static"):
            multiply_part(g, a, scratch, start, out, t, n_threads)


def forward_scratch(Py_ssize_t N, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t itemsize):
    """Numbers of scratch that `forward` needs."""
    cdef Product g = plan(N, inputs, outputs, itemsize)
    return scratch_size(&g)


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
    cdef const pyconvx_activation *f = NULL
    if bias is not None:
        bias_data = &bias[0]
    if activation is not None:
        f = <const pyconvx_activation *> PyCapsule_GetPointer(activation, PYCONVX_ACTIVATION_TAG)
    with nogil:
        multiply(&g, &x[0, 0], &w[0, 0], y.shape[1], 1, bias_data, &y[0, 0], &scratch[0], n_threads)
        if f != NULL:       # a few thousand numbers: not worth a parallel region
            if real is float:
                f.f_float(&y[0, 0], &after[0, 0], g.M * g.panels.channels)
            else:
                f.f_double(&y[0, 0], &after[0, 0], g.M * g.panels.channels)


def backward_input_scratch(Py_ssize_t N, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t itemsize):
    """Numbers of scratch that `backward_input` needs."""
    cdef Product g = plan(N, outputs, inputs, itemsize)
    return scratch_size(&g)


def backward_input(
    const real[:, ::1] dy not None,     # IN (N, O)
    const real[:, ::1] w not None,      # IN (I, O)
    real[:, ::1] dx not None,           # OUT (N, I), overwritten
    real[::1] scratch not None,         # backward_input_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """dx = dy w^T."""
    cdef Product g = plan(dy.shape[0], dy.shape[1], dx.shape[1], sizeof(real))
    with nogil:
        multiply(&g, &dy[0, 0], &w[0, 0], 1, dy.shape[1], <const real *> NULL, &dx[0, 0], &scratch[0], n_threads)


cdef void weights_part(const Product *g, const real *x, const real *dy, Py_ssize_t pixel, real *dw,
                       Py_ssize_t samples, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the tiles of dw (M inputs by columns), all samples in order."""
    cdef Py_ssize_t units = g.panels.count * g.row_blocks, unit, panel, column, first, end, n
    cdef real *cells
    cdef product p
    p.R = p.Q = 1
    p.a_m, p.a_t, p.b_t = 1, g.M, pixel
    p.a_r = p.a_q = p.b_r = p.b_q = 0
    p.c_m = p.s_m = g.panels.channels
    for n in range((samples + SAMPLES - 1) // SAMPLES):
        p.T = min(<Py_ssize_t> SAMPLES, samples - n * SAMPLES)
        for unit in range(units * t // parts, units * (t + 1) // parts):
            panel = unit // g.row_blocks
            first = g.M * (unit % g.row_blocks) // g.row_blocks
            end = g.M * (unit % g.row_blocks + 1) // g.row_blocks
            column = panel * g.panels.vectors * g.panels.lanes
            cells = dw + first * g.panels.channels + column
            product_rows(&p, x + n * SAMPLES * g.M + first, dy + n * SAMPLES * pixel + column, cells, cells,
                         end - first, panel_channels(&g.panels, panel), panel_vectors(&g.panels, panel))


def backward_weights_scratch(Py_ssize_t N, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t itemsize):
    """Numbers of scratch that `backward_weights` needs: dy in rows of whole vectors."""
    cdef Product g = plan(inputs, N, outputs, itemsize)
    return N * g.panels.total * g.panels.lanes


def backward_weights(
    const real[:, ::1] x not None,      # IN (N, I)
    const real[:, ::1] dy not None,     # IN (N, O)
    real[:, ::1] dw not None,           # OUT (I, O), accumulated
    real[::1] scratch not None,         # backward_weights_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """dw += x^T dy."""
    cdef Py_ssize_t N = x.shape[0], outputs = dy.shape[1], t
    cdef Product g = plan(x.shape[1], N, outputs, sizeof(real))
    cdef Py_ssize_t pixel = g.panels.total * g.panels.lanes
    cdef const real *rows = &dy[0, 0]
    cdef real *padded = &scratch[0]
    with nogil:
        if pixel != outputs:
            pack_rows(rows, outputs, 1, padded, N, outputs, pixel)
            rows = padded
        if n_threads == 1:
            weights_part(&g, &x[0, 0], rows, pixel, &dw[0, 0], N, 0, 1)
        else:
            for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                weights_part(&g, &x[0, 0], rows, pixel, &dw[0, 0], N, t, n_threads)
