"""The kernels of batch normalisation: statistics, the map of each channel, gradients, threads and levels."""

import numpy as np
import pytest
from isa import check_threads_and_levels
from numpy.testing import assert_allclose, assert_array_equal

from pyconvx._ext import batch_norm
from pyconvx._ext.activations import capsule

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
SHAPES = [(1, 1, 5), (1, 30, 3), (2, 1, 17), (19, 12, 16), (33, 49, 33), (40, 300, 1), (7, 11, 300)]


def rng(seed=0):
    return np.random.default_rng(seed)


def run_norm(kernels, dtype, n_threads):
    results = []
    for shape in SHAPES:
        x, dy = (rng(seed).normal(size=shape).astype(dtype) for seed in (0, 1))
        results += [*moments(kernels, x, n_threads), *norm_backward(kernels, x, dy, n_threads)]
        results.append(scaled(kernels, x, n_threads))
    return results


def planned(kernels, x, n_threads):
    plan = kernels.BatchNorm(*x.shape, x.itemsize, n_threads)
    return plan, np.full(plan.scratch, np.nan)


def moments(kernels, x, n_threads):
    plan, scratch = planned(kernels, x, n_threads)
    result = np.full((2, x.shape[2]), np.nan)
    plan.moments(x, result, scratch)
    return result


def inverse_std_of(variance):
    return 1 / np.sqrt(variance + 1e-5)


def norm_backward(kernels, x, dy, n_threads):
    C = x.shape[2]
    mean, variance = moments(kernels, x, n_threads)
    gamma = rng(7).uniform(0.5, 2, C).astype(x.dtype)
    dx, dgamma, dbeta = np.full_like(x, np.nan), np.ones(C, x.dtype), np.ones(C, x.dtype)
    plan, scratch = planned(kernels, x, n_threads)
    plan.backward(x, dy, np.array([mean, inverse_std_of(variance)]), gamma, dx, dgamma, dbeta, scratch)
    return dx, dgamma, dbeta


def scaled(kernels, x, n_threads):
    mean, scale, shift = (rng(s).normal(size=x.shape[2]).astype(x.dtype) for s in (3, 4, 5))
    y = np.full_like(x, np.nan)
    planned(kernels, x, n_threads)[0].apply(x, mean, scale, shift, y, None, None)
    return y


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_and_levels_agree(dtype):
    check_threads_and_levels("batch_norm", run_norm, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_moments(shape, dtype):
    x = (rng().normal(size=shape) + 100).astype(dtype)
    x.flags.writeable = False
    mean, variance = moments(batch_norm, x, 1)
    exact = x.astype(np.float64)
    assert_allclose(mean, exact.mean(axis=(0, 1)), rtol=1e-13)
    assert_allclose(variance, exact.var(axis=(0, 1)), rtol=1e-10, atol=1e-25)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_centre_scale_shift(shape, dtype):
    x = rng().normal(size=shape).astype(dtype)
    mean, scale, shift = (rng(s).normal(size=shape[2]) for s in (3, 4, 5))
    expected = (x - mean) * scale + shift
    assert_allclose(scaled(batch_norm, x, 1), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("far", [0.0, 1e3, -1e6])
def test_variance_keeps_its_digits_far_from_zero(far):
    x = rng().normal(size=(50, 40, 3)) + far
    x[0, 0] += 1e4  # the origin of the sums, an outlier
    mean, variance = moments(batch_norm, x, 1)
    assert_allclose(mean, x.mean(axis=(0, 1)), rtol=1e-13, atol=1e-11)
    assert_allclose(variance, x.var(axis=(0, 1)), rtol=1e-9)


def normalised(x, gamma):
    return (x - x.mean(axis=(0, 1))) * inverse_std_of(x.var(axis=(0, 1))) * gamma


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_backward(shape, dtype):
    x, dy = (rng(seed).normal(size=shape).astype(dtype) for seed in (0, 1))
    dx, dgamma, dbeta = norm_backward(batch_norm, x, dy, 1)
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
    mean, variance = moments(batch_norm, x, 1)
    dx, dgamma, dbeta = norm_backward(batch_norm, x, dy, 1)
    assert_array_equal(mean, np.full(4, 3.0))
    assert_array_equal(variance, np.zeros(4))
    assert_array_equal(dx, np.zeros((1, 1, 4)))
    assert_array_equal(dgamma, np.ones(4))
    assert_array_equal(dbeta, np.full(4, 2.0))


def test_a_nan_stays_in_its_channel():
    x = rng().normal(size=(20, 9, 6))
    x[3, 4, 2] = np.nan
    mean, variance = moments(batch_norm, x, 2)
    assert_array_equal(np.isnan(mean), np.arange(6) == 2)
    assert_array_equal(np.isnan(variance), np.arange(6) == 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_activation_follows(dtype):
    x = rng().normal(size=(5, 7, 3)).astype(dtype)
    factors = [rng(s).normal(size=3).astype(dtype) for s in (3, 4, 5)]
    y, activated, inside = (np.full_like(x, np.nan) for _ in range(3))
    plan = batch_norm.BatchNorm(*x.shape, x.itemsize, 2)
    plan.apply(x, *factors, y, activated, capsule("relu"))
    plan.apply(x, *factors, inside, inside, capsule("relu"))
    assert_array_equal(y, scaled(batch_norm, x, 1))
    assert_array_equal(activated, np.maximum(y, 0))
    assert_array_equal(inside, activated)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3)])
def test_empty_arrays_are_left_alone(shape):
    for dtype in DTYPES:
        x, of_channels = np.empty(shape, dtype), np.ones((3, 3), dtype)
        plan, scratch = planned(batch_norm, x, 2)
        plan.moments(x, np.empty((2, 3)), scratch)
        plan.apply(x, *of_channels, x, x, None)
        plan.backward(x, x, np.ones((2, 3)), of_channels[0], x, *of_channels[1:], scratch)
        assert_array_equal(of_channels, np.ones((3, 3)))
