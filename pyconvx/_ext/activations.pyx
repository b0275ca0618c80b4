"""Compiled activations: by name, from plugins, over flat arrays, and after the sum of two arrays.

Each number is computed on its own: the same bits for any number of threads.
"""

from cpython.pycapsule cimport PyCapsule_New
from cython.parallel cimport prange

from pyconvx._ext.common.activation cimport (
    PYCONVX_ACTIVATION_ABI, PYCONVX_ACTIVATION_TAG, PYCONVX_FROM_OUTPUT, PYCONVX_NON_DECREASING, functions_in,
    functions_of, pyconvx_activation,
)
from pyconvx._ext.common.level cimport PYCONVX_LEVEL
from pyconvx._ext.common.real cimport real
from pyconvx._ext.common.shapes cimport expect_row
from pyconvx._ext.common.threads cimport useful_threads
from pyconvx._ext.tuning cimport ACTIVATION_CHUNK

cdef extern from "elementwise/activations.h" nogil:
    ctypedef struct named_activation:
        const char *name
    const named_activation *BUILT_INS
    const Py_ssize_t N_BUILT_INS
    const pyconvx_activation *find_built_in(const char *name)

LEVEL = PYCONVX_LEVEL.decode()
TAG = PYCONVX_ACTIVATION_TAG.decode()
ABI = PYCONVX_ACTIVATION_ABI
FROM_OUTPUT = PYCONVX_FROM_OUTPUT
NON_DECREASING = PYCONVX_NON_DECREASING
NAMES = tuple([BUILT_INS[i].name.decode() for i in range(N_BUILT_INS)])


def capsule(name):
    """Return the capsule of a built-in activation; KeyError for any other name."""
    cdef bytes key = name.encode()
    cdef const pyconvx_activation *found = find_built_in(key)
    if found == NULL:
        raise KeyError(name)
    return PyCapsule_New(<void *> found, PYCONVX_ACTIVATION_TAG, NULL)


def check_capsule(candidate):
    """Raise TypeError unless the object is a capsule that the kernels can call."""
    cdef const pyconvx_activation *a = functions_of(candidate)
    if a.abi != PYCONVX_ACTIVATION_ABI:
        raise TypeError(f"the {TAG!r} capsule has ABI {a.abi}, this pyconvx needs {ABI}: rebuild the plugin")
    present = {"f_float": a.f_float != NULL, "df_float": a.df_float != NULL,
               "f_double": a.f_double != NULL, "df_double": a.df_double != NULL}
    missing = [name for name, there in present.items() if not there]
    if missing:
        raise TypeError(f"the {TAG!r} capsule lacks {', '.join(missing)}: NULL")


def flags(capsule):
    """Return FROM_OUTPUT and NON_DECREASING, or-ed."""
    return functions_of(capsule).flags


cdef void forward_part(const pyconvx_activation *a, const real *x, real *y, Py_ssize_t n,
                       Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t chunks = (n + ACTIVATION_CHUNK - 1) // ACTIVATION_CHUNK, i, start, size
    for i in range(chunks * t // parts, chunks * (t + 1) // parts):
        start = i * ACTIVATION_CHUNK
        size = min(ACTIVATION_CHUNK, n - start)
        if real is float:
            a.f_float(x + start, y + start, size)
        else:
            a.f_double(x + start, y + start, size)


def forward(
    object capsule,                 # IN
    const real[::1] x not None,     # IN  (n,)
    real[::1] y not None,           # OUT (n,) overwritten; may be x
    Py_ssize_t n_threads,
):
    """y = f(x)"""
    cdef const pyconvx_activation *a = functions_of(capsule)
    cdef Py_ssize_t n = x.shape[0], t, threads = useful_threads(n, n_threads)
    if n == 0:
        return
    if threads == 1:
        with nogil:
            forward_part(a, &x[0], &y[0], n, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            forward_part(a, &x[0], &y[0], n, t, threads)


cdef void backward_part(const pyconvx_activation *a, const real *v, const real *dy, real *dx, Py_ssize_t n,
                        Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t chunks = (n + ACTIVATION_CHUNK - 1) // ACTIVATION_CHUNK, i, start, size
    for i in range(chunks * t // parts, chunks * (t + 1) // parts):
        start = i * ACTIVATION_CHUNK
        size = min(ACTIVATION_CHUNK, n - start)
        if real is float:
            a.df_float(v + start, dy + start, dx + start, size)
        else:
            a.df_double(v + start, dy + start, dx + start, size)


def backward(
    object capsule,                 # IN
    const real[::1] v not None,     # IN  (n,) y if the flags have FROM_OUTPUT, else x
    const real[::1] dy not None,    # IN  (n,)
    real[::1] dx not None,          # OUT (n,) overwritten; may be v or dy
    Py_ssize_t n_threads,
):
    """dx = dy f'(x)"""
    cdef const pyconvx_activation *a = functions_of(capsule)
    cdef Py_ssize_t n = v.shape[0], t, threads = useful_threads(n, n_threads)
    expect_row("dy, flat,", dy.shape, n)
    if n == 0:
        return
    if threads == 1:
        with nogil:
            backward_part(a, &v[0], &dy[0], &dx[0], n, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            backward_part(a, &v[0], &dy[0], &dx[0], n, t, threads)


cdef void add_part(const real *x, const real *y, real *out, real *activated, const pyconvx_activation *a,
                   Py_ssize_t n, Py_ssize_t t, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t chunks = (n + ACTIVATION_CHUNK - 1) // ACTIVATION_CHUNK, i, j, start, size
    for i in range(chunks * t // parts, chunks * (t + 1) // parts):
        start = i * ACTIVATION_CHUNK
        size = min(ACTIVATION_CHUNK, n - start)
        for j in range(start, start + size):
            out[j] = x[j] + y[j]
        if a == NULL:
            continue
        if real is float:
            a.f_float(out + start, activated + start, size)
        else:
            a.f_double(out + start, activated + start, size)


def add(
    const real[::1] x not None,     # IN  (n,)
    const real[::1] y not None,     # IN  (n,)
    real[::1] out not None,         # OUT (n,) overwritten; may be x or y
    real[::1] activated,            # OUT (n,) activation of out; may be out; None without one
    object activation,              # IN  capsule, or None
    Py_ssize_t n_threads,
):
    """out = x + y; activated = f(out)"""
    cdef const pyconvx_activation *a = functions_in(activation)
    cdef Py_ssize_t n = x.shape[0], t, threads = useful_threads(n, n_threads)
    cdef real *result = NULL
    if n == 0:
        return
    if activation is not None:
        result = &activated[0]
    if threads == 1:
        with nogil:
            add_part(&x[0], &y[0], &out[0], result, a, n, 0, 1)
    else:
        for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            add_part(&x[0], &y[0], &out[0], result, a, n, t, threads)
