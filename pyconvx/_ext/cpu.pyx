"""The processor's instruction-set level and OpenMP's limits; compiled for the baseline only."""

cdef extern from "common/cpu.h" nogil:
    const char *cpu_level()
    int openmp_max_threads()
    int openmp_version()
    void openmp_before_fork()
    void openmp_in_child()


def level():
    """The highest level that this processor runs: "baseline", "v3" or "v4"."""
    return cpu_level().decode()


def max_threads():
    """OpenMP's own limit at the time of the call; 1 without OpenMP."""
    return openmp_max_threads()


def openmp():
    """OpenMP's version as the compiler states it, such as 201511; 0 without OpenMP."""
    return openmp_version()


def before_fork():
    """End the worker threads, so that a fork has none to lose."""
    openmp_before_fork()


def in_child():
    """Stay on one thread in a forked child whose parent could not end them."""
    openmp_in_child()
