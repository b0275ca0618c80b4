"""A max pool behind a convolution, a few rows of the map at a time: rows to maxima, gradients to rows.

The windows share no cell and lie inside the map, which ends where the last of them ends: what the pool does
not keep is not computed. A winner is the number of a tap in its window, kh * KW + kw, as in pool.pyx.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from pyconvx._ext.common.real cimport real

cdef extern from "pooling/pool.h" nogil:
    ctypedef struct pool_window:
        Py_ssize_t row, column, rows, columns, first, next_row
    void pool_max_f32_u8(const float *x, pool_window w, float *y, uint8_t *winner, Py_ssize_t C)
    void pool_max_f64_u8(const double *x, pool_window w, double *y, uint8_t *winner, Py_ssize_t C)
    void pool_spread_f32_u8(const float *dy, const uint8_t *winner, pool_window w, Py_ssize_t windows,
                            Py_ssize_t step, Py_ssize_t dx_step, float *dx, Py_ssize_t C)
    void pool_spread_f64_u8(const double *dy, const uint8_t *winner, pool_window w, Py_ssize_t windows,
                            Py_ssize_t step, Py_ssize_t dx_step, double *dx, Py_ssize_t C)


cdef struct Pool:
    # windows, their taps, the step between them, and channels
    Py_ssize_t PH, PW, KH, KW, stride_h, stride_w, C


cdef inline Py_ssize_t kept(Py_ssize_t windows, Py_ssize_t K, Py_ssize_t stride) noexcept nogil:
    """Rows or columns of the map up to the end of the last window."""
    return (windows - 1) * stride + K


cdef inline void pool_rows(const Pool *p, const real *map, real *y, uint8_t *winner,
                           Py_ssize_t windows) noexcept nogil:
    """`windows` rows of maxima from the rows of the map that begin at `map`."""
    cdef Py_ssize_t row = kept(p.PW, p.KW, p.stride_w) * p.C, i, j, cell
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
    """`rows` rows of the map's gradient, which begin at those of `windows`: each at its winner, else zero.

    Channels come in `groups`, each of them `width` numbers wide in the map; the rest of a group is zero.
    """
    cdef Py_ssize_t pixel = groups * width, row = kept(p.PW, p.KW, p.stride_w) * pixel, channels = p.C // groups
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
