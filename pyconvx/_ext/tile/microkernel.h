/* The register tile that every convolution and dense layer runs on.
 *
 *     acc[m][v] = S[m*s_m + v] + sum over q < Q, r < R, t < T, in this order, of
 *                 A[q*a_q + r*a_r + t*a_t + m*a_m] * B[q*b_q + r*b_r + t*b_t + v]
 *     C[m*c_m + v] = acc[m][v]
 *
 * Only the strides differ from one use to the next; docs/internals/kernels.md lists them. Each cell has one
 * accumulator, which begins with the start value and gets one product per addition. So the result
 * depends neither on the tile's height and width nor on whether a sum is stored and continued,
 * and AVX2 and AVX-512 give the same bits.
 *
 * tile.inc holds the code, included once for float and once for double. S == C is allowed.
 */
#ifndef PYCONVX_MICROKERNEL_H
#define PYCONVX_MICROKERNEL_H

#include <stddef.h>
#include <string.h>

#include "tuning.h"

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

static const ptrdiff_t tallest[TILE_MAX_VECTORS + 1] = TILE_TALLEST;

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#define NOINLINE __attribute__((noinline))
#define MAYBE_UNUSED __attribute__((unused))
#define ALWAYS_INLINE inline __attribute__((always_inline))

typedef struct {
    ptrdiff_t T, R, Q;       /* lengths of the three sums, innermost first */
    ptrdiff_t a_t, a_r, a_q; /* strides of A along them, in elements */
    ptrdiff_t b_t, b_r, b_q; /* strides of B along them */
    ptrdiff_t a_m;           /* stride of A from one row of the tile to the next */
    ptrdiff_t c_m;           /* stride of C likewise */
    ptrdiff_t s_m;           /* stride of the start values; 0 repeats one row (a bias) */
} tile_args;

#define REAL float
#define NAME(name) name##_float
#include "tile/tile.inc"
#undef REAL
#undef NAME

#define REAL double
#define NAME(name) name##_double
#include "tile/tile.inc"
#undef REAL
#undef NAME

#endif
