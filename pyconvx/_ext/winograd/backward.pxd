"""Winograd's backward pass: dx and dw of a 3x3 convolution, a chunk of tiles at a time.

Threads own blocks of samples, each with a sum of dw; or, if dw is large, input channels. winograd.h has the
formulas.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from pyconvx._ext.common.align cimport whole_lines
from pyconvx._ext.common.real cimport real
from pyconvx._ext.tile.microkernel cimport Panels, pack_rows, panel_vectors, panels_of, product_rows, tile_args
from pyconvx._ext.tuning cimport (
    SUM_BLOCKS, WINOGRAD_BLOCK_TILES, WINOGRAD_SHARED_KERNEL_BYTES, WINOGRAD_SMALL_GRADIENT_BYTES,
)
from pyconvx._ext.winograd.tiles cimport (
    PRODUCTS, TileGrid, input_tile, input_tile_back, output_tile_back, step_of, tiles_at_once,
)

cdef extern from "winograd/winograd.h" nogil:
    void winograd_kernel_float(const float *g, Py_ssize_t g_step, float *U, Py_ssize_t step, Py_ssize_t n)
    void winograd_kernel_double(const double *g, Py_ssize_t g_step, double *U, Py_ssize_t step, Py_ssize_t n)
    void winograd_kernel_back_float(const float *dU, Py_ssize_t step, float *dg, Py_ssize_t g_step, Py_ssize_t n)
    void winograd_kernel_back_double(const double *dU, Py_ssize_t step, double *dg, Py_ssize_t g_step,
                                     Py_ssize_t n)


cdef struct BackwardPlan:
    # How a backward pass is cut, and the offsets of its arrays. Threads own blocks of samples, each with a sum of
    # dw, or input channels if dw is large.
    bint dw, dx, by_samples
    Py_ssize_t n_threads
    Py_ssize_t blocks, chunk              # blocks of samples; most tiles that a thread works on at a time
    Py_ssize_t step, out_step             # distances of a tile's products in V and dV, and in dM
    Py_ssize_t V, dM, dU, buffer, local   # offsets in a thread's memory, and its size; dV takes V's place
    Py_ssize_t rotated, partial, shared   # offsets in the memory of all, and its size


cdef inline BackwardPlan backward_plan(const TileGrid *g, Py_ssize_t itemsize, bint dw, bint dx,
                                       Py_ssize_t n_threads) noexcept nogil:
    """Plan chunks that stay in cache; they change no bit, while blocks do and depend on shapes alone."""
    cdef BackwardPlan b
    cdef Py_ssize_t kernel = 9 * g.C * g.OC, vectors = g.inputs // g.lanes, rows = g.C
    b.n_threads = n_threads
    b.dw, b.dx, b.by_samples = dw, dx, kernel * itemsize <= WINOGRAD_SMALL_GRADIENT_BYTES
    # few tiles would not pay for a sum of their own
    b.blocks = min(min(<Py_ssize_t> SUM_BLOCKS, g.N), max(<Py_ssize_t> 1, g.N * g.tiles // WINOGRAD_BLOCK_TILES))
    if not b.by_samples:
        rows = (vectors + n_threads - 1) // n_threads * g.lanes
    b.chunk = min(g.N * g.tiles, tiles_at_once(g, itemsize))
    b.step, b.out_step = step_of(b.chunk, g.inputs), step_of(b.chunk, g.outputs)
    b.V, b.dM = 0, PRODUCTS * b.step
    b.dU = b.dM + PRODUCTS * b.out_step
    b.buffer = b.dU + (PRODUCTS * rows * g.outputs if dw else 0)
    b.local = b.buffer + PRODUCTS * (g.inputs + g.outputs)
    b.rotated = g.inputs + g.outputs       # after a row of zeros
    b.partial = b.rotated + ((PRODUCTS * g.inputs + 9 * g.C) * g.OC if dx else 0)
    b.shared = b.partial + (b.blocks * kernel if dw and b.by_samples else 0)
    b.shared = whole_lines(b.shared)     # whole cache lines, so that vectors do not cross them
    return b


cdef inline void rotate_part(const TileGrid *g, const BackwardPlan *b, const real *kernel, real *shared,
                             Py_ssize_t t) noexcept nogil:
    """Write thread t's share of the transformed kernel for dx, whose rows are output channels."""
    cdef Py_ssize_t first = g.OC * t // b.n_threads, count = g.OC * (t + 1) // b.n_threads - first, tap, oc
    cdef real *rotated = shared + b.rotated + first * g.inputs
    cdef real *taps = shared + b.rotated + PRODUCTS * g.OC * g.inputs + 9 * first * g.C
    for tap in range(9):
        pack_rows(kernel + tap * g.C * g.OC + first, 1, g.OC, taps + tap * count * g.C, count, g.C, g.C)
    for oc in range(count):
        if real is float:
            winograd_kernel_float(taps + oc * g.C, count * g.C, rotated + oc * g.inputs, g.OC * g.inputs, g.C)
        else:
            winograd_kernel_double(taps + oc * g.C, count * g.C, rotated + oc * g.inputs, g.OC * g.inputs, g.C)


cdef struct Slice:
    # What a thread works on: tiles first..end of the batch, input channels from vector v0 to v1
    Py_ssize_t first, end, v0, v1


cdef inline void gather_outputs(const TileGrid *g, const BackwardPlan *b, const Slice *s, const real *dy,
                                const uint8_t *winner, real *local) noexcept nogil:
    """Write dM of the tiles."""
    cdef Py_ssize_t i
    for i in range(s.end - s.first):
        output_tile_back(g, dy, winner, s.first + i, local + b.dM + i * g.outputs, b.out_step, local + b.buffer)


cdef inline void add_kernel_products(const TileGrid *g, const BackwardPlan *b, const Slice *s, const real *x,
                                     const real *zeros, real *local, bint begin) noexcept nogil:
    """Add V' dM to dU; with `begin`, write it."""
    cdef Panels panels = panels_of(g.outputs, g.C, sizeof(real))
    cdef Py_ssize_t width = (s.v1 - s.v0) * g.lanes, rows = min(g.C - s.v0 * g.lanes, width), i, k, column, panel
    cdef real *cells
    cdef tile_args p
    for i in range(s.end - s.first):
        input_tile(g, x, s.first + i, s.v0, s.v1, local + b.V + i * width, b.step, local + b.buffer)
    p.T, p.R, p.Q = s.end - s.first, 1, 1
    p.a_t, p.a_m, p.b_t, p.c_m, p.s_m = width, 1, g.outputs, g.outputs, 0 if begin else g.outputs
    p.a_r = p.a_q = p.b_r = p.b_q = 0
    for k in range(PRODUCTS):
        for panel in range(panels.count):
            column = panel * panels.vectors * panels.lanes
            cells = local + b.dU + k * rows * g.outputs + column
            product_rows(&p, local + b.V + k * b.step, local + b.dM + k * b.out_step + column,
                         zeros if begin else cells, cells, rows, panel_vectors(&panels, panel) * panels.lanes,
                         panel_vectors(&panels, panel))


cdef inline void add_kernel(const TileGrid *g, const BackwardPlan *b, const Slice *s, const real *local,
                            real *dkernel) noexcept nogil:
    """Add to dkernel the gradient that follows from dU."""
    cdef Py_ssize_t c0 = s.v0 * g.lanes, rows = min(g.C, s.v1 * g.lanes) - c0, c, step = rows * g.outputs
    cdef const real *dU = local + b.dU
    cdef real *target = dkernel + c0 * g.OC
    for c in range(rows):
        if real is float:
            winograd_kernel_back_float(dU + c * g.outputs, step, target + c * g.OC, g.C * g.OC, g.OC)
        else:
            winograd_kernel_back_double(dU + c * g.outputs, step, target + c * g.OC, g.C * g.OC, g.OC)


cdef inline void add_inputs(const TileGrid *g, const BackwardPlan *b, const Slice *s, const real *shared,
                            real *local, real *dx) noexcept nogil:
    """Write dV = dM U' and add the patches that follow from it to dx."""
    cdef Py_ssize_t width = (s.v1 - s.v0) * g.lanes, tiles = s.end - s.first, k, column, panel, i
    cdef Panels panels = panels_of(width, tiles, sizeof(real))
    cdef tile_args p
    p.T, p.R, p.Q = g.OC, 1, 1
    p.a_t, p.a_m, p.b_t, p.c_m, p.s_m = 1, g.outputs, g.inputs, width, 0
    p.a_r = p.a_q = p.b_r = p.b_q = 0
    for k in range(PRODUCTS):
        for panel in range(panels.count):
            column = panel * panels.vectors * panels.lanes
            product_rows(&p, local + b.dM + k * b.out_step,
                         shared + b.rotated + k * g.OC * g.inputs + s.v0 * g.lanes + column, shared,
                         local + b.V + k * b.step + column, tiles, panel_vectors(&panels, panel) * panels.lanes,
                         panel_vectors(&panels, panel))
    for i in range(tiles):
        input_tile_back(g, local + b.V + i * width, b.step, s.first + i, dx, s.v0, s.v1, local + b.buffer)


cdef inline void clear(const TileGrid *g, const Slice *s, real *dx) noexcept nogil:
    """Write zeros to dx in the samples of the tiles, the slice's channels."""
    cdef Py_ssize_t pixel, c0 = s.v0 * g.lanes, size = min(g.C, s.v1 * g.lanes) - c0
    for pixel in range(s.first // g.tiles * g.H * g.W, s.end // g.tiles * g.H * g.W):
        memset(dx + pixel * g.C + c0, 0, size * sizeof(real))


cdef inline void walk(const TileGrid *g, const BackwardPlan *b, const Slice *s, const real *x, const real *dy,
                      const uint8_t *winner, real *dx, const real *shared, real *local) noexcept nogil:
    """Compute dx and dU of a slice of whole samples, a chunk of tiles at a time."""
    cdef Py_ssize_t tiles = s.end - s.first, count = (tiles + b.chunk - 1) // b.chunk, i
    cdef Slice part = s[0]
    if b.dx:
        clear(g, s, dx)
    for i in range(count):
        part.first, part.end = s.first + tiles * i // count, s.first + tiles * (i + 1) // count
        gather_outputs(g, b, &part, dy, winner, local)
        if b.dw:
            add_kernel_products(g, b, &part, x, shared, local, i == 0)
        if b.dx:
            add_inputs(g, b, &part, shared, local, dx)


cdef inline void samples_part(const TileGrid *g, const BackwardPlan *b, const real *x, const real *dy,
                              const uint8_t *winner, real *dx, real *shared, real *local,
                              Py_ssize_t t) noexcept nogil:
    """Compute thread t's share of the blocks of samples: their dx, and their sums of dw."""
    cdef Py_ssize_t block, kernel = 9 * g.C * g.OC, parts = b.n_threads
    cdef real *partial
    cdef Slice s
    s.v0, s.v1 = 0, g.inputs // g.lanes
    for block in range(b.blocks * t // parts, b.blocks * (t + 1) // parts):
        partial = shared + b.partial + block * kernel
        s.first, s.end = g.N * block // b.blocks * g.tiles, g.N * (block + 1) // b.blocks * g.tiles
        walk(g, b, &s, x, dy, winner, dx, shared, local)
        if b.dw:
            memset(partial, 0, kernel * sizeof(real))
            add_kernel(g, b, &s, local, partial)


cdef inline void channels_part(const TileGrid *g, const BackwardPlan *b, const real *x, const real *dy,
                               const uint8_t *winner, real *dkernel, real *dx, real *shared, real *local,
                               Py_ssize_t t) noexcept nogil:
    """Compute thread t's share of the input channels, all samples in order.

    If the transformed kernel fits a cache, dx goes by samples instead: then no thread computes the dM of others.
    """
    cdef Py_ssize_t vectors = g.inputs // g.lanes, parts = b.n_threads
    cdef BackwardPlan now = b[0]
    cdef Slice s
    if b.dx and PRODUCTS * g.OC * g.inputs * sizeof(real) <= WINOGRAD_SHARED_KERNEL_BYTES:
        now.dw = False
        s.first, s.end, s.v0, s.v1 = g.N * t // parts * g.tiles, g.N * (t + 1) // parts * g.tiles, 0, vectors
        walk(g, &now, &s, x, dy, winner, dx, shared, local)
        now.dw, now.dx = b.dw, False
    s.first, s.end, s.v0, s.v1 = 0, g.N * g.tiles, vectors * t // parts, vectors * (t + 1) // parts
    if s.v0 < s.v1 and (now.dw or now.dx):
        walk(g, &now, &s, x, dy, winner, dx, shared, local)
        if b.dw:
            add_kernel(g, b, &s, local, dkernel)


cdef inline void add_part(const TileGrid *g, const BackwardPlan *b, const real *shared, real *dkernel,
                          Py_ssize_t t) noexcept nogil:
    """Add each block's gradient in index order, thread t's share of the cells."""
    cdef Py_ssize_t size = 9 * g.C * g.OC, block, i, parts = b.n_threads
    cdef const real *partial = shared + b.partial
    for block in range(b.blocks):
        for i in range(size * t // parts, size * (t + 1) // parts):
            dkernel[i] += partial[block * size + i]


cdef inline void backward_part(const TileGrid *g, const BackwardPlan *b, const real *x, const real *dy,
                               const uint8_t *winner, const real *kernel, real *dkernel, real *dx, real *shared,
                               Py_ssize_t phase, Py_ssize_t t) noexcept nogil:
    """Run thread t's share of one of three phases; each reads what all threads wrote in the one before."""
    cdef real *local = shared + b.shared + t * b.local
    if phase == 0 and b.dx:
        rotate_part(g, b, kernel, shared, t)
    elif phase == 1 and b.by_samples:
        samples_part(g, b, x, dy, winner, dx, shared, local, t)
    elif phase == 1:
        channels_part(g, b, x, dy, winner, dkernel, dx, shared, local, t)
    elif phase == 2 and b.dw and b.by_samples:
        add_part(g, b, shared, dkernel, t)
