/* One pooling window over all its channels, for max_pool.pyx, avg_pool.pyx and pooled.pxd.

   lanes.inc holds the windows over a block of channels; here it is made for float and double, each in the widest
   vector of the level, in 16 bytes, and in one lane, and the three are run one after the other over the channels.
   Lanes are channels, so the width changes no bit. */
#ifndef PYCONVX_POOL_H
#define PYCONVX_POOL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define POOL_BYTES 64
#elif defined(__AVX2__)
#define POOL_BYTES 32
#else
#define POOL_BYTES 16
#endif

#define POOL_JOIN_(a, b) a##b
#define POOL_JOIN(a, b) POOL_JOIN_(a, b)

#define POOL_INLINE static inline __attribute__((always_inline))

/* The part of a window that lies inside the map: rows x columns taps, `row` and `column` elements apart. */
typedef struct {
    ptrdiff_t row, column, rows, columns;
    ptrdiff_t first, next_row; /* number of the first of these taps in the whole window; taps in a whole row */
} pool_window;

#define REAL float
#define INT int32_t
#define LANES (POOL_BYTES / 4)
#define NAME(function) wide_f32_##function
#include "pooling/lanes.inc"
#define LANES 4
#define NAME(function) narrow_f32_##function
#include "pooling/lanes.inc"
#define LANES 1
#define NAME(function) one_f32_##function
#include "pooling/lanes.inc"
#undef REAL
#undef INT

#define REAL double
#define INT int64_t
#define LANES (POOL_BYTES / 8)
#define NAME(function) wide_f64_##function
#include "pooling/lanes.inc"
#define LANES 2
#define NAME(function) narrow_f64_##function
#include "pooling/lanes.inc"
#define LANES 1
#define NAME(function) one_f64_##function
#include "pooling/lanes.inc"
#undef REAL
#undef INT

#define POOL_CHANNELS(REAL, function, ...)                                                                 \
    ptrdiff_t c = 0;                                                                                       \
    for (; c + (ptrdiff_t)(POOL_BYTES / sizeof(REAL)) <= C; c += (ptrdiff_t)(POOL_BYTES / sizeof(REAL)))   \
        wide_##function(__VA_ARGS__, c);                                                                   \
    for (; c + (ptrdiff_t)(16 / sizeof(REAL)) <= C; c += (ptrdiff_t)(16 / sizeof(REAL)))                   \
        narrow_##function(__VA_ARGS__, c);                                                                 \
    for (; c < C; c++)                                                                                     \
        one_##function(__VA_ARGS__, c)

#define POOL_MEAN(REAL, TYPE)                                                                             \
    static inline void pool_mean_##TYPE(const REAL *x, pool_window w, REAL count, REAL *y, ptrdiff_t C)   \
    {                                                                                                     \
        POOL_CHANNELS(REAL, TYPE##_mean, x, w, count, y);                                                 \
    }                                                                                                     \
    static inline void pool_mean_back_##TYPE(const REAL *dy, pool_window w, REAL count, REAL *dx, ptrdiff_t C) \
    {                                                                                                     \
        POOL_CHANNELS(REAL, TYPE##_mean_back, dy, w, count, dx);                                          \
    }

/* The commonest window, 2 x 2, gets its own copy: with known bounds the loops over taps are unrolled. */
#define POOL_MAX(REAL, TYPE, TAP, SHORT)                                                                  \
    static inline void pool_max_##TYPE##_##SHORT(const REAL *x, pool_window w, REAL *y, TAP *winner, ptrdiff_t C) \
    {                                                                                                     \
        if (w.rows == 2 && w.columns == 2) {                                                              \
            w.rows = w.columns = 2;                                                                       \
            POOL_CHANNELS(REAL, TYPE##_max_##SHORT, x, w, y, winner);                                     \
        } else {                                                                                          \
            POOL_CHANNELS(REAL, TYPE##_max_##SHORT, x, w, y, winner);                                     \
        }                                                                                                 \
    }                                                                                                     \
    static inline void pool_max_back_##TYPE##_##SHORT(const REAL *dy, const TAP *winner, pool_window w,   \
                                                      REAL *dx, ptrdiff_t C)                              \
    {                                                                                                     \
        if (w.rows == 2 && w.columns == 2) {                                                              \
            w.rows = w.columns = 2;                                                                       \
            POOL_CHANNELS(REAL, TYPE##_max_back_##SHORT, dy, winner, w, dx);                              \
        } else {                                                                                          \
            POOL_CHANNELS(REAL, TYPE##_max_back_##SHORT, dy, winner, w, dx);                              \
        }                                                                                                 \
    }

/* A row of windows; `step` leads from one to the next in dy and winner, `dx_step` in dx. */
#define POOL_SPREAD(REAL, TYPE)                                                                           \
    static inline void pool_spread_##TYPE##_u8(const REAL *dy, const uint8_t *winner, pool_window w,      \
                                               ptrdiff_t windows, ptrdiff_t step, ptrdiff_t dx_step,      \
                                               REAL *dx, ptrdiff_t C)                                     \
    {                                                                                                     \
        if (w.rows == 2 && w.columns == 2) {                                                              \
            w.rows = w.columns = w.next_row = 2;                                                          \
            POOL_CHANNELS(REAL, TYPE##_spread_u8, dy, winner, w, windows, step, dx_step, dx);             \
        } else {                                                                                          \
            POOL_CHANNELS(REAL, TYPE##_spread_u8, dy, winner, w, windows, step, dx_step, dx);             \
        }                                                                                                 \
    }

POOL_MEAN(float, f32)
POOL_MEAN(double, f64)
POOL_MAX(float, f32, uint8_t, u8)
POOL_MAX(float, f32, int32_t, i32)
POOL_MAX(double, f64, uint8_t, u8)
POOL_MAX(double, f64, int32_t, i32)
POOL_SPREAD(float, f32)
POOL_SPREAD(double, f64)

#endif
