cdef extern from *:
    """
    #ifndef PYCONVX_LEVEL
    #define PYCONVX_LEVEL "baseline"
    #endif
    """
    const char *PYCONVX_LEVEL

LEVEL = PYCONVX_LEVEL.decode()
