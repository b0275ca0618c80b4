"""The instruction-set level that a module is compiled for; setup.py defines it."""

cdef extern from *:
    const char *PYCONVX_LEVEL
