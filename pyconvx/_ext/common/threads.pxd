"""How many threads a loop over single numbers or rows takes."""

from pyconvx._ext.tuning cimport ELEMENTWISE_ONE_THREAD


cdef inline Py_ssize_t useful_threads(Py_ssize_t size, Py_ssize_t n_threads) noexcept nogil:
    """One thread for so few numbers that starting a second costs more than it saves."""
    return 1 if size < ELEMENTWISE_ONE_THREAD else n_threads
