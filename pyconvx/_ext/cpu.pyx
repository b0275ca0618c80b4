"""The processor's instruction-set level and OpenMP's limits; compiled for the baseline only."""

cdef extern from "common/cpu.h" nogil:
    const char *cpu_level()
    int openmp_max_threads()
    int openmp_version()
    void openmp_before_fork()
    void openmp_in_child()


def level():
    """Return the highest level that this processor runs: "baseline", "v3" or "v4"."""
    return cpu_level().decode()


def max_threads():
    """Return OpenMP's own limit at the time of the call; 1 without OpenMP."""
    return openmp_max_threads()


def openmp():
    """Return OpenMP's version as the compiler states it, such as 201511; 0 without OpenMP."""
    return openmp_version()


def before_fork():
    """End the worker threads before a fork, so that the child does not wait for threads that it does not have."""
    openmp_before_fork()


def in_child():
    """Stay on one thread in a forked child if its parent could not end its worker threads."""
    openmp_in_child()
