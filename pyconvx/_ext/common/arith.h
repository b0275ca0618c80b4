/* One rounding for a product and an addition, on every level that has the instruction.

   Where two products meet in one addition (a*b + c*d) the compiler may fuse either; written
   through these, the same one is fused everywhere and levels v3 and v4 give the same bits. */
#ifndef PYCONVX_ARITH_H
#define PYCONVX_ARITH_H

#if defined(__FMA__) || defined(__FP_FAST_FMA) || defined(__aarch64__)
#define PYCONVX_FMAF(a, b, c) __builtin_fmaf(a, b, c)
#define PYCONVX_FMA(a, b, c) __builtin_fma(a, b, c)
#else /* a libm call per element otherwise; without the instruction nothing can be fused */
#define PYCONVX_FMAF(a, b, c) ((a) * (b) + (c))
#define PYCONVX_FMA(a, b, c) ((a) * (b) + (c))
#endif

static inline float pyconvx_fmaf(float a, float b, float c) { return PYCONVX_FMAF(a, b, c); }
static inline double pyconvx_fma(double a, double b, double c) { return PYCONVX_FMA(a, b, c); }

#endif
