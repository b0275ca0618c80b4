"""The pointwise kernels themselves: capsules, softmax rows, batch normalisation, threads and levels."""

import ctypes

import numpy as np
import pytest
from isa import FUSED, LEVELS, load
from numpy.testing import assert_allclose, assert_array_equal

from pyconvx._ext import pointwise

# a capsule keeps the address of its name, so the bytes must stay
TAG = pointwise.TAG.encode()
OTHER_TAG = b"pyconvx.activation.v2"
DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
SHAPES = [(1, 1, 5), (1, 30, 3), (2, 1, 17), (19, 12, 16), (33, 49, 33), (40, 300, 1), (7, 11, 300)]


def rng(seed=0):
    return np.random.default_rng(seed)


# --- capsules -------------------------------------------------------------------------------------


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
    struct = Struct.from_buffer_copy(struct_of(pointwise.capsule("relu")))
    for name, value in fields.items():
        setattr(struct, name, value)
    return struct


def test_a_good_capsule_passes_and_tells_its_flags():
    struct = altered(flags=pointwise.FROM_OUTPUT)
    capsule = capsule_of(struct, TAG)
    pointwise.check_capsule(capsule)
    assert pointwise.flags(capsule) == pointwise.FROM_OUTPUT == 1
    assert pointwise.flags(pointwise.capsule("relu")) == pointwise.FROM_OUTPUT | pointwise.NON_DECREASING
    x, y = np.array([-1.0, 2.0]), np.empty(2)
    pointwise.forward(capsule, x, y, 1)
    assert_array_equal(y, [0, 2])


@pytest.mark.parametrize("value", [3, None, "relu", object()])
def test_what_is_no_capsule_is_refused(value):
    with pytest.raises(TypeError, match=r"expected a PyCapsule named 'pyconvx.activation.v1', got"):
        pointwise.check_capsule(value)
    with pytest.raises(TypeError, match=r"expected a PyCapsule named 'pyconvx.activation.v1', got"):
        pointwise.forward(value, np.ones(2), np.ones(2), 1)


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
        pointwise.check_capsule(capsule_of(struct, tag))


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match="nope"):
        pointwise.capsule("nope")


# --- all kernels: one call each, for the tests of threads and levels ------------------------------


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


def run_softmax(prefix):
    def run(kernels, dtype, n_threads):
        results = []
        for shape in ((3001, 10), (301, 100), (5, 4099), (4, 1), (7, 16), (7, 33)):
            x, dy = (rng(seed).normal(size=shape, scale=3).astype(dtype) for seed in (0, 1))
            y, dx = np.full_like(x, np.nan), np.full_like(x, np.nan)
            getattr(kernels, prefix)(x, y, n_threads)
            getattr(kernels, f"{prefix}_backward")(y, dy, dx, n_threads)
            results += [y, dx]
        return results

    return run


def run_norm(kernels, dtype, n_threads):
    results = []
    for shape in SHAPES:
        x, dy = (rng(seed).normal(size=shape).astype(dtype) for seed in (0, 1))
        results += [*moments(kernels, x, n_threads), *norm_backward(kernels, x, dy, n_threads)]
        results.append(scaled(kernels, x, n_threads))
    return results


def run_add(kernels, dtype, n_threads):
    x, y = (rng(seed).normal(size=50_001).astype(dtype) for seed in (0, 1))
    out, after, inside = np.full((3, len(x)), np.nan, dtype)
    kernels.add(x, y, out, None, None, n_threads)
    assert_array_equal(out, x + y)
    out[:] = np.nan
    relu = kernels.capsule("relu")
    kernels.add(x, y, out, after, relu, n_threads)
    assert_array_equal(out, x + y)
    assert_array_equal(after, np.maximum(out, 0))
    kernels.add(x, y, inside, inside, relu, n_threads)
    assert_array_equal(inside, after)
    return out, after


KERNELS = {name: run_activation(name) for name in pointwise.NAMES}
KERNELS |= {"softmax": run_softmax("softmax"), "log_softmax": run_softmax("log_softmax")}
KERNELS |= {"batch_norm": run_norm, "add": run_add}


def moments(kernels, x, n_threads):
    C = x.shape[2]
    mean, variance = np.full(C, np.nan), np.full(C, np.nan)
    kernels.batch_moments(x, mean, variance, np.full(kernels.norm_scratch(len(x), C), np.nan), n_threads)
    return mean, variance


def inverse_std_of(variance):
    return 1 / np.sqrt(variance + 1e-5)


def norm_backward(kernels, x, dy, n_threads):
    C = x.shape[2]
    mean, variance = moments(kernels, x, n_threads)
    gamma = rng(7).uniform(0.5, 2, C).astype(x.dtype)
    dx, dgamma, dbeta = np.full_like(x, np.nan), np.ones(C, x.dtype), np.ones(C, x.dtype)
    scratch = np.full(kernels.norm_scratch(len(x), C), np.nan)
    kernels.batch_norm_backward(
        x, dy, mean, inverse_std_of(variance), gamma, dx, dgamma, dbeta, scratch, n_threads
    )
    return dx, dgamma, dbeta


def scaled(kernels, x, n_threads):
    rows = x.reshape(-1, x.shape[2])
    mean, scale, shift = (rng(s).normal(size=x.shape[2]).astype(x.dtype) for s in (3, 4, 5))
    y = np.full_like(rows, np.nan)
    kernels.centre_scale_shift(rows, mean, scale, shift, y, y, None, n_threads)
    return y


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_and_levels_agree(kernel, dtype):
    """Any number of threads: equal bits. Levels with FMA: equal bits. Baseline: up to rounding."""
    by_level = {}
    for level in LEVELS:
        results = [KERNELS[kernel](load("pointwise", level), dtype, n) for n in (1, 2, 3)]
        for other in results[1:]:
            for one, two in zip(results[0], other, strict=True):
                assert_array_equal(one, two)
        by_level[level] = results[0]
    for level in FUSED:
        for one, two in zip(by_level[FUSED[0]], by_level[level], strict=True):
            assert_array_equal(one, two)
    tolerance = 100 * np.finfo(dtype).eps
    for level in LEVELS:
        for one, two in zip(by_level["baseline"], by_level[level], strict=True):
            assert_allclose(one, two, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", pointwise.NAMES)
def test_input_and_output_may_be_one_array(name):
    x, dy = (rng(seed).normal(size=1000) for seed in (0, 1))
    capsule = pointwise.capsule(name)
    y, dx = np.empty_like(x), np.empty_like(x)
    pointwise.forward(capsule, x, y, 1)
    pointwise.backward(capsule, x, dy, dx, 1)
    in_place, gradient = x.copy(), dy.copy()
    pointwise.forward(capsule, in_place, in_place, 1)
    pointwise.backward(capsule, x, gradient, gradient, 1)
    assert_array_equal(in_place, y)
    assert_array_equal(gradient, dx)


# --- batch normalisation --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_moments(shape, dtype):
    x = (rng().normal(size=shape) + 100).astype(dtype)
    x.flags.writeable = False
    mean, variance = moments(pointwise, x, 1)
    exact = x.astype(np.float64)
    assert_allclose(mean, exact.mean(axis=(0, 1)), rtol=1e-13)
    assert_allclose(variance, exact.var(axis=(0, 1)), rtol=1e-10, atol=1e-25)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_centre_scale_shift(shape, dtype):
    x = rng().normal(size=shape).astype(dtype)
    mean, scale, shift = (rng(s).normal(size=shape[2]) for s in (3, 4, 5))
    expected = (x.reshape(-1, shape[2]) - mean) * scale + shift
    assert_allclose(scaled(pointwise, x, 1), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("far", [0.0, 1e3, -1e6])
def test_variance_keeps_its_digits_far_from_zero(far):
    x = rng().normal(size=(50, 40, 3)) + far
    x[0, 0] += 1e4  # the origin of the sums, an outlier
    mean, variance = moments(pointwise, x, 1)
    assert_allclose(mean, x.mean(axis=(0, 1)), rtol=1e-13, atol=1e-11)
    assert_allclose(variance, x.var(axis=(0, 1)), rtol=1e-9)


def normalised(x, gamma):
    return (x - x.mean(axis=(0, 1))) * inverse_std_of(x.var(axis=(0, 1))) * gamma


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_backward(shape, dtype):
    x, dy = (rng(seed).normal(size=shape).astype(dtype) for seed in (0, 1))
    dx, dgamma, dbeta = norm_backward(pointwise, x, dy, 1)
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    gamma = rng(7).uniform(0.5, 2, shape[2])
    tolerance = {"rtol": TOLERANCE[dtype], "atol": 10 * TOLERANCE[dtype]}
    assert_allclose(dbeta, 1 + dy.sum(axis=(0, 1)), **tolerance)
    assert_allclose(dgamma, 1 + (dy * normalised(x, 1.0)).sum(axis=(0, 1)), **tolerance)
    direction, h = rng(9).normal(size=shape), 1e-5
    slope = (normalised(x + h * direction, gamma) - normalised(x - h * direction, gamma)) / (2 * h)
    expected = (dy * slope).sum()
    assert_allclose((dx * direction).sum(), expected, rtol=max(1e-6, TOLERANCE[dtype]), atol=1e-4)


def test_one_row_and_one_pixel_normalise_to_nothing():
    x, dy = np.full((1, 1, 4), 3.0), np.ones((1, 1, 4))
    mean, variance = moments(pointwise, x, 1)
    dx, dgamma, dbeta = norm_backward(pointwise, x, dy, 1)
    assert_array_equal(mean, np.full(4, 3.0))
    assert_array_equal(variance, np.zeros(4))
    assert_array_equal(dx, np.zeros((1, 1, 4)))
    assert_array_equal(dgamma, np.ones(4))
    assert_array_equal(dbeta, np.full(4, 2.0))


def test_a_nan_stays_in_its_channel():
    x = rng().normal(size=(20, 9, 6))
    x[3, 4, 2] = np.nan
    mean, variance = moments(pointwise, x, 2)
    assert_array_equal(np.isnan(mean), np.arange(6) == 2)
    assert_array_equal(np.isnan(variance), np.arange(6) == 2)


def test_empty_arrays_are_left_alone():
    for dtype in DTYPES:
        empty, table = np.empty(0, dtype), np.empty((0, 3), dtype)
        pointwise.forward(pointwise.capsule("gelu"), empty, empty, 2)
        pointwise.backward(pointwise.capsule("gelu"), empty, empty, empty, 2)
        pointwise.softmax(table, table, 2)
        pointwise.log_softmax_backward(table, table, table, 2)
        pointwise.add(empty, empty, empty, None, None, 2)
        pointwise.add(empty, empty, empty, empty, pointwise.capsule("gelu"), 2)
        pointwise.centre_scale_shift(table, *np.ones((3, 3), dtype), table, table, None, 2)


def test_none_for_an_array_is_a_type_error():
    with pytest.raises(TypeError, match="None"):
        pointwise.add(np.ones(2), np.ones(2), None, None, None, 1)
