/* The table of built-in compiled activations, in the form that plugins use (pyconvx/activation.h).
 *
 * To add one: NAME_f and NAME_df in activations.inc, a line in ACTIVATION_LIST and one in the table.
 */
#ifndef PYCONVX_ACTIVATIONS_H
#define PYCONVX_ACTIVATIONS_H

#include <string.h>

#include "pyconvx/activation.h"
#include "elementwise/vmath.h"

#define ACTIVATION_LIST(DO)                                                                    \
    DO(identity) DO(relu) DO(leaky_relu) DO(relu6) DO(elu) DO(selu) DO(gelu) DO(gelu_tanh)     \
    DO(silu) DO(hard_swish) DO(mish) DO(softplus) DO(softsign) DO(tanh) DO(sigmoid)            \
    DO(hard_sigmoid) DO(hard_tanh)

#define REAL float
#include "elementwise/activations.inc"
#undef REAL
#define REAL double
#include "elementwise/activations.inc"
#undef REAL

typedef struct {
    const char *name;
    pyconvx_activation functions;
} named_activation;

#define BUILT_IN(name, flags)                                                                  \
    { #name, { PYCONVX_ACTIVATION_ABI, flags, act_##name##_rows_float,                         \
               act_##name##_gradient_float, act_##name##_rows_double,                          \
               act_##name##_gradient_double } }

/* NON_DECREASING is meant up to rounding: sigmoid and softplus may step down by an ulp. */
static const named_activation BUILT_INS[] = {
    BUILT_IN(identity, PYCONVX_FROM_OUTPUT | PYCONVX_NON_DECREASING),
    BUILT_IN(relu, PYCONVX_FROM_OUTPUT | PYCONVX_NON_DECREASING),
    BUILT_IN(leaky_relu, PYCONVX_FROM_OUTPUT | PYCONVX_NON_DECREASING),
    BUILT_IN(relu6, PYCONVX_FROM_OUTPUT | PYCONVX_NON_DECREASING),
    BUILT_IN(elu, PYCONVX_FROM_OUTPUT | PYCONVX_NON_DECREASING),
    BUILT_IN(selu, PYCONVX_FROM_OUTPUT | PYCONVX_NON_DECREASING),
    BUILT_IN(gelu, 0),
    BUILT_IN(gelu_tanh, 0),
    BUILT_IN(silu, 0),
    BUILT_IN(hard_swish, 0),
    BUILT_IN(mish, 0),
    BUILT_IN(softplus, PYCONVX_FROM_OUTPUT | PYCONVX_NON_DECREASING),
    BUILT_IN(softsign, PYCONVX_NON_DECREASING),
    BUILT_IN(tanh, PYCONVX_FROM_OUTPUT | PYCONVX_NON_DECREASING),
    BUILT_IN(sigmoid, PYCONVX_FROM_OUTPUT | PYCONVX_NON_DECREASING),
    BUILT_IN(hard_sigmoid, PYCONVX_FROM_OUTPUT | PYCONVX_NON_DECREASING),
    BUILT_IN(hard_tanh, PYCONVX_FROM_OUTPUT | PYCONVX_NON_DECREASING),
};
#define N_BUILT_INS ((ptrdiff_t)(sizeof BUILT_INS / sizeof BUILT_INS[0]))

static const pyconvx_activation *find_built_in(const char *name)
{
    for (ptrdiff_t i = 0; i < N_BUILT_INS; i++)
        if (strcmp(BUILT_INS[i].name, name) == 0)
            return &BUILT_INS[i].functions;
    return NULL;
}

#endif
