/* squareplus(x) = (x + sqrt(x^2 + 4)) / 2 for float and double.
 *
 * Both functions are free of branches, calls and cancellation, and add at most one product at a time, so
 * that they vectorise, keep their relative accuracy, and give the same bits with AVX2 and AVX-512.
 */
#include <math.h>

#include "functions.h"

/* One version per instruction set, and the loader chooses; other compilers make the plain one. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && __GNUC__ >= 12
#define EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EACH_CPU
#endif

/* x and y may be the same array; otherwise nothing overlaps, so the compiler need not test for it. */
#if defined(__GNUC__) && !defined(__clang__)
#define SAME_OR_APART _Pragma("GCC ivdep")
#else
#define SAME_OR_APART
#endif

/* (x + sqrt(x^2 + 4)) / 2 = max(x, 0) + 2 / (sqrt(x^2 + 4) + |x|) */
#define VALUE(NAME, T, SQRT, ABS)                                               \
    EACH_CPU void NAME(const T *x, T *y, ptrdiff_t n)                           \
    {                                                                           \
        SAME_OR_APART                                                           \
        for (ptrdiff_t i = 0; i < n; i++) {                                     \
            T root = SQRT(x[i] * x[i] + 4);                                     \
            y[i] = (x[i] > 0 ? x[i] : 0) + 2 / (root + ABS(x[i]));              \
        }                                                                       \
    }

/* y^2 - x y = 1, hence f'(x) = 1 / (1 + 1 / y^2): the output alone gives it */
#define DERIVATIVE(NAME, T)                                                     \
    EACH_CPU void NAME(const T *y, const T *dy, T *dx, ptrdiff_t n)             \
    {                                                                           \
        SAME_OR_APART                                                           \
        for (ptrdiff_t i = 0; i < n; i++) {                                     \
            T inverse = 1 / y[i];                                               \
            dx[i] = dy[i] / (inverse * inverse + 1);                            \
        }                                                                       \
    }

VALUE(squareplus_float, float, sqrtf, fabsf)
VALUE(squareplus_double, double, sqrt, fabs)
DERIVATIVE(squareplus_gradient_float, float)
DERIVATIVE(squareplus_gradient_double, double)

const pyconvx_activation SQUAREPLUS = {
    .abi = PYCONVX_ACTIVATION_ABI,
    .flags = PYCONVX_FROM_OUTPUT | PYCONVX_NON_DECREASING,
    .f_float = squareplus_float,
    .df_float = squareplus_gradient_float,
    .f_double = squareplus_double,
    .df_double = squareplus_gradient_double,
};
