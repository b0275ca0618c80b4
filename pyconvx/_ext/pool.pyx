"""Max, average and global average pooling, forward and backward (channels last, float32 and float64).

A window over all its channels is one C call (pool.h, vectors over channels); here are the loops over samples,
output rows and windows, and the clipping of windows at the border. Nothing is checked: every window must have
a tap inside the map. OH and OW are those of `y`; a tap's number is kh * KW + kw.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memset

from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.common.shapes cimport expect_like, expect_matrix

cdef extern from "pooling/pool.h" nogil:
    ctypedef struct pool_window:
        Py_ssize_t row, column, rows, columns, first, next_row
    void pool_mean_f32(const float *x, pool_window w, float count, float *y, Py_ssize_t C)
    void pool_mean_f64(const double *x, pool_window w, double count, double *y, Py_ssize_t C)
    void pool_mean_back_f32(const float *dy, pool_window w, float count, float *dx, Py_ssize_t C)
    void pool_mean_back_f64(const double *dy, pool_window w, double count, double *dx, Py_ssize_t C)
    void pool_max_f32_u8(const float *x, pool_window w, float *y, uint8_t *winner, Py_ssize_t C)
    void pool_max_f32_i32(const float *x, pool_window w, float *y, int32_t *winner, Py_ssize_t C)
    void pool_max_f64_u8(const double *x, pool_window w, double *y, uint8_t *winner, Py_ssize_t C)
    void pool_max_f64_i32(const double *x, pool_window w, double *y, int32_t *winner, Py_ssize_t C)
    void pool_max_back_f32_u8(const float *dy, const uint8_t *winner, pool_window w, float *dx, Py_ssize_t C)
    void pool_max_back_f32_i32(const float *dy, const int32_t *winner, pool_window w, float *dx, Py_ssize_t C)
    void pool_max_back_f64_u8(const double *dy, const uint8_t *winner, pool_window w, double *dx,
                              Py_ssize_t C)
    void pool_max_back_f64_i32(const double *dy, const int32_t *winner, pool_window w, double *dx,
                               Py_ssize_t C)

LEVEL = PYCONVX_LEVEL.decode()

ctypedef fused tap:
    uint8_t
    int32_t


cdef struct Axis:
    # one direction of the map: its size, and the windows laid over it
    Py_ssize_t size, kernel, stride, before, after, dilation


cdef struct Span:
    # the taps of one window that lie inside the map, and where the first of them lies
    Py_ssize_t tap, taps, at


cdef inline Span clip(Axis a, Py_ssize_t window) noexcept nogil:
    cdef Py_ssize_t start = window * a.stride - a.before
    cdef Span s
    s.tap = (a.dilation - 1 - start) // a.dilation if start < 0 else 0
    s.at = start + s.tap * a.dilation
    s.taps = min(a.kernel - s.tap, (a.size - s.at + a.dilation - 1) // a.dilation)
    return s


cdef inline pool_window window_of(Span h, Span w, Axis a, Axis b, Py_ssize_t C) noexcept nogil:
    cdef pool_window p
    p.row = a.dilation * b.size * C
    p.column = b.dilation * C
    p.rows = h.taps
    p.columns = w.taps
    p.first = h.tap * b.kernel + w.tap
    p.next_row = b.kernel
    return p


cdef inline Py_ssize_t padded(Axis a, Py_ssize_t window) noexcept nogil:
    """Cells of a window inside map and padding; a last window of ceil mode may stick out."""
    return min(a.kernel, a.size + a.before + a.after - window * a.stride)


cdef inline Py_ssize_t cells(Axis a, Axis b, pool_window p, Py_ssize_t oh, Py_ssize_t ow,
                             bint include_pad) noexcept nogil:
    """What the sum over a window is divided by."""
    return padded(a, oh) * padded(b, ow) if include_pad else p.rows * p.columns


cdef inline void max_window(const real *x, pool_window p, real *y, tap *winner, Py_ssize_t C) noexcept nogil:
    if real is float and tap is uint8_t:
        pool_max_f32_u8(x, p, y, winner, C)
    elif real is float:
        pool_max_f32_i32(x, p, y, winner, C)
    elif tap is uint8_t:
        pool_max_f64_u8(x, p, y, winner, C)
    else:
        pool_max_f64_i32(x, p, y, winner, C)


cdef inline void max_window_back(const real *dy, const tap *winner, pool_window p, real *dx,
                                 Py_ssize_t C) noexcept nogil:
    if real is float and tap is uint8_t:
        pool_max_back_f32_u8(dy, winner, p, dx, C)
    elif real is float:
        pool_max_back_f32_i32(dy, winner, p, dx, C)
    elif tap is uint8_t:
        pool_max_back_f64_u8(dy, winner, p, dx, C)
    else:
        pool_max_back_f64_i32(dy, winner, p, dx, C)


cdef inline void mean_window(const real *x, pool_window p, Py_ssize_t count, real *y,
                             Py_ssize_t C) noexcept nogil:
    if real is float:
        pool_mean_f32(x, p, <float>count, y, C)
    else:
        pool_mean_f64(x, p, <double>count, y, C)


cdef inline void mean_window_back(const real *dy, pool_window p, Py_ssize_t count, real *dx,
                                  Py_ssize_t C) noexcept nogil:
    if real is float:
        pool_mean_back_f32(dy, p, <float>count, dx, C)
    else:
        pool_mean_back_f64(dy, p, <double>count, dx, C)


cdef void max_pool_part(const real[:, :, :, ::1] x, real[:, :, :, ::1] y, tap[:, :, :, ::1] winner,
                        Axis a, Axis b, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t OH = y.shape[1], C = y.shape[3], units = y.shape[0] * OH
    cdef Py_ssize_t unit, n, oh, ow
    cdef Span h, w
    for unit in range(units * t // parts, units * (t + 1) // parts):
        n = unit // OH
        oh = unit % OH
        h = clip(a, oh)
        for ow in range(y.shape[2]):
            w = clip(b, ow)
            max_window(&x[n, h.at, w.at, 0], window_of(h, w, a, b, C), &y[n, oh, ow, 0],
                       &winner[n, oh, ow, 0], C)


def max_pool(
    const real[:, :, :, ::1] x not None,        # IN (N, H, W, C)
    real[:, :, :, ::1] y not None,              # OUT (N, OH, OW, C), overwritten
    tap[:, :, :, ::1] winner not None,          # OUT (N, OH, OW, C), overwritten: the winning tap's number
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w,
    Py_ssize_t pad_top, Py_ssize_t pad_left, Py_ssize_t dilation_h, Py_ssize_t dilation_w, int n_threads,
):
    """Largest value of each window: the first NaN if there is one, else the first of the largest."""
    cdef Axis a = Axis(x.shape[1], KH, stride_h, pad_top, 0, dilation_h)
    cdef Axis b = Axis(x.shape[2], KW, stride_w, pad_left, 0, dilation_w)
    cdef Py_ssize_t t
    if n_threads == 1:
        with nogil:
            max_pool_part(x, y, winner, a, b, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            max_pool_part(x, y, winner, a, b, t, n_threads)


cdef void max_pool_backward_part(const real[:, :, :, ::1] dy, const tap[:, :, :, ::1] winner,
                                 real[:, :, :, ::1] dx, Axis a, Axis b, Py_ssize_t t,
                                 Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t C = dy.shape[3], N = dy.shape[0], n, oh, ow
    cdef Span h, w
    for n in range(N * t // parts, N * (t + 1) // parts):
        memset(&dx[n, 0, 0, 0], 0, a.size * b.size * C * sizeof(real))
        for oh in range(dy.shape[1]):
            h = clip(a, oh)
            for ow in range(dy.shape[2]):
                w = clip(b, ow)
                max_window_back(&dy[n, oh, ow, 0], &winner[n, oh, ow, 0], window_of(h, w, a, b, C),
                                &dx[n, h.at, w.at, 0], C)


def max_pool_backward(
    const real[:, :, :, ::1] dy not None,       # IN (N, OH, OW, C)
    const tap[:, :, :, ::1] winner not None,    # IN (N, OH, OW, C): as max_pool wrote it
    real[:, :, :, ::1] dx not None,             # OUT (N, H, W, C), overwritten
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w,
    Py_ssize_t pad_top, Py_ssize_t pad_left, Py_ssize_t dilation_h, Py_ssize_t dilation_w, int n_threads,
):
    """The gradient goes to each window's winner; overlapping windows add, in the order of the windows."""
    cdef Axis a = Axis(dx.shape[1], KH, stride_h, pad_top, 0, dilation_h)
    cdef Axis b = Axis(dx.shape[2], KW, stride_w, pad_left, 0, dilation_w)
    cdef Py_ssize_t t
    expect_like("dy", dy.shape, winner.shape, 4)
    if n_threads == 1:
        with nogil:
            max_pool_backward_part(dy, winner, dx, a, b, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            max_pool_backward_part(dy, winner, dx, a, b, t, n_threads)


cdef void winner_to_argmax_part(const tap[:, :, :, ::1] winner, int64_t[:, :, :, ::1] argmax, Axis a, Axis b,
                                Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t OH = winner.shape[1], units = winner.shape[0] * OH, unit, n, oh, ow, c, start, row
    # a quotient by a product, because integers are divided one by one: half a tap away from every integer,
    # the rounding of a number below 2**31 cannot reach one
    cdef double inverse = 1.0 / b.kernel
    cdef Py_ssize_t next_row = a.dilation * b.size - b.kernel * b.dilation
    for unit in range(units * t // parts, units * (t + 1) // parts):
        n = unit // OH
        oh = unit % OH
        for ow in range(winner.shape[2]):
            start = (oh * a.stride - a.before) * b.size + ow * b.stride - b.before
            for c in range(winner.shape[3]):
                row = <int32_t>((winner[n, oh, ow, c] + 0.5) * inverse)
                argmax[n, oh, ow, c] = start + row * next_row + winner[n, oh, ow, c] * b.dilation


def winner_to_argmax(
    const tap[:, :, :, ::1] winner not None,    # IN (N, OH, OW, C): as max_pool wrote it
    int64_t[:, :, :, ::1] argmax not None,      # OUT (N, OH, OW, C), overwritten: h * W + w
    Py_ssize_t W, Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w,
    Py_ssize_t pad_top, Py_ssize_t pad_left, Py_ssize_t dilation_h, Py_ssize_t dilation_w, int n_threads,
):
    """The winners' places in the map in place of their numbers in the window."""
    cdef Axis a = Axis(0, KH, stride_h, pad_top, 0, dilation_h)
    cdef Axis b = Axis(W, KW, stride_w, pad_left, 0, dilation_w)
    cdef Py_ssize_t t
    if n_threads == 1:
        with nogil:
            winner_to_argmax_part(winner, argmax, a, b, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            winner_to_argmax_part(winner, argmax, a, b, t, n_threads)


cdef void argmax_scatter_part(const real[:, :, ::1] dy, const int64_t[:, :, ::1] argmax, real[:, :, ::1] dx,
                              Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t N = dy.shape[0], C = dy.shape[2], n, o, c
    for n in range(N * t // parts, N * (t + 1) // parts):
        memset(&dx[n, 0, 0], 0, dx.shape[1] * C * sizeof(real))
        for o in range(dy.shape[1]):
            for c in range(C):
                dx[n, argmax[n, o, c], c] += dy[n, o, c]


def argmax_scatter(
    const real[:, :, ::1] dy not None,          # IN (N, OH*OW, C)
    const int64_t[:, :, ::1] argmax not None,   # IN (N, OH*OW, C): places in the map, each in 0..H*W-1
    real[:, :, ::1] dx not None,                # OUT (N, H*W, C), overwritten
    int n_threads,
):
    """Gradient of max pooling from places in the map; places named twice add, in the order of the windows."""
    cdef Py_ssize_t t
    if n_threads == 1:
        with nogil:
            argmax_scatter_part(dy, argmax, dx, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            argmax_scatter_part(dy, argmax, dx, t, n_threads)


cdef void avg_pool_part(const real[:, :, :, ::1] x, real[:, :, :, ::1] y, Axis a, Axis b, bint include_pad,
                        Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t OH = y.shape[1], C = y.shape[3], units = y.shape[0] * OH
    cdef Py_ssize_t unit, n, oh, ow
    cdef Span h, w
    cdef pool_window p
    for unit in range(units * t // parts, units * (t + 1) // parts):
        n = unit // OH
        oh = unit % OH
        h = clip(a, oh)
        for ow in range(y.shape[2]):
            w = clip(b, ow)
            p = window_of(h, w, a, b, C)
            mean_window(&x[n, h.at, w.at, 0], p, cells(a, b, p, oh, ow, include_pad), &y[n, oh, ow, 0], C)


def avg_pool(
    const real[:, :, :, ::1] x not None,        # IN (N, H, W, C)
    real[:, :, :, ::1] y not None,              # OUT (N, OH, OW, C), overwritten
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w,
    Py_ssize_t pad_top, Py_ssize_t pad_left, Py_ssize_t pad_bottom, Py_ssize_t pad_right,
    bint include_pad, int n_threads,
):
    """Mean of each window's cells in the map; with include_pad the padding's zeros count as cells."""
    cdef Axis a = Axis(x.shape[1], KH, stride_h, pad_top, pad_bottom, 1)
    cdef Axis b = Axis(x.shape[2], KW, stride_w, pad_left, pad_right, 1)
    cdef Py_ssize_t t
    if n_threads == 1:
        with nogil:
            avg_pool_part(x, y, a, b, include_pad, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            avg_pool_part(x, y, a, b, include_pad, t, n_threads)


cdef void avg_pool_backward_part(const real[:, :, :, ::1] dy, real[:, :, :, ::1] dx, Axis a, Axis b,
                                 bint include_pad, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t N = dy.shape[0], C = dy.shape[3], n, oh, ow
    cdef Span h, w
    cdef pool_window p
    for n in range(N * t // parts, N * (t + 1) // parts):
        memset(&dx[n, 0, 0, 0], 0, a.size * b.size * C * sizeof(real))
        for oh in range(dy.shape[1]):
            h = clip(a, oh)
            for ow in range(dy.shape[2]):
                w = clip(b, ow)
                p = window_of(h, w, a, b, C)
                mean_window_back(&dy[n, oh, ow, 0], p, cells(a, b, p, oh, ow, include_pad),
                                 &dx[n, h.at, w.at, 0], C)


def avg_pool_backward(
    const real[:, :, :, ::1] dy not None,       # IN (N, OH, OW, C)
    real[:, :, :, ::1] dx not None,             # OUT (N, H, W, C), overwritten
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t stride_h, Py_ssize_t stride_w,
    Py_ssize_t pad_top, Py_ssize_t pad_left, Py_ssize_t pad_bottom, Py_ssize_t pad_right,
    bint include_pad, int n_threads,
):
    """Each window's gradient, divided by its count, goes to all its cells, in the order of the windows."""
    cdef Axis a = Axis(dx.shape[1], KH, stride_h, pad_top, pad_bottom, 1)
    cdef Axis b = Axis(dx.shape[2], KW, stride_w, pad_left, pad_right, 1)
    cdef Py_ssize_t t
    if n_threads == 1:
        with nogil:
            avg_pool_backward_part(dy, dx, a, b, include_pad, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            avg_pool_backward_part(dy, dx, a, b, include_pad, t, n_threads)


cdef void global_avg_pool_part(const real[:, :, :, ::1] x, real[:, ::1] y, Py_ssize_t t,
                               Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t N = x.shape[0], H = x.shape[1], W = x.shape[2], C = x.shape[3], n
    cdef pool_window p = pool_window(W * C, C, H, W, 0, W)
    for n in range(N * t // parts, N * (t + 1) // parts):
        mean_window(&x[n, 0, 0, 0], p, H * W, &y[n, 0], C)


def global_avg_pool(
    const real[:, :, :, ::1] x not None,        # IN (N, H, W, C)
    real[:, ::1] y not None,                    # OUT (N, C), overwritten
    int n_threads,
):
    """Mean of each plane: the sums of its rows, added from the top."""
    cdef Py_ssize_t t
    if n_threads == 1:
        with nogil:
            global_avg_pool_part(x, y, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            global_avg_pool_part(x, y, t, n_threads)


cdef void global_avg_pool_backward_part(const real[:, ::1] dy, real[:, :, :, ::1] dx, Py_ssize_t t,
                                        Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t H = dx.shape[1], W = dx.shape[2], C = dx.shape[3], units = dx.shape[0] * H
    cdef Py_ssize_t unit, n, h, w, c
    cdef real count = <real>(H * W)
    for unit in range(units * t // parts, units * (t + 1) // parts):
        n = unit // H
        h = unit % H
        for c in range(C):
            dx[n, h, 0, c] = dy[n, c] / count
        for w in range(1, W):
            for c in range(C):
                dx[n, h, w, c] = dx[n, h, 0, c]


def global_avg_pool_backward(
    const real[:, ::1] dy not None,             # IN (N, C)
    real[:, :, :, ::1] dx not None,             # OUT (N, H, W, C), overwritten
    int n_threads,
):
    """Each channel's gradient, divided by H * W, in every cell of its plane."""
    cdef Py_ssize_t t
    expect_matrix("dy", dy.shape, dx.shape[0], dx.shape[3])
    if n_threads == 1:
        with nogil:
            global_avg_pool_backward_part(dy, dx, 0, 1)
    else:
        for t in prange(n_threads, nogil=True, num_threads=n_threads, schedule="static"):
            global_avg_pool_backward_part(dy, dx, t, n_threads)
