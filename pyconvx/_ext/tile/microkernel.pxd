"""The register tile for Cython: one name for both precisions, and how channels split into panels."""

from pyconvx._ext.common.real cimport real
from pyconvx._ext.tuning cimport TILE_NARROW_MAP_PIXELS, TILE_NARROW_VECTORS, TILE_WIDE_VECTORS

cdef extern from "tile/microkernel.h" nogil:
    Py_ssize_t VECTOR_BYTES
    ctypedef struct tile_args:
        Py_ssize_t T, R, Q
        Py_ssize_t a_t, a_r, a_q
        Py_ssize_t b_t, b_r, b_q
        Py_ssize_t a_m, c_m, s_m
    void product_rows_float(const tile_args *p, const float *A, const float *B, const float *S, float *C,
                            Py_ssize_t rows, Py_ssize_t lanes, Py_ssize_t vectors)
    void product_rows_double(const tile_args *p, const double *A, const double *B, const double *S, double *C,
                             Py_ssize_t rows, Py_ssize_t lanes, Py_ssize_t vectors)

cdef inline void product_rows(const tile_args *p, const real *A, const real *B, const real *S, real *C,
                              Py_ssize_t rows, Py_ssize_t lanes, Py_ssize_t vectors) noexcept nogil:
    """Compute C = S + A B for `rows` rows and `lanes` columns; see microkernel.h."""
    if real is float:
        product_rows_float(p, A, B, S, C, rows, lanes, vectors)
    else:
        product_rows_double(p, A, B, S, C, rows, lanes, vectors)


cdef struct Panels:
    # `channels` columns cut into panels of equal width, the last one narrower; counted in vectors
    Py_ssize_t channels   # real columns
    Py_ssize_t total      # vectors that hold them
    Py_ssize_t vectors    # vectors of a panel
    Py_ssize_t count      # panels
    Py_ssize_t lanes      # numbers in a vector


cdef inline Panels panels_at(Py_ssize_t channels, Py_ssize_t widest, Py_ssize_t itemsize) noexcept nogil:
    """Cut channels into panels of at most `widest` vectors, as equal as possible."""
    cdef Panels p
    p.channels = channels
    p.lanes = VECTOR_BYTES // itemsize
    p.total = (channels + p.lanes - 1) // p.lanes
    p.count = (p.total + widest - 1) // widest
    p.vectors = (p.total + p.count - 1) // p.count
    p.count = (p.total + p.vectors - 1) // p.vectors
    return p


cdef inline Panels panels_of(Py_ssize_t channels, Py_ssize_t rows, Py_ssize_t itemsize) noexcept nogil:
    """Cut channels into panels for tiles over maps `rows` pixels wide: the widths that ran fastest (tuning.h)."""
    if VECTOR_BYTES == 32 or (VECTOR_BYTES == 64 and rows <= TILE_NARROW_MAP_PIXELS):
        return panels_at(channels, TILE_NARROW_VECTORS, itemsize)
    return panels_at(channels, TILE_WIDE_VECTORS, itemsize)


cdef inline Py_ssize_t panel_vectors(const Panels *p, Py_ssize_t i) noexcept nogil:
    """Count the vectors of panel i."""
    return min(p.vectors, p.total - i * p.vectors)


cdef inline Py_ssize_t panel_channels(const Panels *p, Py_ssize_t i) noexcept nogil:
    """Count the real columns of panel i."""
    return min(p.vectors * p.lanes, p.channels - i * p.vectors * p.lanes)


cdef inline void pack_rows(const real *source, Py_ssize_t row_stride, Py_ssize_t lane_stride, real *packed,
                           Py_ssize_t rows, Py_ssize_t lanes, Py_ssize_t width) noexcept nogil:
    """Write packed[row, lane] = source[row*row_stride + lane*lane_stride], zeros up to `width`."""
    # sixteen rows at a time: a transposed source is then read a cache line at a time
    cdef Py_ssize_t row, lane, first, last
    for first in range((rows + 15) // 16):
        last = min(rows, 16 * first + 16)
        if lane_stride == 1:
            for row in range(16 * first, last):
                for lane in range(lanes):
                    packed[row * width + lane] = source[row * row_stride + lane]
        else:
            for lane in range(lanes):
                for row in range(16 * first, last):
                    packed[row * width + lane] = source[row * row_stride + lane * lane_stride]
        for row in range(16 * first, last):
            for lane in range(lanes, width):
                packed[row * width + lane] = 0
