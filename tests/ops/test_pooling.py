"""Pooling against the oracle: exact on whole numbers, over shapes, windows, padding, dilation and dtypes."""

import doctest
import itertools

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from levels import on_each_level

from pyconvx import ops
from pyconvx._ext.max_pool import MaxPool
from pyconvx.ops.pool_window import pool_window

SHAPES = [(2, 7, 6, 3), (1, 5, 9, 1), (3, 8, 8, 18), (2, 4, 5, 40)]
WINDOWS = [(2, None), (3, 1), ((3, 2), (2, 3)), ((1, 4), (3, 1)), (3, 2)]
PADDINGS = [0, 1, (1, 0), ((1, 0), (0, 1)), "same", "valid"]
DILATIONS = [1, 2, (1, 2)]
DTYPES = [np.float32, np.float64]


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def spelt_out(shape, size, stride, padding, dilation=1):
    """The geometry as the oracle takes it."""
    size, dilation = pair(size), pair(dilation)
    stride = size if stride is None else pair(stride)
    return size, stride, oracle.sides(padding, shape[1:3], size, stride, dilation), dilation


def legal(shape, size, stride, padding, dilation):
    """Return whether each window fits and meets the image; anything else is refused, see below."""
    size, stride, padding, dilation = spelt_out(shape, size, stride, padding, dilation)
    for n, k, s, p, d in zip(shape[1:3], size, stride, padding, dilation, strict=True):
        reach = d * (k - 1) + 1
        if max(p) >= reach or reach > n + sum(p):
            return False
        starts = np.arange(0, n + sum(p), s) - p[0]
        hit = (starts[:, None] + d * np.arange(k) >= 0) & (starts[:, None] + d * np.arange(k) < n)
        if not hit.any(axis=1)[: oracle.output_size(n, k, s, p, d, True)].all():
            return False
    return True


def check_max(shape, size, stride, padding, dilation, ceil_mode, dtype, seed=0):
    rng = np.random.default_rng(seed)
    size_, stride_, sides, dilation_ = spelt_out(shape, size, stride, padding, dilation)
    x = oracle.integer_array(rng, shape, dtype)
    y, argmax = ops.max_pool2d(x, size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    expected, places = oracle.max_pool2d(x, size_, stride_, sides, dilation_, ceil_mode)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(argmax, places)
    dy = oracle.integer_array(rng, y.shape, dtype)
    dx = ops.max_pool2d_backward(dy, argmax, shape)
    assert dx.dtype == dtype
    np.testing.assert_array_equal(dx, oracle.max_pool2d_backward(dy, places, shape))


def check_avg(shape, size, stride, padding, ceil_mode, include_pad, dtype, seed=0):
    rng = np.random.default_rng(seed)
    size_, stride_, sides, _ = spelt_out(shape, size, stride, padding)
    options = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode, "count_include_pad": include_pad}
    x = oracle.integer_array(rng, shape, dtype)
    y = ops.avg_pool2d(x, size, **options)
    expected = oracle.avg_pool2d(x, size_, stride_, sides, ceil_mode, include_pad)
    assert y.dtype == dtype
    # the sums are exact, and the one division is rounded once
    np.testing.assert_array_equal(y, expected.astype(dtype))
    dy = oracle.integer_array(rng, y.shape, dtype)
    dx = ops.avg_pool2d_backward(dy, shape, size, **options)
    assert dx.dtype == dtype
    expected = oracle.avg_pool2d_backward(dy, shape, size_, stride_, sides, include_pad)
    np.testing.assert_allclose(dx, expected, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)
    if dtype == np.float64:
        oracle.assert_adjoint([(y, dy), (x, dx)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_max_pool_matrix(shape, ceil_mode, dtype):
    checked = 0
    for (size, stride), padding, dilation in itertools.product(WINDOWS, PADDINGS, DILATIONS):
        if legal(shape, size, stride, padding, dilation):
            check_max(shape, size, stride, padding, dilation, ceil_mode, dtype)
            checked += 1
    assert checked >= 25


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("include_pad", [False, True])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_avg_pool_matrix(shape, ceil_mode, include_pad, dtype):
    checked = 0
    for (size, stride), padding in itertools.product(WINDOWS, PADDINGS):
        if legal(shape, size, stride, padding, 1):
            check_avg(shape, size, stride, padding, ceil_mode, include_pad, dtype)
            checked += 1
    assert checked >= 20


@st.composite
def geometries(draw, dilations=(1, 2, 3)):
    """A shape with a legal window on it."""
    small = st.integers(1, 4)
    shape = draw(st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)))
    size = draw(st.tuples(small, small))
    stride = draw(st.tuples(small, small))
    dilation = draw(st.tuples(st.sampled_from(dilations), st.sampled_from(dilations)))
    side = st.tuples(st.integers(0, 3), st.integers(0, 3))
    padding = draw(st.one_of(st.tuples(side, side), st.just("same")))
    if not legal(shape, size, stride, padding, dilation):
        size, dilation, padding = (min(size[0], shape[1]), min(size[1], shape[2])), (1, 1), 0
    return shape, size, stride, padding, dilation


@settings(max_examples=150, deadline=None)
@given(geometries(), st.booleans(), st.sampled_from(DTYPES), st.integers(0, 2**32))
def test_max_pool_anywhere(geometry, ceil_mode, dtype, seed):
    check_max(*geometry, ceil_mode, dtype, seed)


@settings(max_examples=100, deadline=None)
@given(geometries((1,)), st.booleans(), st.booleans(), st.sampled_from(DTYPES), st.integers(0, 2**32))
def test_avg_pool_anywhere(geometry, ceil_mode, include_pad, dtype, seed):
    check_avg(*geometry[:4], ceil_mode, include_pad, dtype, seed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (0, 3, 2, 5), (1, 1, 1, 1)])
def test_global_avg_pool(shape, dtype):
    rng = np.random.default_rng(1)
    x = oracle.integer_array(rng, shape, dtype)
    y = ops.global_avg_pool2d(x)
    np.testing.assert_array_equal(y, oracle.global_avg_pool2d(x).astype(dtype))
    dy = oracle.integer_array(rng, y.shape, dtype)
    dx = ops.global_avg_pool2d_backward(dy, shape)
    cells = dtype(shape[1] * shape[2])
    np.testing.assert_array_equal(dx, np.broadcast_to((dy / cells)[:, None, None], shape))


def test_derivative_of_max_pooling():
    """The maxima of a map of distinct values follow a small step exactly."""
    rng = np.random.default_rng(2)
    x = rng.permutation(2.0 * np.arange(2 * 9 * 8 * 3)).reshape(2, 9, 8, 3)
    step = oracle.integer_array(rng, x.shape) / 8
    y, argmax = ops.max_pool2d(x, 3, stride=2, padding=1)
    dy = oracle.integer_array(rng, y.shape)
    change = ops.max_pool2d(x + step, 3, stride=2, padding=1)[0] - y
    dx = ops.max_pool2d_backward(dy, argmax, x.shape)
    assert np.vdot(change, dy) == np.vdot(step, dx)


def test_sizes_of_the_notes():
    """11 x 11 pools to 5 x 5, or in ceil mode to 6 x 6."""
    x = np.zeros((1, 11, 11, 2))
    assert ops.max_pool2d(x, 2)[0].shape == (1, 5, 5, 2)
    assert ops.max_pool2d(x, 2, ceil_mode=True)[0].shape == (1, 6, 6, 2)
    assert ops.avg_pool2d(x, 2, padding="same").shape == (1, 6, 6, 2)


def test_last_window_of_ceil_mode_that_starts_in_padding_is_dropped():
    x = np.ones((1, 4, 4, 1))
    y, _ = ops.max_pool2d(x, 1, stride=2, ceil_mode=True)
    assert y.shape == (1, 2, 2, 1)
    assert ops.max_pool2d(x, 3, stride=3, padding=1, ceil_mode=True)[0].shape == (1, 2, 2, 1)
    assert ops.max_pool2d(np.ones((1, 6, 6, 1)), 3, stride=4, padding=1, ceil_mode=True)[0].shape == (
        1,
        2,
        2,
        1,
    )


@pytest.mark.parametrize("channels", [1, 3, 5, 16, 37])
@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype, channels):
    """NaN wins, the first NaN stays; ties and windows of -inf go to the first cell."""
    nan, inf = np.nan, np.inf
    planes = [
        ([1, 2, nan, nan], nan, 2),
        ([nan, 5, inf, nan], nan, 0),
        ([3, 3, 3, 3], 3, 0),
        ([-inf, -inf, -inf, -inf], -inf, 0),
        ([nan, nan, nan, nan], nan, 0),
        ([-inf, 1, inf, inf], inf, 2),
        ([-0.0, 0.0, -1, -1], -0.0, 0),
    ]
    for cells, value, place in planes:
        x = np.repeat(np.array(cells, dtype).reshape(1, 2, 2, 1), channels, axis=3)
        y, argmax = ops.max_pool2d(x, 2)
        assert y.tobytes() == np.full((1, 1, 1, channels), value, dtype).tobytes()
        assert (argmax == place).all()
        dx = ops.max_pool2d_backward(np.full_like(y, 3), argmax, x.shape)
        np.testing.assert_array_equal(dx.reshape(4, channels).T, np.tile(3 * np.eye(4)[place], (channels, 1)))
    for value in (-inf, nan):
        x = np.full((1, 3, 3, channels), value, dtype)
        y, argmax = ops.max_pool2d(x, 2, stride=1, padding=1)
        assert argmax[0, :, :, 0].tolist() == [[0, 0, 1, 2], [0, 0, 1, 2], [3, 3, 4, 5], [6, 6, 7, 8]]
        dx = ops.max_pool2d_backward(np.ones_like(y), argmax, x.shape)
        assert dx[0, :, :, 0].tolist() == [[4, 2, 2], [2, 1, 1], [2, 1, 1]]
    mean = ops.avg_pool2d(np.array([1, nan, inf, -inf], dtype).reshape(1, 2, 2, 1), (1, 2))
    assert np.isnan(mean).all()


def test_windows_of_more_than_256_taps():
    check_max((2, 20, 21, 3), (17, 16), 2, 3, 1, False, np.float32)
    check_avg((2, 20, 21, 3), (17, 16), 2, 3, False, False, np.float32)


@pytest.mark.parametrize("winner", [np.uint8, np.int32])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 7, 16, 43])
def test_kernels_overwrite_their_output(dtype, winner, channels):
    """Outputs are filled with NaN before; the bits do not depend on the threads."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((5, 7, 9, channels)).astype(dtype)
    window = pool_window("test", x.shape, (3, 2), 2, ((1, 0), (0, 0)), 1, False)
    places = ops.max_pool2d(x, (3, 2), stride=2, padding=((1, 0), (0, 0)))[1]
    dy = rng.standard_normal(places.shape).astype(dtype)
    scattered = ops.max_pool2d_backward(dy, places, x.shape)
    for threads in (1, 2, 3, 7):
        y, dx = np.full(places.shape, np.nan, dtype), np.full(x.shape, np.nan, dtype)
        taps, argmax = np.full(places.shape, 99, winner), np.full(places.shape, -1)
        plan = MaxPool(x.shape, window, x.itemsize, taps.itemsize, threads)
        plan.forward(x, y, taps)
        plan.places(taps, argmax)
        np.testing.assert_array_equal(argmax, places)
        plan.backward(dy, taps, dx)
        assert dx.tobytes() == scattered.tobytes()


def test_thread_counts_agree():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((5, 40, 41, 17)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        y, argmax = ops.max_pool2d(x, 3, stride=2, padding=1, n_threads=threads)
        mean = ops.avg_pool2d(x, 3, stride=2, padding=1, n_threads=threads)
        whole = ops.global_avg_pool2d(x, n_threads=threads)
        back = ops.max_pool2d_backward(y, argmax, x.shape, n_threads=threads)
        even = ops.avg_pool2d_backward(mean, x.shape, 3, stride=2, padding=1, n_threads=threads)
        flat = ops.global_avg_pool2d_backward(whole, x.shape, n_threads=threads)
        results.append([a.tobytes() for a in (y, argmax, mean, whole, back, even, flat)])
    assert results[0] == results[1] == results[2]


def test_levels_agree():
    """Nothing is multiplied here, so all three levels give the same bits."""
    shown = on_each_level("""
from pyconvx import ops
rng = np.random.default_rng(6)
for dtype in (np.float32, np.float64):
    for channels in (1, 3, 8, 21, 64):
        x = rng.standard_normal((3, 11, 10, channels)).astype(dtype)
        x[rng.random(x.shape) < 0.05] = np.nan
        x[rng.random(x.shape) < 0.05] = 0
        y, argmax = ops.max_pool2d(x, 3, stride=2, padding=1)
        x[np.isnan(x)] = 1
        mean = ops.avg_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)
        dy = np.nan_to_num(y)
        show(np.isnan(y), dy, argmax, ops.max_pool2d_backward(dy, argmax, x.shape))
        show(mean, ops.avg_pool2d_backward(mean, x.shape, 3, stride=2, padding=1, ceil_mode=True))
        show(ops.global_avg_pool2d(x))
""")
    assert len(shown["baseline"]) == 30
    assert all(digests == shown["baseline"] for digests in shown.values())


def test_examples():
    results = doctest.testmod(ops.pooling)
    assert results.attempted >= 20
    assert results.failed == 0
