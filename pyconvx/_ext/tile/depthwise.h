/* Depthwise convolution, which has no sum over channels and so no register tile, and its gradient;
 * depthwise.inc holds the code, included once for float and once for double. */
#ifndef PYCONVX_DEPTHWISE_H
#define PYCONVX_DEPTHWISE_H

#include "tile/microkernel.h"

#define PREFETCH(address) __builtin_prefetch(address)

#define REAL float
#define NAME(name) name##_float
#include "tile/depthwise.inc"
#undef REAL
#undef NAME

#define REAL double
#define NAME(name) name##_double
#include "tile/depthwise.inc"
#undef REAL
#undef NAME

#endif
