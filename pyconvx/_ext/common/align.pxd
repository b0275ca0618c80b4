"""Offsets in scratch memory that keep what follows aligned."""


cdef inline Py_ssize_t whole_lines(Py_ssize_t numbers) noexcept nogil:
    """`numbers` rounded up to whole cache lines of 64 bytes, counted as numbers of at least 4 bytes."""
    return (numbers + 15) // 16 * 16
