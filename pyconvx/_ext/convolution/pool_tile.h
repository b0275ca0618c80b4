/* The register tile followed by a 2 x 2 max pool: the cells before the pool never leave the registers.
 *
 * A tile is some windows of a row of windows, four cells each, by some vectors of channels. A cell is summed
 * exactly as in microkernel.h. This is for layers with few products per cell (a first layer): storing their map and
 * reading it again takes as long as computing it.
 *
 * pool_tile.inc holds the code, included once for float and once for double.
 */
#ifndef PYCONVX_POOL_TILE_H
#define PYCONVX_POOL_TILE_H

#include <stdint.h>

#include "tile/microkernel.h"

#define REAL float
#define INT int32_t
#define NAME(name) name##_float
#include "convolution/pool_tile.inc"
#undef REAL
#undef INT
#undef NAME

#define REAL double
#define INT int64_t
#define NAME(name) name##_double
#include "convolution/pool_tile.inc"
#undef REAL
#undef INT
#undef NAME

#endif
