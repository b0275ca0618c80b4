/* The interface of a compiled activation.
 *
 * A plugin fills one pyconvx_activation and hands it over in a PyCapsule whose name is
 * PYCONVX_ACTIVATION_TAG. The functions are called per row, without the GIL, from any
 * thread; input and output may be the same array.
 *
 *   f (x, y, n)       y[i]  = f(x[i])
 *   df(v, dy, dx, n)  dx[i] = dy[i] * f'(x[i])
 *                     v is the output y where PYCONVX_FROM_OUTPUT is set, else the input x
 */
#ifndef PYCONVX_ACTIVATION_H
#define PYCONVX_ACTIVATION_H

#include <stddef.h>
#include <stdint.h>

#define PYCONVX_ACTIVATION_TAG "pyconvx.activation.v1"
#define PYCONVX_ACTIVATION_ABI 1u

#define PYCONVX_FROM_OUTPUT 1u    /* f' follows from the output */
#define PYCONVX_NON_DECREASING 2u /* x <= x' implies f(x) <= f(x') */

typedef struct {
    uint32_t abi;   /* PYCONVX_ACTIVATION_ABI */
    uint32_t flags;
    void (*f_float)(const float *x, float *y, ptrdiff_t n);
    void (*df_float)(const float *v, const float *dy, float *dx, ptrdiff_t n);
    void (*f_double)(const double *x, double *y, ptrdiff_t n);
    void (*df_double)(const double *v, const double *dy, double *dx, ptrdiff_t n);
} pyconvx_activation;

#endif
