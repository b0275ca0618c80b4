"""Runs every kernel on arrays beside pages that nobody may touch: one number too far ends the process.

Each call is made twice on copies of its arrays, which first begin where such a page ends and then end where one
begins; both must leave the same bytes. Importing this module sets it up, so that it can be a plugin of pytest:

    PYTHONPATH=tests/support python -m pytest -p guard_pages
"""

import ctypes
import importlib
import mmap
from collections import defaultdict
from contextlib import contextmanager
from functools import wraps
from types import SimpleNamespace

import numpy as np
from references import public_methods, references

KERNELS = (
    "activations", "avg_pool", "batch_norm", "batches", "channels", "conv", "conv_gradient", "conv_input",
    "conv_winograd", "dense", "losses", "max_pool", "random", "softmax", "solver_steps",
)  # fmt: skip
TAPS = ("uint8", "int32")
WINNERS = [{kind, taps} for kind in ("float32", "float64") for taps in TAPS]
# types of the methods of plans that take more than float32 alone and float64 alone
TYPES = {
    ("MaxPool", "forward"): WINNERS,
    ("MaxPool", "backward"): WINNERS,
    ("MaxPool", "places"): [{taps, "int64"} for taps in TAPS],
}
PAGE, FORBIDDEN = mmap.PAGESIZE, 0  # PROT_NONE
seen = set()  # (kernel module, function, types of its arrays) of every call so far
_spare = defaultdict(list)  # fenced memory by its number of pages
_mprotect = ctypes.CDLL(None, use_errno=True).mprotect
_mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def fenced(pages):
    """Memory between two forbidden pages."""
    memory = np.frombuffer(mmap.mmap(-1, (pages + 2) * PAGE), np.uint8)
    for page in (memory.ctypes.data, memory.ctypes.data + (pages + 1) * PAGE):
        if _mprotect(page, PAGE, FORBIDDEN):
            raise OSError(ctypes.get_errno(), "mprotect")
    return memory[PAGE:-PAGE]


def pieces(arrays):
    """Return (first byte, byte after the last, arrays) of each piece of memory that some arrays share."""
    found = []
    for array in sorted(arrays, key=lambda a: a.ctypes.data):
        first = array.ctypes.data
        if found and first < found[-1][1]:
            found[-1][1] = max(found[-1][1], first + array.nbytes)
            found[-1][2].append(array)
        else:
            found.append([first, first + array.nbytes, [array]])
    return found


@contextmanager
def guarded(arrays, at_end):
    """A copy of each array beside a forbidden page, by the array's id."""
    copies, taken = {}, []
    for first, end, members in pieces(arrays):
        pages = max(1, -(-(end - first) // PAGE))
        memory = _spare[pages].pop() if _spare[pages] else fenced(pages)
        taken.append(memory)
        start = len(memory) - (end - first) if at_end else 0
        for array in members:
            assert array.flags.c_contiguous
            assert array.flags.aligned
            copies[id(array)] = np.ndarray(array.shape, array.dtype, memory, start + array.ctypes.data - first)
            np.copyto(copies[id(array)], array)
    yield copies
    for memory in taken:
        _spare[len(memory) // PAGE].append(memory)


def fence(kernel, module, name):
    """The kernel, run at both ends of its memory."""

    @wraps(kernel)
    def call(*arguments):
        arrays = [a for a in arguments if isinstance(a, np.ndarray)]
        if arrays:
            seen.add((module, name, *sorted({a.dtype.name for a in arrays})))
        results = []
        for at_end in (False, True) if arrays else (True,):
            with guarded(arrays, at_end) as copies:
                value = kernel(*(copies.get(id(a), a) for a in arguments))
                results.append((value, [copies[id(a)].tobytes() for a in arrays]))
                for array in arrays:
                    if at_end and array.flags.writeable:
                        np.copyto(array, copies[id(array)])
        assert results[0] == results[-1], (module, name, [a.shape for a in arrays])
        return value

    return call


def fence_plan(plan, module):
    """A plan whose methods run at both ends of their memory."""

    def make(*sizes):
        made = plan(*sizes)
        runs = {
            name: fence(getattr(made, name), module, f"{plan.__name__}.{name}") for name in public_methods(plan)
        }
        others = {name: getattr(made, name) for name in dir(made) if not name.startswith("_") and name not in runs}
        return SimpleNamespace(**others, **runs)

    make.plan = plan
    return make


for _name in KERNELS:
    for _function, _kernel in list(vars(importlib.import_module(f"pyconvx._ext.{_name}")).items()):
        if not callable(_kernel) or _function.startswith("_"):
            continue
        _fenced = fence_plan(_kernel, _name) if isinstance(_kernel, type) else fence(_kernel, _name, _function)
        for _module, _key in references(_kernel):
            setattr(_module, _key, _fenced)


def forms(kernel):
    """Yield (what is appended to the name, types) of everything that a kernel or a plan can be called with."""
    types = {"float": "float32", "double": "float64", "uint8_t": "uint8", "int32_t": "int32"}
    if hasattr(kernel, "plan"):
        for name in public_methods(kernel.plan):
            kinds = TYPES.get((kernel.plan.__name__, name), ({"float32"}, {"float64"}))
            yield from ((f".{name}", kind) for kind in kinds)
    for form in getattr(getattr(kernel, "__wrapped__", None), "__signatures__", ()):
        yield "", {types[t] for t in form.split("|")}


def unseen():
    """Kernels that were not called in one of their forms, float32 or float64 and so on."""
    missing = []
    for name in KERNELS:
        for function, kernel in vars(importlib.import_module(f"pyconvx._ext.{name}")).items():
            for method, types in forms(kernel):
                if not any(call[:2] == (name, function + method) and set(call[2:]) >= types for call in seen):
                    missing.append((name, function + method, *sorted(types)))
    return missing
