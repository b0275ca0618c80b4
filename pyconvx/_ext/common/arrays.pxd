"""The arrays that a plan's run takes: what each of them has to be, checked whenever its memory is taken.

A plan describes its arrays once; a run then needs some 40 ns for each of them, and nothing that Python passes can
lead a loop beyond an array's end.
"""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)


cdef struct ArraySpec:
    const char *name
    char format               # as in the buffer protocol: f, d, B for uint8; i for signed integers of any size
    Py_ssize_t itemsize
    bint written
    int ndim
    Py_ssize_t[4] shape


cdef inline ArraySpec array_spec(const char *name, Py_ssize_t itemsize, bint written, Py_ssize_t a, Py_ssize_t b,
                                 Py_ssize_t c, Py_ssize_t d) noexcept:
    """Describe a C-contiguous array of uint8 (1), float32 (4) or float64 (8); a length of -1 is no axis."""
    cdef ArraySpec spec
    spec.name, spec.itemsize, spec.written = name, itemsize, written
    spec.format = c"B" if itemsize == 1 else c"f" if itemsize == 4 else c"d"
    spec.shape = [a, b, c, d]
    spec.ndim = 1 if b < 0 else 2 if c < 0 else 3 if d < 0 else 4
    return spec


cdef inline ArraySpec integer_spec(const char *name, Py_ssize_t itemsize, bint written, Py_ssize_t a, Py_ssize_t b,
                                   Py_ssize_t c, Py_ssize_t d) noexcept:
    """Describe the same of uint8 (1), int32 (4) or int64 (8)."""
    cdef ArraySpec spec = array_spec(name, itemsize, written, a, b, c, d)
    if itemsize > 1:
        spec.format = c"i"
    return spec


cdef inline bint holds(const Py_buffer *view, const ArraySpec *spec) noexcept:
    """Whether the numbers are of the type described."""
    cdef char kind = view.format[0]
    if kind == c"l" or kind == c"q":    # the letter of an int64 depends on the platform
        kind = c"i"
    return kind == spec.format and view.format[1] == 0 and view.itemsize == spec.itemsize


cdef inline void *data_of(object array, const ArraySpec *spec) except? NULL:
    """Return the memory of an array, which outlives the call; an error if the array is not as described."""
    cdef Py_buffer view
    cdef bint fits
    cdef int i
    cdef void *data
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (PyBUF_WRITABLE if spec.written else 0))
    fits = view.ndim == spec.ndim and holds(&view, spec)
    if fits:
        for i in range(spec.ndim):
            fits = fits and view.shape[i] == spec.shape[i]
    data = view.buf
    PyBuffer_Release(&view)
    if not fits:
        refuse(array, spec)
    return data


cdef inline void *data_or_null(object array, const ArraySpec *spec) except? NULL:
    """Return the same, or NULL for None."""
    return NULL if array is None else data_of(array, spec)


cdef inline int refuse(object array, const ArraySpec *spec) except -1:
    """Tell what the array should have been."""
    expected = tuple([spec.shape[i] for i in range(spec.ndim)])
    kind = f"{'uint' if spec.format == c'B' else 'int' if spec.format == c'i' else 'float'}{8 * spec.itemsize}"
    raise ValueError(f"{spec.name.decode()} must have shape {expected} and hold {kind}, "
                     f"got {array.shape} of {array.dtype}")


cdef inline void *scratch_of(object array, const ArraySpec *spec) except? NULL:
    """Return the memory of a flat array of at least so many numbers."""
    cdef Py_buffer view
    cdef bint fits
    cdef void *data
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
    fits = view.ndim == 1 and holds(&view, spec) and view.shape[0] >= spec.shape[0]
    data = view.buf
    PyBuffer_Release(&view)
    if not fits:
        raise ValueError(f"scratch must hold {spec.shape[0]} numbers or more, got {array.shape} of {array.dtype}")
    return data
