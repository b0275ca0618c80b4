"""Tiles of Winograd's F(2x2, 3x3): their places in a batch, and the transforms between them and the arrays.

The map is cut into tiles of 2x2 outputs, each seen through a patch of 4x4 pixels. What lies in the padding or
beyond the map is zero; channels are counted up to whole vectors, with zeros after the real ones. winograd.h
has the formulas.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from pyconvx._ext.common.real cimport real
from pyconvx._ext.convolution.windows cimport Geometry
from pyconvx._ext.tile.microkernel cimport VECTOR_BYTES
from pyconvx._ext.tuning cimport WINOGRAD_FEWEST_TILES, WINOGRAD_THREAD_BYTES

cdef extern from "winograd/winograd.h" nogil:
    void winograd_input_float(const float *d, Py_ssize_t row, Py_ssize_t column, float *V, Py_ssize_t step,
                              Py_ssize_t vectors)
    void winograd_input_double(const double *d, Py_ssize_t row, Py_ssize_t column, double *V, Py_ssize_t step,
                               Py_ssize_t vectors)
    void winograd_output_float(const float *M, Py_ssize_t step, const float *bias, float *y, Py_ssize_t row,
                               Py_ssize_t column, Py_ssize_t vectors)
    void winograd_output_double(const double *M, Py_ssize_t step, const double *bias, double *y, Py_ssize_t row,
                                Py_ssize_t column, Py_ssize_t vectors)
    void winograd_output_back_float(const float *dy, Py_ssize_t row, Py_ssize_t column, float *dM, Py_ssize_t step,
                                    Py_ssize_t vectors)
    void winograd_output_back_double(const double *dy, Py_ssize_t row, Py_ssize_t column, double *dM,
                                     Py_ssize_t step, Py_ssize_t vectors)
    void winograd_input_back_float(const float *dV, Py_ssize_t step, float *d, Py_ssize_t row, Py_ssize_t column,
                                   Py_ssize_t vectors)
    void winograd_input_back_double(const double *dV, Py_ssize_t step, double *d, Py_ssize_t row,
                                    Py_ssize_t column, Py_ssize_t vectors)

cdef extern from "pooling/pool.h" nogil:
    ctypedef struct pool_window:
        Py_ssize_t row, column, rows, columns, first, next_row
    void pool_max_f32_u8(const float *x, pool_window w, float *y, uint8_t *winner, Py_ssize_t C)
    void pool_max_f64_u8(const double *x, pool_window w, double *y, uint8_t *winner, Py_ssize_t C)
    void pool_max_back_f32_u8(const float *dy, const uint8_t *winner, pool_window w, float *dx, Py_ssize_t C)
    void pool_max_back_f64_u8(const double *dy, const uint8_t *winner, pool_window w, double *dx, Py_ssize_t C)

cdef enum:
    PRODUCTS = 16             # of a tile


cdef struct TileGrid:
    # A 3x3 convolution's map as tiles of 2x2 outputs
    Py_ssize_t N, H, W, C, OH, OW, OC
    Py_ssize_t top, left
    Py_ssize_t rows, columns, tiles       # of tiles: rows and columns of a sample, all of a sample
    Py_ssize_t inputs, outputs            # C and OC up to whole vectors
    Py_ssize_t lanes                      # numbers in a vector
    bint pooled                           # y is the maxima of the tiles


cdef inline TileGrid tile_grid(const Geometry *f, bint pooled, Py_ssize_t itemsize) noexcept nogil:
    """Cut the map of a 3x3 convolution into tiles; `pooled` ones, whose maxima are wanted, lie inside the map."""
    cdef TileGrid g
    g.N, g.H, g.W, g.C, g.OC, g.OH, g.OW = f.N, f.H, f.W, f.C, f.OC, f.OH, f.OW
    g.top, g.left, g.pooled = -f.h0, -f.w0, pooled
    g.rows, g.columns = (g.OH + 1) // 2, (g.OW + 1) // 2
    g.tiles = g.rows * g.columns
    g.lanes = VECTOR_BYTES // itemsize
    g.inputs = (g.C + g.lanes - 1) // g.lanes * g.lanes
    g.outputs = (g.OC + g.lanes - 1) // g.lanes * g.lanes
    return g


cdef inline Py_ssize_t step_of(Py_ssize_t tiles, Py_ssize_t channels) noexcept nogil:
    """Return the distance of a tile's products: not a power of two, so that they do not share a cache set."""
    return tiles * channels + 16


cdef inline Py_ssize_t tiles_at_once(const TileGrid *g, Py_ssize_t itemsize) noexcept nogil:
    """Tiles whose products stay in cache; more with a kernel that does not, so that it is read less often."""
    cdef Py_ssize_t size = max(WINOGRAD_THREAD_BYTES, PRODUCTS * g.C * g.outputs * itemsize // 2)
    return max(WINOGRAD_FEWEST_TILES, size // (PRODUCTS * (g.inputs + g.outputs) * itemsize))


cdef struct Tile:
    Py_ssize_t n, oh, ow          # sample, first output row and column
    Py_ssize_t h, w               # first row and column of the patch; may lie in the padding
    bint patch_inside, cells_inside


cdef inline Tile tile_at(const TileGrid *g, Py_ssize_t i) noexcept nogil:
    """Return tile i of the batch."""
    cdef Tile tile
    tile.n = i // g.tiles
    tile.oh, tile.ow = 2 * (i % g.tiles // g.columns), 2 * (i % g.tiles % g.columns)
    tile.h, tile.w = tile.oh - g.top, tile.ow - g.left
    tile.patch_inside = (g.C == g.inputs and tile.h >= 0 and tile.w >= 0 and tile.h + 4 <= g.H
                         and tile.w + 4 <= g.W)
    tile.cells_inside = g.OC == g.outputs and tile.oh + 2 <= g.OH and tile.ow + 2 <= g.OW
    return tile


cdef inline void input_tile(const TileGrid *g, const real *x, Py_ssize_t i, Py_ssize_t first, Py_ssize_t end,
                            real *V, Py_ssize_t step, real *buffer) noexcept nogil:
    """Write V of tile i, vectors first..end of the channels; what lies in the padding is zero."""
    cdef Tile tile = tile_at(g, i)
    cdef Py_ssize_t at = first * g.lanes, width = (end - first) * g.lanes, row = g.W * g.C, column = g.C, j, k
    cdef const real *source = x + ((tile.n * g.H + tile.h) * g.W + tile.w) * g.C + at
    if not tile.patch_inside:
        memset(buffer, 0, PRODUCTS * width * sizeof(real))
        for j in range(max(<Py_ssize_t> 0, -tile.h), min(<Py_ssize_t> 4, g.H - tile.h)):
            for k in range(max(<Py_ssize_t> 0, -tile.w), min(<Py_ssize_t> 4, g.W - tile.w)):
                memcpy(buffer + (4 * j + k) * width, source + j * row + k * column,
                       min(width, g.C - at) * sizeof(real))
        source, row, column = buffer, 4 * width, width
    if real is float:
        winograd_input_float(source, row, column, V, step, end - first)
    else:
        winograd_input_double(source, row, column, V, step, end - first)


cdef inline pool_window window_of(Py_ssize_t channels) noexcept nogil:
    """Describe a tile's four outputs in a buffer as a pooling window."""
    cdef pool_window w
    w.row, w.column, w.rows, w.columns, w.first, w.next_row = 2 * channels, channels, 2, 2, 0, 2
    return w


cdef inline void output_tile(const TileGrid *g, const real *M, Py_ssize_t step, const real *bias, Py_ssize_t i,
                             real *y, uint8_t *winner, real *buffer) noexcept nogil:
    """Write the outputs of tile i, or their maximum."""
    cdef Tile tile = tile_at(g, i)
    cdef real *target = y + ((tile.n * g.OH + tile.oh) * g.OW + tile.ow) * g.OC
    cdef Py_ssize_t row = g.OW * g.OC, column = g.OC, j, k
    cdef bint direct = tile.cells_inside and not g.pooled
    cdef real *cells = target if direct else buffer
    cdef Py_ssize_t cell_row = row if direct else 2 * g.outputs, cell_column = column if direct else g.outputs
    if real is float:
        winograd_output_float(M, step, bias, cells, cell_row, cell_column, g.outputs // g.lanes)
    else:
        winograd_output_double(M, step, bias, cells, cell_row, cell_column, g.outputs // g.lanes)
    if g.pooled:
        if real is float:
            pool_max_f32_u8(buffer, window_of(g.outputs), y + i * g.OC, winner + i * g.OC, g.OC)
        else:
            pool_max_f64_u8(buffer, window_of(g.outputs), y + i * g.OC, winner + i * g.OC, g.OC)
    elif not direct:
        for j in range(min(<Py_ssize_t> 2, g.OH - tile.oh)):
            for k in range(min(<Py_ssize_t> 2, g.OW - tile.ow)):
                memcpy(target + j * row + k * column, buffer + (2 * j + k) * g.outputs, g.OC * sizeof(real))


cdef inline void output_tile_back(const TileGrid *g, const real *dy, const uint8_t *winner, Py_ssize_t i, real *dM,
                                  Py_ssize_t step, real *buffer) noexcept nogil:
    """Write dM of tile i; cells beyond the map have no gradient."""
    cdef Tile tile = tile_at(g, i)
    cdef const real *source = dy + ((tile.n * g.OH + tile.oh) * g.OW + tile.ow) * g.OC
    cdef Py_ssize_t row = g.OW * g.OC, column = g.OC, j, k
    if g.pooled or not tile.cells_inside:
        memset(buffer, 0, 4 * g.outputs * sizeof(real))
        if g.pooled:
            if real is float:
                pool_max_back_f32_u8(dy + i * g.OC, winner + i * g.OC, window_of(g.outputs), buffer, g.OC)
            else:
                pool_max_back_f64_u8(dy + i * g.OC, winner + i * g.OC, window_of(g.outputs), buffer, g.OC)
        else:
            for j in range(min(<Py_ssize_t> 2, g.OH - tile.oh)):
                for k in range(min(<Py_ssize_t> 2, g.OW - tile.ow)):
                    memcpy(buffer + (2 * j + k) * g.outputs, source + j * row + k * column, g.OC * sizeof(real))
        source, row, column = buffer, 2 * g.outputs, g.outputs
    if real is float:
        winograd_output_back_float(source, row, column, dM, step, g.outputs // g.lanes)
    else:
        winograd_output_back_double(source, row, column, dM, step, g.outputs // g.lanes)


cdef inline void input_tile_back(const TileGrid *g, const real *dV, Py_ssize_t step, Py_ssize_t i, real *dx,
                                 Py_ssize_t first, Py_ssize_t end, real *buffer) noexcept nogil:
    """Add the gradient of tile i's patch to dx, vectors first..end of the channels."""
    cdef Tile tile = tile_at(g, i)
    cdef Py_ssize_t at = first * g.lanes, width = (end - first) * g.lanes, row = g.W * g.C, column = g.C, j, k, c
    cdef real *target = dx + ((tile.n * g.H + tile.h) * g.W + tile.w) * g.C + at
    cdef real *cells = target if tile.patch_inside else buffer
    cdef Py_ssize_t cell_row = row if tile.patch_inside else 4 * width
    cdef Py_ssize_t cell_column = column if tile.patch_inside else width
    if not tile.patch_inside:
        memset(buffer, 0, 16 * width * sizeof(real))
    if real is float:
        winograd_input_back_float(dV, step, cells, cell_row, cell_column, end - first)
    else:
        winograd_input_back_double(dV, step, cells, cell_row, cell_column, end - first)
    if not tile.patch_inside:
        for j in range(max(<Py_ssize_t> 0, -tile.h), min(<Py_ssize_t> 4, g.H - tile.h)):
            for k in range(max(<Py_ssize_t> 0, -tile.w), min(<Py_ssize_t> 4, g.W - tile.w)):
                for c in range(min(width, g.C - at)):
                    target[j * row + k * column + c] += buffer[(4 * j + k) * width + c]
