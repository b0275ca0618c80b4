"""3x3 convolutions of stride 1 with 2.25 times fewer products: Winograd's F(2x2, 3x3), forward and backward.

    transform  U  = the transformed kernel, for forward
    forward    y  = x * kernel + bias, an activation, and where asked the maxima of 2x2 windows
    backward   dx and dw from dy, or from the gradient of those maxima

The map is cut into tiles of 2x2 outputs. A tile becomes one row of 16 matrix products on the register tile;
winograd.h has the formulas. Products of a tile lie `step` numbers apart. Layouts: x (N, H, W, C), kernel
(3, 3, C, OC), y (N, OH, OW, OC), U (16, C, outputs), where `outputs` is OC up to whole vectors. Every number
is summed over channels, or for dw over tiles, in index order.
"""

from cython.parallel cimport prange
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from pyconvx._ext.common.activation cimport functions_in, pyconvx_activation
from pyconvx._ext.common.align cimport whole_lines
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.tile.microkernel cimport Panels, pack_rows, panel_vectors, panels_of, product, product_rows
from pyconvx._ext.tuning cimport (
    SUM_BLOCKS, WINOGRAD_BLOCK_TILES, WINOGRAD_FEWEST_TILES, WINOGRAD_SHARED_KERNEL_BYTES,
    WINOGRAD_SMALL_GRADIENT_BYTES, WINOGRAD_THREAD_BYTES,
)
from pyconvx._ext.winograd.tiles cimport (
    PRODUCTS, Geometry, Tile, geometry, input_tile, input_tile_back, output_tile, output_tile_back, step_of,
    tile_at,
)

cdef extern from "winograd/winograd.h" nogil:
    void winograd_kernel_float(const float *g, Py_ssize_t g_step, float *U, Py_ssize_t step, Py_ssize_t n)
    void winograd_kernel_double(const double *g, Py_ssize_t g_step, double *U, Py_ssize_t step, Py_ssize_t n)
    void winograd_kernel_back_float(const float *dU, Py_ssize_t step, float *dg, Py_ssize_t g_step, Py_ssize_t n)
    void winograd_kernel_back_double(const double *dU, Py_ssize_t step, double *dg, Py_ssize_t g_step,
                                     Py_ssize_t n)

LEVEL = PYCONVX_LEVEL.decode()


cdef inline Py_ssize_t tiles_at_once(const Geometry *g, Py_ssize_t itemsize) noexcept nogil:
    """Tiles whose products stay in cache; with a kernel that does not, more, so that it is read less often."""
    cdef Py_ssize_t room = max(WINOGRAD_THREAD_BYTES, PRODUCTS * g.C * g.outputs * itemsize // 2)
    return max(WINOGRAD_FEWEST_TILES, room // (PRODUCTS * (g.inputs + g.outputs) * itemsize))


# ---------------------------------------------------------------------------------------- kernel

cdef void transform_part(const Geometry *g, const real *kernel, real *U, Py_ssize_t t,
                         Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the kernel's input channels."""
    cdef Py_ssize_t c, step = g.C * g.outputs
    for c in range(g.C * t // parts, g.C * (t + 1) // parts):
        if real is float:
            winograd_kernel_float(kernel + c * g.OC, g.C * g.OC, U + c * g.outputs, step, g.OC)
        else:
            winograd_kernel_double(kernel + c * g.OC, g.C * g.OC, U + c * g.outputs, step, g.OC)


def transformed_shape(Py_ssize_t C, Py_ssize_t OC, Py_ssize_t itemsize):
    """Shape of a transformed kernel."""
    cdef Geometry g = geometry(1, 4, 4, C, 2, 2, OC, 0, 0, False, itemsize)
    return PRODUCTS, C, g.outputs


def transform(
    const real[:, :, :, ::1] kernel not None,   # IN (3, 3, C, OC)
    real[:, :, ::1] U not None,                 # OUT (16, C, OC up to whole vectors)
    Py_ssize_t n_threads,
):
    """The transformed kernel."""
    cdef Geometry g = geometry(1, 4, 4, kernel.shape[2], 2, 2, kernel.shape[3], 0, 0, False, sizeof(real))
    cdef Py_ssize_t t
    with nogil:
        if n_threads == 1:
            transform_part(&g, &kernel[0, 0, 0, 0], &U[0, 0, 0], 0, 1)
        else:
            for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                transform_part(&g, &kernel[0, 0, 0, 0], &U[0, 0, 0], t, n_threads)


# --------------------------------------------------------------------------------------- forward

cdef Py_ssize_t block_of(const Geometry *g, Py_ssize_t itemsize, Py_ssize_t n_threads) noexcept nogil:
    """Tiles of a unit of forward: as many as leave room for the kernel in cache, and work for every thread."""
    cdef Py_ssize_t all_tiles = g.N * g.tiles, most = tiles_at_once(g, itemsize)
    cdef Py_ssize_t count = (all_tiles + most - 1) // most
    if n_threads > 1:
        count = (count + n_threads - 1) // n_threads * n_threads
    return (all_tiles + count - 1) // count


cdef Py_ssize_t forward_numbers(const Geometry *g, Py_ssize_t block) noexcept nogil:
    """Numbers of scratch of a thread."""
    return PRODUCTS * (step_of(block, g.inputs) + step_of(block, g.outputs) + g.inputs + g.outputs)


def forward_scratch(Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t OH, Py_ssize_t OW,
                    Py_ssize_t OC, bint pooled, Py_ssize_t itemsize, Py_ssize_t n_threads):
    """Numbers of scratch that `forward` needs."""
    cdef Geometry g = geometry(N, H, W, C, OH, OW, OC, 0, 0, pooled, itemsize)
    return 2 * g.outputs + n_threads * forward_numbers(&g, block_of(&g, itemsize, n_threads))


cdef void activate(const Geometry *g, const pyconvx_activation *f, Py_ssize_t first, Py_ssize_t count,
                   const real *y, real *after) noexcept nogil:
    """f on the outputs of tiles first..first+count: two rows of every row of tiles, or their maxima."""
    cdef Py_ssize_t i = first, run, row, offset, size
    cdef Tile tile
    while i < first + count:
        tile = tile_at(g, i)
        run = first + count - i
        if g.pooled:
            offset, size = i * g.OC, run * g.OC
        else:
            run = min(run, g.columns - tile.ow // 2)
            offset = ((tile.n * g.OH + tile.oh) * g.OW + tile.ow) * g.OC
            size = min(2 * run, g.OW - tile.ow) * g.OC
        for row in range(1 if g.pooled else min(<Py_ssize_t> 2, g.OH - tile.oh)):
            if real is float:
                f.f_float(y + offset + row * g.OW * g.OC, after + offset + row * g.OW * g.OC, size)
            else:
                f.f_double(y + offset + row * g.OW * g.OC, after + offset + row * g.OW * g.OC, size)
        i += run


cdef void forward_part(const Geometry *g, const real *x, const real *U, const real *bias, real *y, real *after,
                       uint8_t *winner, const pyconvx_activation *f, real *scratch, Py_ssize_t block,
                       Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the blocks of tiles: transform, multiply, transform back."""
    cdef Py_ssize_t all_tiles = g.N * g.tiles, count = (all_tiles + block - 1) // block
    cdef Py_ssize_t step = step_of(block, g.inputs), out_step = step_of(block, g.outputs)
    cdef real *V = scratch
    cdef real *M = V + PRODUCTS * step
    cdef real *spare = M + PRODUCTS * out_step
    cdef const real *zeros = bias + g.outputs
    cdef Py_ssize_t unit, first, tiles, i, k, panel, column
    cdef Panels panels = panels_of(g.outputs, block, sizeof(real))
    cdef product p
    p.T, p.R, p.Q = g.C, 1, 1
    p.a_t, p.a_m, p.b_t, p.c_m, p.s_m = 1, g.inputs, g.outputs, g.outputs, 0
    p.a_r = p.a_q = p.b_r = p.b_q = 0
    for unit in range(count * t // parts, count * (t + 1) // parts):
        first = all_tiles * unit // count
        tiles = all_tiles * (unit + 1) // count - first
        for i in range(tiles):
            input_tile(g, x, first + i, 0, g.inputs // g.lanes, V + i * g.inputs, step, spare)
        for k in range(PRODUCTS):
            for panel in range(panels.count):
                column = panel * panels.vectors * panels.lanes
                product_rows(&p, V + k * step, U + k * g.C * g.outputs + column, zeros, M + k * out_step + column,
                             tiles, panel_vectors(&panels, panel) * panels.lanes, panel_vectors(&panels, panel))
        for i in range(tiles):
            output_tile(g, M + i * g.outputs, out_step, bias, first + i, y, winner, spare)
        if f != NULL:
            activate(g, f, first, tiles, y, after)


def forward(
    const real[:, :, :, ::1] x not None,        # IN (N, H, W, C)
    const real[:, :, ::1] U not None,           # IN (16, C, OC up to whole vectors)
    const real[::1] bias,                       # IN (OC,) or None
    real[:, :, :, ::1] y not None,              # OUT (N, OH, OW, OC), before the activation
    real[:, :, :, ::1] after,                   # OUT (N, OH, OW, OC), its activation; may be y; None without
    uint8_t[:, :, :, ::1] winner,               # OUT (N, OH, OW, OC): y is the maxima of 2x2 windows; or None
    activation,                                 # IN capsule of a compiled activation, or None
    Py_ssize_t top, Py_ssize_t left,            # padding
    real[::1] scratch not None,                 # forward_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """y = x cross-correlated with the kernel, + bias; after = f(y)."""
    cdef Geometry g = geometry(x.shape[0], x.shape[1], x.shape[2], x.shape[3], y.shape[1], y.shape[2], y.shape[3],
                               top, left, winner is not None, sizeof(real))
    cdef Py_ssize_t block = block_of(&g, sizeof(real), n_threads), t
    cdef const pyconvx_activation *f = functions_in(activation)
    cdef real *start = &scratch[0]
    cdef real *own = start + 2 * g.outputs
    cdef Py_ssize_t numbers = forward_numbers(&g, block)
    cdef real *after_data = NULL
    cdef uint8_t *winners = NULL
    memset(start, 0, 2 * g.outputs * sizeof(real))
    if bias is not None:
        memcpy(start, &bias[0], g.OC * sizeof(real))
    if winner is not None:
        winners = &winner[0, 0, 0, 0]
    if f != NULL:
        after_data = &after[0, 0, 0, 0]
    with nogil:
        if n_threads == 1:
            forward_part(&g, &x[0, 0, 0, 0], &U[0, 0, 0], start, &y[0, 0, 0, 0], after_data, winners, f, own,
                         block, 0, 1)
        else:
            for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                forward_part(&g, &x[0, 0, 0, 0], &U[0, 0, 0], start, &y[0, 0, 0, 0], after_data, winners, f,
                             own + t * numbers, block, t, n_threads)


# -------------------------------------------------------------------------------------- backward

cdef struct Backward:
    # How a backward pass is cut, and the offsets of its arrays. Threads own blocks of samples, each with a sum
    # of dw, or where dw is large input channels.
    bint dw, dx, by_samples
    Py_ssize_t blocks, chunk              # blocks of samples; most tiles that a thread works on at a time
    Py_ssize_t step, out_step             # distances of a tile's products in V and dV, and in dM
    Py_ssize_t V, dM, dU, spare, own      # offsets in a thread's memory, and its size; dV takes V's place
    Py_ssize_t turned, partial, shared    # offsets in the memory of all, and its size


cdef Backward backward_plan(const Geometry *g, Py_ssize_t itemsize, bint dw, bint dx,
                            Py_ssize_t n_threads) noexcept nogil:
    """Chunks that stay in cache; they change no bit, while blocks do and depend on shapes alone."""
    cdef Backward b
    cdef Py_ssize_t kernel = 9 * g.C * g.OC, vectors = g.inputs // g.lanes, rows = g.C
    b.dw, b.dx, b.by_samples = dw, dx, kernel * itemsize <= WINOGRAD_SMALL_GRADIENT_BYTES
    # few tiles would not pay for a sum of their own
    b.blocks = min(min(<Py_ssize_t> SUM_BLOCKS, g.N), max(<Py_ssize_t> 1, g.N * g.tiles // WINOGRAD_BLOCK_TILES))
    if not b.by_samples:
        rows = (vectors + n_threads - 1) // n_threads * g.lanes
    b.chunk = min(g.N * g.tiles, tiles_at_once(g, itemsize))
    b.step, b.out_step = step_of(b.chunk, g.inputs), step_of(b.chunk, g.outputs)
    b.V, b.dM = 0, PRODUCTS * b.step
    b.dU = b.dM + PRODUCTS * b.out_step
    b.spare = b.dU + (PRODUCTS * rows * g.outputs if dw else 0)
    b.own = b.spare + PRODUCTS * (g.inputs + g.outputs)
    b.turned = g.inputs + g.outputs       # after a row of zeros
    b.partial = b.turned + ((PRODUCTS * g.inputs + 9 * g.C) * g.OC if dx else 0)
    b.shared = b.partial + (b.blocks * kernel if dw and b.by_samples else 0)
    b.shared = whole_lines(b.shared)     # whole cache lines, so that vectors do not cross them
    return b


def backward_scratch(Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t OH, Py_ssize_t OW,
                     Py_ssize_t OC, bint pooled, bint dw, bint dx, Py_ssize_t itemsize, Py_ssize_t n_threads):
    """Numbers of scratch that `backward` needs."""
    cdef Geometry g = geometry(N, H, W, C, OH, OW, OC, 0, 0, pooled, itemsize)
    cdef Backward b = backward_plan(&g, itemsize, dw, dx, n_threads)
    return b.shared + b.own * n_threads


cdef void turn_part(const Geometry *g, const Backward *b, const real *kernel, real *shared, Py_ssize_t t,
                    Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the transformed kernel for dx, whose rows are output channels."""
    cdef Py_ssize_t first = g.OC * t // parts, count = g.OC * (t + 1) // parts - first, tap, oc
    cdef real *turned = shared + b.turned + first * g.inputs
    cdef real *taps = shared + b.turned + PRODUCTS * g.OC * g.inputs + 9 * first * g.C
    for tap in range(9):
        pack_rows(kernel + tap * g.C * g.OC + first, 1, g.OC, taps + tap * count * g.C, count, g.C, g.C)
    for oc in range(count):
        if real is float:
            winograd_kernel_float(taps + oc * g.C, count * g.C, turned + oc * g.inputs, g.OC * g.inputs, g.C)
        else:
            winograd_kernel_double(taps + oc * g.C, count * g.C, turned + oc * g.inputs, g.OC * g.inputs, g.C)


cdef struct Slice:
    # What a thread works on: tiles first..end of the batch, input channels from vector v0 to v1
    Py_ssize_t first, end, v0, v1


cdef void gather_outputs(const Geometry *g, const Backward *b, const Slice *s, const real *dy,
                         const uint8_t *winner, real *own) noexcept nogil:
    """dM of the tiles."""
    cdef Py_ssize_t i
    for i in range(s.end - s.first):
        output_tile_back(g, dy, winner, s.first + i, own + b.dM + i * g.outputs, b.out_step, own + b.spare)


cdef void add_kernel_products(const Geometry *g, const Backward *b, const Slice *s, const real *x,
                              const real *zeros, real *own, bint begin) noexcept nogil:
    """dU += V' dM; with `begin`, dU = V' dM."""
    cdef Panels panels = panels_of(g.outputs, g.C, sizeof(real))
    cdef Py_ssize_t width = (s.v1 - s.v0) * g.lanes, rows = min(g.C - s.v0 * g.lanes, width), i, k, column, panel
    cdef real *cells
    cdef product p
    for i in range(s.end - s.first):
        input_tile(g, x, s.first + i, s.v0, s.v1, own + b.V + i * width, b.step, own + b.spare)
    p.T, p.R, p.Q = s.end - s.first, 1, 1
    p.a_t, p.a_m, p.b_t, p.c_m, p.s_m = width, 1, g.outputs, g.outputs, 0 if begin else g.outputs
    p.a_r = p.a_q = p.b_r = p.b_q = 0
    for k in range(PRODUCTS):
        for panel in range(panels.count):
            column = panel * panels.vectors * panels.lanes
            cells = own + b.dU + k * rows * g.outputs + column
            product_rows(&p, own + b.V + k * b.step, own + b.dM + k * b.out_step + column,
                         zeros if begin else cells, cells, rows, panel_vectors(&panels, panel) * panels.lanes,
                         panel_vectors(&panels, panel))


cdef void add_kernel(const Geometry *g, const Backward *b, const Slice *s, const real *own,
                     real *dkernel) noexcept nogil:
    """dkernel += the gradient that follows from dU."""
    cdef Py_ssize_t c0 = s.v0 * g.lanes, rows = min(g.C, s.v1 * g.lanes) - c0, c, step = rows * g.outputs
    cdef const real *dU = own + b.dU
    cdef real *target = dkernel + c0 * g.OC
    for c in range(rows):
        if real is float:
            winograd_kernel_back_float(dU + c * g.outputs, step, target + c * g.OC, g.C * g.OC, g.OC)
        else:
            winograd_kernel_back_double(dU + c * g.outputs, step, target + c * g.OC, g.C * g.OC, g.OC)


cdef void add_inputs(const Geometry *g, const Backward *b, const Slice *s, const real *shared, real *own,
                     real *dx) noexcept nogil:
    """dV = dM U', and the patches that follow from it added to dx."""
    cdef Py_ssize_t width = (s.v1 - s.v0) * g.lanes, tiles = s.end - s.first, k, column, panel, i
    cdef Panels panels = panels_of(width, tiles, sizeof(real))
    cdef product p
    p.T, p.R, p.Q = g.OC, 1, 1
    p.a_t, p.a_m, p.b_t, p.c_m, p.s_m = 1, g.outputs, g.inputs, width, 0
    p.a_r = p.a_q = p.b_r = p.b_q = 0
    for k in range(PRODUCTS):
        for panel in range(panels.count):
            column = panel * panels.vectors * panels.lanes
            product_rows(&p, own + b.dM + k * b.out_step,
                         shared + b.turned + k * g.OC * g.inputs + s.v0 * g.lanes + column, shared,
                         own + b.V + k * b.step + column, tiles, panel_vectors(&panels, panel) * panels.lanes,
                         panel_vectors(&panels, panel))
    for i in range(tiles):
        input_tile_back(g, own + b.V + i * width, b.step, s.first + i, dx, s.v0, s.v1, own + b.spare)


cdef void clear(const Geometry *g, const Slice *s, real *dx) noexcept nogil:
    """Zeros in the samples of the tiles, the slice's channels."""
    cdef Py_ssize_t pixel, c0 = s.v0 * g.lanes, size = min(g.C, s.v1 * g.lanes) - c0
    for pixel in range(s.first // g.tiles * g.H * g.W, s.end // g.tiles * g.H * g.W):
        memset(dx + pixel * g.C + c0, 0, size * sizeof(real))


cdef void walk(const Geometry *g, const Backward *b, const Slice *s, const real *x, const real *dy,
               const uint8_t *winner, real *dx, const real *shared, real *own) noexcept nogil:
    """dx and dU of a slice of whole samples, a chunk of tiles at a time."""
    cdef Py_ssize_t tiles = s.end - s.first, count = (tiles + b.chunk - 1) // b.chunk, i
    cdef Slice part = s[0]
    if b.dx:
        clear(g, s, dx)
    for i in range(count):
        part.first, part.end = s.first + tiles * i // count, s.first + tiles * (i + 1) // count
        gather_outputs(g, b, &part, dy, winner, own)
        if b.dw:
            add_kernel_products(g, b, &part, x, shared, own, i == 0)
        if b.dx:
            add_inputs(g, b, &part, shared, own, dx)


cdef void samples_part(const Geometry *g, const Backward *b, const real *x, const real *dy, const uint8_t *winner,
                       real *dx, real *shared, real *own, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the blocks of samples: their dx, and their sums of dw."""
    cdef Py_ssize_t block, kernel = 9 * g.C * g.OC
    cdef real *partial
    cdef Slice s
    s.v0, s.v1 = 0, g.inputs // g.lanes
    for block in range(b.blocks * t // parts, b.blocks * (t + 1) // parts):
        partial = shared + b.partial + block * kernel
        s.first, s.end = g.N * block // b.blocks * g.tiles, g.N * (block + 1) // b.blocks * g.tiles
        walk(g, b, &s, x, dy, winner, dx, shared, own)
        if b.dw:
            memset(partial, 0, kernel * sizeof(real))
            add_kernel(g, b, &s, own, partial)


cdef void channels_part(const Geometry *g, const Backward *b, const real *x, const real *dy, const uint8_t *winner,
                        real *dkernel, real *dx, real *shared, real *own, Py_ssize_t t,
                        Py_ssize_t parts) noexcept nogil:
    """Thread t's share of the input channels, all samples in order. Where the transformed kernel fits a cache,
    dx takes samples instead, which spares each thread the others' dM."""
    cdef Py_ssize_t vectors = g.inputs // g.lanes
    cdef Backward now = b[0]
    cdef Slice s
    if b.dx and PRODUCTS * g.OC * g.inputs * sizeof(real) <= WINOGRAD_SHARED_KERNEL_BYTES:
        now.dw = False
        s.first, s.end, s.v0, s.v1 = g.N * t // parts * g.tiles, g.N * (t + 1) // parts * g.tiles, 0, vectors
        walk(g, &now, &s, x, dy, winner, dx, shared, own)
        now.dw, now.dx = b.dw, False
    s.first, s.end, s.v0, s.v1 = 0, g.N * g.tiles, vectors * t // parts, vectors * (t + 1) // parts
    if s.v0 < s.v1 and (now.dw or now.dx):
        walk(g, &now, &s, x, dy, winner, dx, shared, own)
        if b.dw:
            add_kernel(g, b, &s, own, dkernel)


cdef void add_part(const Geometry *g, const Backward *b, const real *shared, real *dkernel, Py_ssize_t t,
                   Py_ssize_t parts) noexcept nogil:
    """Add each block's gradient in index order, thread t's share of the cells."""
    cdef Py_ssize_t size = 9 * g.C * g.OC, block, i
    cdef const real *partial = shared + b.partial
    for block in range(b.blocks):
        for i in range(size * t // parts, size * (t + 1) // parts):
            dkernel[i] += partial[block * size + i]


cdef void backward_part(const Geometry *g, const Backward *b, const real *x, const real *dy, const uint8_t *winner,
                        const real *kernel, real *dkernel, real *dx, real *shared, Py_ssize_t phase,
                        Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    """Thread t's share of one of three phases; each reads what all threads wrote in the one before."""
    cdef real *own = shared + b.shared + t * b.own
    if phase == 0 and b.dx:
        turn_part(g, b, kernel, shared, t, parts)
    elif phase == 1 and b.by_samples:
        samples_part(g, b, x, dy, winner, dx, shared, own, t, parts)
    elif phase == 1:
        channels_part(g, b, x, dy, winner, dkernel, dx, shared, own, t, parts)
    elif phase == 2 and b.dw and b.by_samples:
        add_part(g, b, shared, dkernel, t, parts)


def backward(
    const real[:, :, :, ::1] x not None,        # IN (N, H, W, C)
    const real[:, :, :, ::1] dy not None,       # IN (N, OH, OW, OC)
    const uint8_t[:, :, :, ::1] winner,         # IN (N, OH, OW, OC): dy is that of maxima of 2x2 windows; or None
    const real[:, :, :, ::1] kernel not None,   # IN (3, 3, C, OC)
    real[:, :, :, ::1] dkernel,                 # OUT (3, 3, C, OC), accumulated; None: not wanted
    real[:, :, :, ::1] dx,                      # OUT (N, H, W, C), overwritten; None: not wanted
    Py_ssize_t top, Py_ssize_t left,            # padding
    real[::1] scratch not None,                 # backward_scratch(...) numbers, overwritten
    Py_ssize_t n_threads,
):
    """The gradients of the convolution's kernel and input."""
    cdef Geometry g = geometry(x.shape[0], x.shape[1], x.shape[2], x.shape[3], dy.shape[1], dy.shape[2],
                               dy.shape[3], top, left, winner is not None, sizeof(real))
    cdef Backward b = backward_plan(&g, sizeof(real), dkernel is not None, dx is not None, n_threads)
    cdef Py_ssize_t phase, t
    cdef const uint8_t *winners = NULL
    cdef real *dw = NULL
    cdef real *dinput = NULL
    if winner is not None:
        winners = &winner[0, 0, 0, 0]
    if dkernel is not None:
        dw = &dkernel[0, 0, 0, 0]
    if dx is not None:
        dinput = &dx[0, 0, 0, 0]
    with nogil:
        memset(&scratch[0], 0, b.turned * sizeof(real))
        for phase in range(0 if b.dx else 1, 3 if b.dw and b.by_samples else 2):
            if n_threads == 1:
                backward_part(&g, &b, &x[0, 0, 0, 0], &dy[0, 0, 0, 0], winners, &kernel[0, 0, 0, 0], dw, dinput,
                              &scratch[0], phase, 0, 1)
            else:
                for t in prange(n_threads, num_threads=n_threads, schedule="static"):
                    backward_part(&g, &b, &x[0, 0, 0, 0], &dy[0, 0, 0, 0], winners, &kernel[0, 0, 0, 0], dw,
                                  dinput, &scratch[0], phase, t, n_threads)
