/* The loops of batch normalisation over rows of C channels.
 *
 * Rows are taken several at a time, as one row of `norm_width(C)` numbers: a sum of few channels would
 * otherwise wait for its own last addition. The parts of a channel's sum are added in order at the end.
 */
#ifndef PYCONVX_NORM_H
#define PYCONVX_NORM_H

#include <stddef.h>
#include <string.h>

#include "pyconvx/activation.h"
#include "tuning.h"

static inline ptrdiff_t norm_width(ptrdiff_t C) { return C < NORM_WIDTH ? NORM_WIDTH / C * C : C; }

/* Adds the parts of sums, `width` numbers, to the first C of them. */
static inline void norm_fold(double *sums, ptrdiff_t width, ptrdiff_t C)
{
    for (ptrdiff_t i = C; i < width; i += C)
        for (ptrdiff_t c = 0; c < C; c++)
            sums[c] += sums[i + c];
}

#define REAL float
#define NAME(name) name##_float
#include "elementwise/norm.inc"
#undef REAL
#undef NAME

#define REAL double
#define NAME(name) name##_double
#include "elementwise/norm.inc"
#undef REAL
#undef NAME

#endif
