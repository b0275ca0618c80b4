/* Transposed copies of narrow blocks, four by four in registers if the compiler can shuffle vectors. */
#ifndef PYCONVX_TRANSPOSE_H
#define PYCONVX_TRANSPOSE_H

#include <stddef.h>

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define PYCONVX_SHUFFLES
#endif
#endif

#define REAL float
#define NAME(name) name##_float
#include "tile/transpose.inc"
#undef REAL
#undef NAME

#define REAL double
#define NAME(name) name##_double
#include "tile/transpose.inc"
#undef REAL
#undef NAME

#endif
