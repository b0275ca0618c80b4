"""dx of images with few channels, which would fill few lanes: what every pixel of dy gives to all taps is added
up.

The product of a row of dy with the transposed kernel has KH*KW*C columns, whole vectors of them. Its rows are then
added to dx where they belong, in order of dy's rows; pixels whose windows overlap are taken some steps apart.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from pyconvx._ext.common.align cimport whole_lines
from pyconvx._ext.common.real cimport real
from pyconvx._ext.convolution.pooled cimport spread_rows
from pyconvx._ext.convolution.windows cimport Geometry, Pool, has_taps
from pyconvx._ext.tile.microkernel cimport (
    Panels, pack_rows, panel_channels, panel_vectors, panels_of, product_rows, tile_args,
)
from pyconvx._ext.tuning cimport (
    SCATTER_FEW_BYTES, SCATTER_LEAST_OUTPUTS, SCATTER_LEAST_PIXELS, SCATTER_PRODUCT_BYTES,
)

cdef struct Scatter:
    # How dx is cut: a unit is a band of rows of one sample, and reads the rows of dy that it needs
    Panels panels
    Py_ssize_t columns, pixels        # numbers and rows of products in use
    Py_ssize_t rows, blocks           # of dx in a unit, units in a sample
    Py_ssize_t packed, band           # numbers of scratch: zeros and kernel, a thread's products and rows of dy
    Py_ssize_t n_threads


cdef inline bint few_channels(const Geometry *f, Py_ssize_t itemsize) noexcept nogil:
    """Whether dx is scattered, which shapes and type decide."""
    return (f.groups == 1 and f.C * itemsize < SCATTER_FEW_BYTES and f.KH * f.KW > 1
            and f.OC >= SCATTER_LEAST_OUTPUTS)


cdef inline Scatter scatter_plan(const Geometry *f, const Pool *pool, Py_ssize_t itemsize,
                                 Py_ssize_t n_threads) noexcept nogil:
    """Plan units and scratch; the pixels of a product depend on shapes only, since they order sums."""
    cdef Scatter s
    cdef Py_ssize_t wanted = 1 if n_threads == 1 else max(<Py_ssize_t> 1, 4 * n_threads // f.N)
    s.n_threads = n_threads
    s.panels = panels_of(f.KH * f.KW * f.C, f.OW, itemsize)
    s.columns = s.panels.total * s.panels.lanes
    s.pixels = min(f.OW, max(SCATTER_LEAST_PIXELS, SCATTER_PRODUCT_BYTES // (s.panels.channels * itemsize)))
    s.rows = max((f.H + wanted - 1) // wanted, min(f.H, 4 * f.KH * f.dilation_h))
    s.blocks = (f.H + s.rows - 1) // s.rows
    s.packed = (f.OC + 1) * s.columns
    s.band = s.pixels * s.columns + (pool.stride_h * f.OW * f.OC if has_taps(pool) else 0)
    s.band = whole_lines(s.band)
    return s


cdef inline void scatter_pack(const Scatter *s, const Geometry *f, const real *kernel,
                              real *packed) noexcept nogil:
    """Write a row of zeros, then the kernel's panels: rows are output channels, columns (tap, channel)."""
    cdef Py_ssize_t panel, column = s.panels.vectors * s.panels.lanes
    memset(packed, 0, s.columns * sizeof(real))
    for panel in range(s.panels.count):
        pack_rows(kernel + panel * column * f.OC, 1, f.OC, packed + s.columns + panel * column * f.OC, f.OC,
                  panel_channels(&s.panels, panel), panel_vectors(&s.panels, panel) * s.panels.lanes)


cdef inline void add_products(const Scatter *s, const Geometry *f, const real *products, real *out,
                              Py_ssize_t first, Py_ssize_t count) noexcept nogil:
    """Add to a row of dx one row of taps of the products of pixels first..first+count of a row of dy.

    What a pixel adds is one run. Neighbours' runs overlap, and a load would wait for the store before it: so
    every `apart`-th pixel is taken, then the pixels next to these, and so on.
    """
    cdef Py_ssize_t runs = 1 if f.dilation_w == 1 else f.KW, width = f.C if runs > 1 else f.KW * f.C
    cdef Py_ssize_t apart = 1 if runs > 1 else (f.KW + f.stride_w - 1) // f.stride_w
    cdef Py_ssize_t r, phase, i, at, pixel, begin, end, k
    cdef const real *source
    for r in range(runs):
        for phase in range(apart):
            for i in range((count - phase + apart - 1) // apart if count > phase else 0):
                pixel = phase + i * apart
                at = ((first + pixel) * f.stride_w + f.w0 + r * f.dilation_w) * f.C
                begin, end = max(at, <Py_ssize_t> 0), min(at + width, f.W * f.C)
                source = products + pixel * s.columns + r * f.C - at
                for k in range(begin, end):
                    out[k] += source[k]


cdef inline void scatter_row(const Scatter *s, const Geometry *f, const real *dy, const real *packed,
                             real *products, real *dx, Py_ssize_t oh, Py_ssize_t row0,
                             Py_ssize_t row1) noexcept nogil:
    """Add to rows row0..row1 of a sample's dx what row `oh` of dy gives them."""
    cdef Py_ssize_t piece, first, count, panel, kh, h, column = s.panels.vectors * s.panels.lanes
    cdef tile_args p
    p.T, p.R, p.Q = f.OC, 1, 1
    p.a_t, p.a_m, p.c_m, p.s_m = 1, f.OC, s.columns, 0
    p.a_r = p.a_q = p.b_r = p.b_q = 0
    for piece in range((f.OW + s.pixels - 1) // s.pixels):
        first = piece * s.pixels
        count = min(s.pixels, f.OW - first)
        for panel in range(s.panels.count):
            p.b_t = panel_vectors(&s.panels, panel) * s.panels.lanes
            product_rows(&p, dy + first * f.OC, packed + s.columns + panel * column * f.OC, packed,
                         products + panel * column, count, p.b_t, panel_vectors(&s.panels, panel))
        for kh in range(f.KH):
            h = oh * f.stride_h + f.h0 + kh * f.dilation_h
            if row0 <= h < row1:
                add_products(s, f, products + kh * f.KW * f.C, dx + h * f.W * f.C, first, count)


cdef inline void scatter_part(const Scatter *s, const Geometry *f, const Pool *pool, const real *dy,
                              const uint8_t *winner, const real *packed, real *products, real *dx,
                              Py_ssize_t t) noexcept nogil:
    """Compute thread t's share of the units: each sums all that its rows of dx get, rows of dy in order."""
    cdef Py_ssize_t units = f.N * s.blocks, unit, n, row0, row1, oh, first, end, row = f.OW * f.OC, cell
    cdef real *map = products + s.pixels * s.columns
    cdef const real *gradients
    for unit in range(units * t // s.n_threads, units * (t + 1) // s.n_threads):
        n, row0 = unit // s.blocks, unit % s.blocks * s.rows
        row1 = min(row0 + s.rows, f.H)
        memset(dx + (n * f.H + row0) * f.W * f.C, 0, (row1 - row0) * f.W * f.C * sizeof(real))
        first = max(<Py_ssize_t> 0, row0 - f.h0 - (f.KH - 1) * f.dilation_h + f.stride_h - 1) // f.stride_h
        end = min(f.OH, (row1 - 1 - f.h0) // f.stride_h + 1)
        for oh in range(first, end):
            gradients = dy + (n * f.OH + oh) * row
            if winner != NULL:
                if oh == first or oh % pool.stride_h == 0:      # the rows of one row of windows
                    cell = (n * pool.PH + oh // pool.stride_h) * pool.PW * pool.C
                    spread_rows(pool, dy + cell, winner + cell, map, 1,
                                min(pool.stride_h, f.OH - oh // pool.stride_h * pool.stride_h), 1, f.OC)
                gradients = map + oh % pool.stride_h * row
            scatter_row(s, f, gradients, packed, products, dx + n * f.H * f.W * f.C, oh, row0, row1)
