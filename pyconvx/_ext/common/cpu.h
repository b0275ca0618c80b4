/* What this processor offers, and OpenMP's own calls, in one place that is compiled for the baseline. */
#ifndef PYCONVX_CPU_H
#define PYCONVX_CPU_H

#ifdef _OPENMP
#include <omp.h>
#endif

/* The feature names are those that gcc and clang both accept; libgcc's test asks the
   operating system (XGETBV) too. */
static const char *cpu_level(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
          && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")))
        return "baseline";
    if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
          && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
          && __builtin_cpu_supports("avx512vl")))
        return "v3";
    return "v4";
#else
    return "baseline";
#endif
}

static int openmp_max_threads(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

static int openmp_version(void)
{
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}

/* A forked child inherits OpenMP's idea of its worker threads, but not the threads: its first parallel loop
   would wait for them for ever. Without a pool at the fork there is nothing to wait for. If the pool cannot be
   ended, the child stays on one thread: after a fork inside a parallel loop, and with clang's OpenMP (14), whose
   children wait in any case. */

/* Ends the pool; the next parallel loop makes a new one. 0 on success. */
static int openmp_release(void)
{
#if !defined(_OPENMP)
    return 0;
#elif defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 9
    return omp_pause_resource_all(omp_pause_soft);
#else
    return -1;
#endif
}

static int pool_at_fork = 0;

static void openmp_before_fork(void)
{
    pool_at_fork = openmp_release() != 0;
}

static void openmp_in_child(void)
{
#ifdef _OPENMP
    if (pool_at_fork)
        omp_set_max_active_levels(0);
#endif
}

#endif
