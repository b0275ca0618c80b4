/* Winograd's F(2x2, 3x3) of Lavin and Gray (CVPR 2016): four outputs of a 3x3 convolution from a patch of
 * 4x4 pixels with 16 products instead of 36. With
 *
 *     B' = 1  0 -1  0      G = 1    0   0       A' = 1  1  1  0
 *          0  1  1  0          1/2  1/2 1/2          0  1 -1 -1
 *          0 -1  1  0          1/2 -1/2 1/2
 *          0  1  0 -1          0    0   1
 *
 *     y = A' [(G g G') . (B' d B)] A       sums over channels are matrix products, one for each of the 16
 *     dM = A dy A',  dV = dM U',  dd = B dV B'   and   dU = V' dM,  dg = G' dU G   are the adjoints
 *
 * Transforms only add, in the order written here, and halve, which is exact: all levels give the same bits.
 * winograd.inc holds the code, included once for float and once for double.
 */
#ifndef PYCONVX_WINOGRAD_H
#define PYCONVX_WINOGRAD_H

#include "tile/microkernel.h"

#define REAL float
#define NAME(name) name##_float
#include "winograd/winograd.inc"
#undef REAL
#undef NAME

#define REAL double
#define NAME(name) name##_double
#include "winograd/winograd.inc"
#undef REAL
#undef NAME

#endif
