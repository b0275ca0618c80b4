"""The processor's instruction-set level and OpenMP's limits; compiled for the baseline only."""

cdef extern from "cpu.h" nogil:
    const char *cpu_level()
    int openmp_max_threads()
    int openmp_version()
    int openmp_release()


def level():
    """The highest level that this processor runs: "baseline", "v3" or "v4"."""
    return cpu_level().decode()


def max_threads():
    """OpenMP's own limit at the time of the call; 1 without OpenMP."""
    return openmp_max_threads()


def openmp():
    """OpenMP's version as the compiler states it, such as 201511; 0 without OpenMP."""
    return openmp_version()


def release_threads():
    """End the worker threads, so that a fork has none to lose; True on success."""
    return openmp_release() == 0
