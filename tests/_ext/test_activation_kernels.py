"""The kernels of activations themselves: capsules, flat arrays, sums, threads and levels."""

import ctypes

import numpy as np
import pytest
from isa import check_threads_and_levels
from numpy.testing import assert_array_equal

from pyconvx._ext import activations

# a capsule keeps the address of its name, so the bytes must stay
TAG = activations.TAG.encode()
OTHER_TAG = b"pyconvx.activation.v2"
DTYPES = [np.float32, np.float64]


def rng(seed=0):
    return np.random.default_rng(seed)


class Struct(ctypes.Structure):
    """pyconvx_activation, written once more."""

    _fields_ = [("abi", ctypes.c_uint32), ("flags", ctypes.c_uint32)] + [
        (name, ctypes.c_void_p) for name in ("f_float", "df_float", "f_double", "df_double")
    ]


def struct_of(capsule):
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return Struct.from_address(get(capsule, TAG))


def capsule_of(struct, tag):
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return new(ctypes.addressof(struct), tag, None)


def altered(**fields):
    """The struct of relu with other fields."""
    struct = Struct.from_buffer_copy(struct_of(activations.capsule("relu")))
    for name, value in fields.items():
        setattr(struct, name, value)
    return struct


def test_a_good_capsule_passes_and_tells_its_flags():
    struct = altered(flags=activations.FROM_OUTPUT)
    capsule = capsule_of(struct, TAG)
    activations.check_capsule(capsule)
    assert activations.flags(capsule) == activations.FROM_OUTPUT == 1
    assert activations.flags(activations.capsule("relu")) == activations.FROM_OUTPUT | activations.NON_DECREASING
    x, y = np.array([-1.0, 2.0]), np.empty(2)
    activations.forward(capsule, x, y, 1)
    assert_array_equal(y, [0, 2])


@pytest.mark.parametrize("value", [3, None, "relu", object()])
def test_what_is_no_capsule_is_refused(value):
    with pytest.raises(TypeError, match=r"expected a PyCapsule named 'pyconvx.activation.v1', got"):
        activations.check_capsule(value)
    with pytest.raises(TypeError, match=r"expected a PyCapsule named 'pyconvx.activation.v1', got"):
        activations.forward(value, np.ones(2), np.ones(2), 1)


@pytest.mark.parametrize(
    ("fields", "tag", "message"),
    [
        (
            {},
            b"pyconvx.activation.v2",
            r"named 'pyconvx.activation.v1', got one named 'pyconvx.activation.v2'",
        ),
        ({"abi": 7}, TAG, "has ABI 7, this pyconvx needs 1: rebuild"),
        ({"df_double": None}, TAG, "lacks df_double"),
        ({"f_float": None, "df_float": None}, TAG, "lacks f_float, df_float"),
    ],
)
def test_capsules_of_another_kind_are_refused(fields, tag, message):
    struct = altered(**fields)
    with pytest.raises(TypeError, match=message):
        activations.check_capsule(capsule_of(struct, tag))


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match="nope"):
        activations.capsule("nope")


def run_activation(name):
    def run(kernels, dtype, n_threads):
        x, dy = (rng(seed).normal(size=40_003, scale=4).astype(dtype) for seed in (0, 1))
        y, dx = np.full_like(x, np.nan), np.full_like(x, np.nan)
        capsule = kernels.capsule(name)
        kernels.forward(capsule, x, y, n_threads)
        v = y if kernels.flags(capsule) & kernels.FROM_OUTPUT else x
        kernels.backward(capsule, v, dy, dx, n_threads)
        return y, dx

    return run


def run_add(kernels, dtype, n_threads):
    x, y = (rng(seed).normal(size=50_001).astype(dtype) for seed in (0, 1))
    out, activated, inside = np.full((3, len(x)), np.nan, dtype)
    kernels.add(x, y, out, None, None, n_threads)
    assert_array_equal(out, x + y)
    out[:] = np.nan
    relu = kernels.capsule("relu")
    kernels.add(x, y, out, activated, relu, n_threads)
    assert_array_equal(out, x + y)
    assert_array_equal(activated, np.maximum(out, 0))
    kernels.add(x, y, inside, inside, relu, n_threads)
    assert_array_equal(inside, activated)
    return out, activated


KERNELS = {name: run_activation(name) for name in activations.NAMES} | {"add": run_add}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_and_levels_agree(kernel, dtype):
    check_threads_and_levels("activations", KERNELS[kernel], dtype)


@pytest.mark.parametrize("name", activations.NAMES)
def test_input_and_output_may_be_one_array(name):
    x, dy = (rng(seed).normal(size=1000) for seed in (0, 1))
    capsule = activations.capsule(name)
    y, dx = np.empty_like(x), np.empty_like(x)
    activations.forward(capsule, x, y, 1)
    activations.backward(capsule, x, dy, dx, 1)
    in_place, gradient = x.copy(), dy.copy()
    activations.forward(capsule, in_place, in_place, 1)
    activations.backward(capsule, x, gradient, gradient, 1)
    assert_array_equal(in_place, y)
    assert_array_equal(gradient, dx)


def test_empty_arrays_are_left_alone():
    for dtype in DTYPES:
        empty = np.empty(0, dtype)
        activations.forward(activations.capsule("gelu"), empty, empty, 2)
        activations.backward(activations.capsule("gelu"), empty, empty, empty, 2)
        activations.add(empty, empty, empty, None, None, 2)
        activations.add(empty, empty, empty, empty, activations.capsule("gelu"), 2)


def test_none_for_an_array_is_a_type_error():
    with pytest.raises(TypeError, match="None"):
        activations.add(np.ones(2), np.ones(2), None, None, None, 1)
