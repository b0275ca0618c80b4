/* exp, log, tanh, ... as straight-line code for float and double, which a compiler vectorises in a
 * plain loop. No libm: its results differ between machines and its calls stop vectorisation.
 *
 * Every addition holds at most one product, so that contraction to FMA is unambiguous and AVX2 and
 * AVX-512 give equal bits. NaN stays NaN, limits at the infinities are right, subnormals are kept.
 *
 * Largest error found, in ulp, at any level: every float from 2^-12 to 120 and millions of doubles
 * against the next longer type, normal_cdf in double against mpmath (tests/_ext/test_vmath.py holds a sample
 * to these bounds):
 *
 *                  float   double
 *   exp            0.9     0.8
 *   expm1_neg      1.2     1.2
 *   log            1.0     1.4
 *   tanh           2.5     2.6
 *   sigmoid        1.8     1.7
 *   softplus       2.1     1.9
 *   normal_cdf     4.1     3.5
 *
 * exp, expm1_neg and tanh never fall where x rises; sigmoid, softplus and normal_cdf may, by an ulp.
 * The polynomials are derived in docs/internals/polynomials.py.
 */
#ifndef PYCONVX_VMATH_H
#define PYCONVX_VMATH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arith.h"
#include "elementwise/vmath_coefficients.h"

/* VM(exp) is vm_exp_float or vm_exp_double, VM_OF(VM_EXP) is VM_EXP_float or VM_EXP_double */
#define VM_JOIN_(a, b) a##_##b
#define VM_JOIN(a, b) VM_JOIN_(a, b)
#define VM(name) VM_JOIN(vm_##name, REAL)
#define VM_OF(name) VM_JOIN(name, REAL)

/* In front of a loop whose arrays are the same or apart: no run-time test for overlap. */
#if defined(__clang__)
#define VM_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define VM_LOOP _Pragma("GCC ivdep")
#endif

typedef union { float real; uint32_t bits; } vm_pun_float;
typedef union { double real; uint64_t bits; } vm_pun_double;

#define VM_ABS_float(x) fabsf(x)
#define VM_ABS_double(x) fabs(x)
#define VM_COPYSIGN_float(x, y) copysignf(x, y)
#define VM_COPYSIGN_double(x, y) copysign(x, y)
#define VM_FMA_float(a, b, c) pyconvx_fmaf(a, b, c)
#define VM_FMA_double(a, b, c) pyconvx_fma(a, b, c)

/* mantissa bits, exponent bias; 2^SHIFT and 1.5 * 2^SHIFT */
#define VM_SHIFT_float 23
#define VM_SHIFT_double 52
#define VM_BIAS_float UINT32_C(127)
#define VM_BIAS_double UINT64_C(1023)
#define VM_TWO_SHIFT_float 0x1p23f
#define VM_TWO_SHIFT_double 0x1p52
#define VM_ROUNDER_float 0x1.8p23f
#define VM_ROUNDER_double 0x1.8p52
/* the upper half of the mantissa: its square is exact */
#define VM_UPPER_float UINT32_C(0xfffff000)
#define VM_UPPER_double UINT64_C(0xfffffffff8000000)
/* exp is 0 below LOW and infinite above HIGH; e^x - 1 is -1 below EXPM1_LOW */
#define VM_LOW_float -105
#define VM_LOW_double -750
#define VM_HIGH_float 89
#define VM_HIGH_double 710
#define VM_EXPM1_LOW_float -20
#define VM_EXPM1_LOW_double -40
/* the normal tail is 0 beyond */
#define VM_NORMAL_END_float 15
#define VM_NORMAL_END_double 39
/* the smallest normal number, and a power of two that lifts subnormals above it */
#define VM_SMALLEST_float 0x1p-126f
#define VM_SMALLEST_double 0x1p-1022
#define VM_LIFT_float 25
#define VM_LIFT_double 54
#define VM_TWO_LIFT_float 0x1p25f
#define VM_TWO_LIFT_double 0x1p54
#define VM_SQRT_HALF_BITS_float UINT32_C(0x3f3504f3)
#define VM_SQRT_HALF_BITS_double UINT64_C(0x3fe6a09e667f3bcd)

#define REAL float
#include "elementwise/vmath.inc"
#undef REAL
#define REAL double
#include "elementwise/vmath.inc"
#undef REAL

#endif
