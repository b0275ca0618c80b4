"""A max pool after a convolution, a few rows of the map at a time: rows to maxima, gradients to rows.

The windows share no cell and lie inside the map, which ends where the last of them ends: cells that no window
sees are not computed. A winner is the number of a tap in its window, kh * KW + kw, as in max_pool.pyx.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from pyconvx._ext.common.real cimport real
from pyconvx._ext.convolution.windows cimport Pool

cdef extern from "pooling/pool.h" nogil:
    ctypedef struct pool_window:
        Py_ssize_t row, column, rows, columns, first, next_row
    void pool_max_f32_u8(const float *x, pool_window w, float *y, uint8_t *winner, Py_ssize_t C)
    void pool_max_f64_u8(const double *x, pool_window w, double *y, uint8_t *winner, Py_ssize_t C)
    void pool_spread_f32_u8(const float *dy, const uint8_t *winner, pool_window w, Py_ssize_t windows,
                            Py_ssize_t step, Py_ssize_t dx_step, float *dx, Py_ssize_t C)
    void pool_spread_f64_u8(const double *dy, const uint8_t *winner, pool_window w, Py_ssize_t windows,
                            Py_ssize_t step, Py_ssize_t dx_step, double *dx, Py_ssize_t C)


cdef inline void pool_rows(const Pool *p, const real *map, real *y, uint8_t *winner,
                           Py_ssize_t windows) noexcept nogil:
    """Write `windows` rows of maxima of the rows that begin at `map`."""
    cdef Py_ssize_t row = p.columns * p.C, i, j, cell
    cdef pool_window w = pool_window(row, p.C, p.KH, p.KW, 0, p.KW)
    for i in range(windows):
        for j in range(p.PW):
            cell = (i * p.PW + j) * p.C
            if real is float:
                pool_max_f32_u8(map + i * p.stride_h * row + j * p.stride_w * p.C, w, y + cell, winner + cell, p.C)
            else:
                pool_max_f64_u8(map + i * p.stride_h * row + j * p.stride_w * p.C, w, y + cell, winner + cell, p.C)


cdef inline void spread_rows(const Pool *p, const real *dy, const uint8_t *winner, real *map, Py_ssize_t windows,
                             Py_ssize_t rows, Py_ssize_t groups, Py_ssize_t width) noexcept nogil:
    """Write `rows` rows of the map's gradient, from the first row of `windows` on: dy at the winners, else zero.

    Channels come in `groups`, each of them `width` numbers wide in the map; the rest of a group is zero.
    """
    cdef Py_ssize_t pixel = groups * width, row = p.columns * pixel, channels = p.C // groups
    cdef Py_ssize_t i, group, cell
    cdef real *cells
    cdef pool_window w = pool_window(row, pixel, p.KH, p.KW, 0, p.KW)
    if width > channels or p.stride_h > p.KH or p.stride_w > p.KW:
        memset(map, 0, rows * row * sizeof(real))
    for i in range(windows):
        for group in range(groups):
            cell = i * p.PW * p.C + group * channels
            cells = map + i * p.stride_h * row + group * width
            if real is float:
                pool_spread_f32_u8(dy + cell, winner + cell, w, p.PW, p.C, p.stride_w * pixel, cells, channels)
            else:
                pool_spread_f64_u8(dy + cell, winner + cell, w, p.PW, p.C, p.stride_w * pixel, cells, channels)
