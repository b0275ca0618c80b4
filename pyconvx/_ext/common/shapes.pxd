"""Checks of shapes and indices before a kernel runs: ValueError with what was expected and what came."""

from libc.stdint cimport int64_t


cdef inline int expect_row(str name, const Py_ssize_t *shape, Py_ssize_t n) except -1:
    if shape[0] != n:
        raise ValueError(f"{name} must have shape ({n},), got ({shape[0]},)")
    return 0


cdef inline int expect_matrix(str name, const Py_ssize_t *shape, Py_ssize_t n, Py_ssize_t m) except -1:
    if shape[0] != n or shape[1] != m:
        raise ValueError(f"{name} must have shape ({n}, {m}), got ({shape[0]}, {shape[1]})")
    return 0


cdef inline int expect_like(str name, const Py_ssize_t *shape, const Py_ssize_t *other, int ndim) except -1:
    cdef int i
    for i in range(ndim):
        if shape[i] != other[i]:
            expected, given = tuple([other[i] for i in range(ndim)]), tuple([shape[i] for i in range(ndim)])
            raise ValueError(f"{name} must have shape {expected}, got {given}")
    return 0


cdef inline int expect_below(str name, const int64_t *numbers, Py_ssize_t n, Py_ssize_t limit) except -1:
    """Refuse numbers that are no indices below the limit."""
    cdef Py_ssize_t i
    for i in range(n):
        if not 0 <= numbers[i] < limit:
            raise ValueError(f"{name} must be from 0 to {limit - 1}, got {numbers[i]} at {i}")
    return 0
