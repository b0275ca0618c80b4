"""Winograd's forward pass: a 3x3 convolution as 16 matrix products of transformed tiles, and a fused max pool.

winograd.h has the formulas, tiles.pxd the tiles.
"""

from cython.parallel cimport prange
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from pyconvx._ext.common.activation cimport activate, pyconvx_activation
from pyconvx._ext.common.real cimport real
from pyconvx._ext.convolution.pooled cimport pool_rows
from pyconvx._ext.convolution.windows cimport Geometry, Pool, geometry_of, has_taps, pool_of
from pyconvx._ext.tile.microkernel cimport Panels, panel_vectors, panels_of, product_rows, tile_args
from pyconvx._ext.winograd.tiles cimport (
    PRODUCTS, Tile, TileGrid, input_tile, output_tile, step_of, tile_at, tile_grid, tiles_at_once,
)

cdef extern from "winograd/winograd.h" nogil:
    void winograd_kernel_float(const float *g, Py_ssize_t g_step, float *U, Py_ssize_t step, Py_ssize_t n)
    void winograd_kernel_double(const double *g, Py_ssize_t g_step, double *U, Py_ssize_t step, Py_ssize_t n)


cdef struct MapPool:
    # How a fused max pool runs: on the tiles, if its windows are 2x2, or after the map, which scratch then holds
    Pool pool
    bint on_tiles, after_map


cdef inline MapPool map_pool(window, pool, Py_ssize_t filters) except *:
    """Describe the pool; None is none."""
    cdef MapPool m
    m.pool = pool_of(window, pool, filters)
    m.on_tiles = m.pool.KH == m.pool.KW == m.pool.stride_h == m.pool.stride_w == 2
    m.after_map = has_taps(&m.pool) and not m.on_tiles
    if m.after_map:
        m.pool.columns = window.OW
    return m


cdef inline TileGrid grid_of(input_shape, Py_ssize_t filters, window, const MapPool *m,
                             Py_ssize_t itemsize) except *:
    """Cut the map: the cells that a pool on the tiles sees, or all."""
    cdef Pool pool = m.pool
    cdef Geometry f
    if m.after_map:
        pool = pool_of(window, None, filters)
    f = geometry_of(input_shape, window, 1, &pool)
    f.N = max(<Py_ssize_t> 1, f.N)
    return tile_grid(&f, m.on_tiles, itemsize)


cdef struct ForwardPlan:
    TileGrid g
    MapPool m
    Py_ssize_t n_threads
    Py_ssize_t block, blocks      # tiles of a unit of work, units
    Py_ssize_t local, U, map      # numbers of scratch of a thread; offsets of the transformed kernel, of the map
    Py_ssize_t scratch            # numbers of all scratch


cdef inline ForwardPlan forward_plan(const TileGrid *g, const MapPool *m, Py_ssize_t itemsize,
                                     Py_ssize_t n_threads) noexcept nogil:
    """Plan units of as many tiles as leave room for the kernel in cache, and work for every thread."""
    cdef ForwardPlan p
    cdef Py_ssize_t all_tiles = g.N * g.tiles, most = tiles_at_once(g, itemsize)
    cdef Py_ssize_t count = (all_tiles + most - 1) // most
    if n_threads > 1:
        count = (count + n_threads - 1) // n_threads * n_threads
    p.g, p.m, p.n_threads = g[0], m[0], n_threads
    p.block = (all_tiles + count - 1) // count
    p.blocks = (all_tiles + p.block - 1) // p.block
    p.local = PRODUCTS * (step_of(p.block, g.inputs) + step_of(p.block, g.outputs) + g.inputs + g.outputs)
    p.U = 2 * g.outputs + n_threads * p.local
    p.map = p.U + PRODUCTS * g.C * g.outputs
    p.scratch = p.map + (g.N * g.OH * g.OW * g.OC if m.after_map else 0)
    return p


cdef inline void transform_part(const ForwardPlan *p, const real *kernel, real *U, Py_ssize_t t) noexcept nogil:
    """Transform thread t's share of the kernel's input channels."""
    cdef const TileGrid *g = &p.g
    cdef Py_ssize_t c, step = g.C * g.outputs
    for c in range(g.C * t // p.n_threads, g.C * (t + 1) // p.n_threads):
        if real is float:
            winograd_kernel_float(kernel + c * g.OC, g.C * g.OC, U + c * g.outputs, step, g.OC)
        else:
            winograd_kernel_double(kernel + c * g.OC, g.C * g.OC, U + c * g.outputs, step, g.OC)


cdef inline void transform_kernel(const ForwardPlan *p, const real *kernel, real *U) noexcept nogil:
    """Write the transformed kernel."""
    cdef Py_ssize_t t
    if p.n_threads == 1:
        transform_part(p, kernel, U, 0)
    else:
        for t in prange(p.n_threads, num_threads=p.n_threads, schedule="static"):
            transform_part(p, kernel, U, t)


cdef inline void activate_tiles(const TileGrid *g, const pyconvx_activation *f, Py_ssize_t first, Py_ssize_t count,
                                const real *y, real *activated) noexcept nogil:
    """Apply f to the outputs of tiles first..first+count: two rows of every row of tiles, or their maxima."""
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
            activate(f, y + offset + row * g.OW * g.OC, activated + offset + row * g.OW * g.OC, size)
        i += run


cdef inline void forward_part(const ForwardPlan *plan, const real *x, const real *U, const real *bias, real *y,
                              real *activated, uint8_t *winner, const pyconvx_activation *f, real *local,
                              Py_ssize_t t) noexcept nogil:
    """Run thread t's share of the blocks of tiles: transform, multiply, transform back."""
    cdef const TileGrid *g = &plan.g
    cdef Py_ssize_t all_tiles = g.N * g.tiles, count = plan.blocks
    cdef Py_ssize_t step = step_of(plan.block, g.inputs), out_step = step_of(plan.block, g.outputs)
    cdef real *V = local
    cdef real *M = V + PRODUCTS * step
    cdef real *buffer = M + PRODUCTS * out_step
    cdef const real *zeros = bias + g.outputs
    cdef Py_ssize_t unit, first, tiles, i, k, panel, column
    cdef Panels panels = panels_of(g.outputs, plan.block, sizeof(real))
    cdef tile_args p
    p.T, p.R, p.Q = g.C, 1, 1
    p.a_t, p.a_m, p.b_t, p.c_m, p.s_m = 1, g.inputs, g.outputs, g.outputs, 0
    p.a_r = p.a_q = p.b_r = p.b_q = 0
    for unit in range(count * t // plan.n_threads, count * (t + 1) // plan.n_threads):
        first = all_tiles * unit // count
        tiles = all_tiles * (unit + 1) // count - first
        for i in range(tiles):
            input_tile(g, x, first + i, 0, g.inputs // g.lanes, V + i * g.inputs, step, buffer)
        for k in range(PRODUCTS):
            for panel in range(panels.count):
                column = panel * panels.vectors * panels.lanes
                product_rows(&p, V + k * step, U + k * g.C * g.outputs + column, zeros, M + k * out_step + column,
                             tiles, panel_vectors(&panels, panel) * panels.lanes, panel_vectors(&panels, panel))
        for i in range(tiles):
            output_tile(g, M + i * g.outputs, out_step, bias, first + i, y, winner, buffer)
        if f != NULL:
            activate_tiles(g, f, first, tiles, y, activated)


cdef inline void pool_part(const ForwardPlan *p, const real *map, real *y, real *activated, uint8_t *winner,
                           const pyconvx_activation *f, Py_ssize_t t) noexcept nogil:
    """Pool thread t's share of the samples of a map, and apply f to the maxima."""
    cdef const Pool *pool = &p.m.pool
    cdef Py_ssize_t n, cell, size = pool.PH * pool.PW * pool.C
    for n in range(p.g.N * t // p.n_threads, p.g.N * (t + 1) // p.n_threads):
        cell = n * size
        pool_rows(pool, map + n * p.g.OH * p.g.OW * p.g.OC, y + cell, winner + cell, pool.PH)
        if f != NULL:
            activate(f, y + cell, activated + cell, size)


cdef inline void forward(const ForwardPlan *p, const real *x, const real *U, const real *bias, real *y,
                         real *activated, uint8_t *winner, const pyconvx_activation *f,
                         real *scratch) noexcept nogil:
    """Run the plan with a transformed kernel; one thread enters no parallel region."""
    cdef const TileGrid *g = &p.g
    cdef real *local = scratch + 2 * g.outputs
    cdef bint after_map = p.m.after_map
    cdef real *out = scratch + p.map if after_map else y
    cdef const pyconvx_activation *on_tiles = NULL if after_map else f
    cdef Py_ssize_t t
    memset(scratch, 0, 2 * g.outputs * sizeof(real))      # the bias, then zeros, in whole vectors
    if bias != NULL:
        memcpy(scratch, bias, g.OC * sizeof(real))
    if p.n_threads == 1:
        forward_part(p, x, U, scratch, out, activated, winner, on_tiles, local, 0)
        if after_map:
            pool_part(p, out, y, activated, winner, f, 0)
        return
    for t in prange(p.n_threads, num_threads=p.n_threads, schedule="static"):
        forward_part(p, x, U, scratch, out, activated, winner, on_tiles, local + t * p.local, t)
    if after_map:
        for t in prange(p.n_threads, num_threads=p.n_threads, schedule="static"):
            pool_part(p, out, y, activated, winner, f, t)
