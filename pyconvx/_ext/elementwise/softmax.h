/* softmax and log_softmax of one row, for float and double.
 *
 * Sums run through 16 partial sums, one for each column modulo 16, added in order at the end:
 * the same order for any vector width. A row with a NaN or +infinity becomes NaN.
 */
#ifndef PYCONVX_SOFTMAX_H
#define PYCONVX_SOFTMAX_H

#include "elementwise/vmath.h"

#define REAL float
#include "elementwise/softmax.inc"
#undef REAL
#define REAL double
#include "elementwise/softmax.inc"
#undef REAL

#endif
