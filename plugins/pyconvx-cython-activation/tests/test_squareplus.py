"""squareplus by name through pyconvx: values, gradient, limits, pickling."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pyconvx_cython_activation import SquarePlus

from pyconvx.activations import registry


@pytest.fixture
def squareplus():
    return registry.get("squareplus")


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-7), (np.float64, 5e-16)])
def test_equals_the_formula(squareplus, dtype, tolerance):
    x = np.random.default_rng(0).normal(size=(50, 37), scale=3).astype(dtype)
    y = squareplus.forward(x)
    longer = x.astype(np.longdouble)
    assert y.dtype == dtype
    assert_allclose(y, (longer + np.sqrt(longer * longer + 4)) / 2, rtol=tolerance)


def test_gradient_by_central_differences(squareplus):
    x, dy = np.random.default_rng(1).normal(size=(2, 400), scale=3)
    h = 1e-5
    slope = (squareplus.forward(x + h) - squareplus.forward(x - h)) / (2 * h)
    assert_allclose(squareplus.backward(dy, x, squareplus.forward(x)), dy * slope, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits(squareplus, dtype):
    huge = np.finfo(dtype).max
    x = np.array([-np.inf, -huge, 0, huge, np.inf, np.nan], dtype)
    y = squareplus.forward(x)
    assert_array_equal(y, [0, 0, 1, huge, np.inf, np.nan])
    assert_array_equal(squareplus.backward(np.ones_like(x), x, y), [0, 0, 0.5, 1, 1, np.nan])


def test_is_found_by_name():
    rows = [row for row in registry.listing() if row.name == "squareplus"]
    assert [(row.package, row.path) for row in rows] == [
        ("pyconvx-cython-activation", "pyconvx_cython_activation:SquarePlus")
    ]
    assert "squareplus" in registry.names()


def test_pickles(squareplus):
    copy = pickle.loads(pickle.dumps(squareplus))
    assert copy == squareplus
    assert pickle.loads(pickle.dumps(SquarePlus())) == SquarePlus()


def test_threads_and_places_do_not_matter(squareplus):
    x = np.random.default_rng(2).normal(size=30_011).astype(np.float32)
    y = squareplus.forward(x)
    assert_array_equal(squareplus.forward(x, n_threads=2), y)
    for start in range(1, 40):
        assert_array_equal(squareplus.forward(x[start : start + 77]), y[start : start + 77])
