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
from pyconvx._ext import pool

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
    """Whether each window fits and meets the image: anything else is refused, see below."""
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
    y, argmax = ops.max_pool2d(
        x, size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
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
    """11 x 11 pools to 5 x 5, or in ceil mode to 6 x 6 (R49, R50)."""
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
        ([-inf, 1, inf, inf], inf, 2),
        ([-0.0, 0.0, -1, -1], -0.0, 0),
    ]
    for cells, value, place in planes:
        x = np.repeat(np.array(cells, dtype).reshape(1, 2, 2, 1), channels, axis=3)
        y, argmax = ops.max_pool2d(x, 2)
        assert y.tobytes() == np.full((1, 1, 1, channels), value, dtype).tobytes()
        assert (argmax == place).all()
    x = np.full((1, 3, 3, channels), -inf, dtype)
    _, argmax = ops.max_pool2d(x, 2, stride=1, padding=1)
    assert argmax[0, :, :, 0].tolist() == [[0, 0, 1, 2], [0, 0, 1, 2], [3, 3, 4, 5], [6, 6, 7, 8]]
    mean = ops.avg_pool2d(np.array([1, nan, inf, -inf], dtype).reshape(1, 2, 2, 1), (1, 2))
    assert np.isnan(mean).all()


def test_windows_of_more_than_256_taps():
    check_max((2, 20, 21, 3), (17, 16), 2, 3, 1, False, np.float32)
    check_avg((2, 20, 21, 3), (17, 16), 2, 3, False, False, np.float32)


def unusual(x):
    """The same values in other memory."""
    big = np.zeros((*x.shape[:3], 2 * x.shape[3]), x.dtype)
    big[..., ::2] = x
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    raw[...] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    backwards = np.ascontiguousarray(x[:, ::-1])[:, ::-1]
    return [np.asfortranarray(x), big[..., ::2], raw, read_only, backwards, x.astype(x.dtype.newbyteorder())]


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_memory_layout(dtype):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 6, 7, 5)).astype(dtype)
    y, argmax = ops.max_pool2d(x, 2)
    dx = ops.max_pool2d_backward(y, argmax, x.shape)
    mean = ops.avg_pool2d(x, 2)
    dmean = ops.avg_pool2d_backward(mean, x.shape, 2)
    for other in unusual(x):
        before = other.tobytes()
        assert ops.max_pool2d(other, 2)[0].tobytes() == y.tobytes()
        assert ops.avg_pool2d(other, 2).tobytes() == mean.tobytes()
        assert ops.global_avg_pool2d(other).tobytes() == ops.global_avg_pool2d(x).tobytes()
        assert other.tobytes() == before
    for other, places in zip(unusual(y), unusual(argmax), strict=True):
        assert ops.max_pool2d_backward(other, places, x.shape).tobytes() == dx.tobytes()
    for other in unusual(mean):
        assert ops.avg_pool2d_backward(other, x.shape, 2).tobytes() == dmean.tobytes()
    constant = np.broadcast_to(dtype(2), (1, 4, 4, 3))
    assert (ops.max_pool2d(constant, 2)[0] == 2).all()


@pytest.mark.parametrize("winner", [np.uint8, np.int32])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 7, 16, 43])
def test_kernels_overwrite_their_output(dtype, winner, channels):
    """What the layers call: outputs are filled with NaN before; the bits do not depend on the threads."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((5, 7, 9, channels)).astype(dtype)
    sizes = (3, 2, 2, 2, 1, 0, 1, 1)
    places = ops.max_pool2d(x, (3, 2), stride=2, padding=((1, 0), (0, 0)))[1]
    dy = rng.standard_normal(places.shape).astype(dtype)
    scattered = ops.max_pool2d_backward(dy, places, x.shape)
    for threads in (1, 2, 3, 7):
        y, dx = np.full(places.shape, np.nan, dtype), np.full(x.shape, np.nan, dtype)
        taps, argmax = np.full(places.shape, 99, winner), np.full(places.shape, -1)
        pool.max_pool(x, y, taps, *sizes, threads)
        pool.winner_to_argmax(taps, argmax, 9, *sizes, threads)
        np.testing.assert_array_equal(argmax, places)
        pool.max_pool_backward(dy, taps, dx, *sizes, threads)
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


def test_batch_of_none():
    x = np.zeros((0, 6, 6, 3), np.float32)
    y, argmax = ops.max_pool2d(x, 2)
    assert (y.shape, argmax.shape) == ((0, 3, 3, 3), (0, 3, 3, 3))
    assert ops.max_pool2d_backward(y, argmax, x.shape).shape == x.shape
    assert ops.avg_pool2d_backward(ops.avg_pool2d(x, 2), x.shape, 2).shape == x.shape
    assert ops.global_avg_pool2d_backward(ops.global_avg_pool2d(x), x.shape).shape == x.shape


X = np.zeros((2, 6, 5, 3), np.float32)
REFUSED = [
    ({"x": X[0]}, ValueError, r"x must have 4 axes, got shape \(6, 5, 3\)"),
    ({"x": X[:, :0]}, ValueError, r"\(2, 0, 5, 3\) has a zero dimension"),
    ({"x": X[..., :0]}, ValueError, r"\(2, 6, 5, 0\) has a zero dimension"),
    ({"x": X.astype(np.float16)}, TypeError, "float32 or float64, got float16"),
    ({"x": X.astype(np.longdouble)}, TypeError, "float32 or float64"),
    ({"x": X.astype(np.uint8)}, TypeError, "float32 or float64, got uint8"),
    ({"x": X.astype(complex)}, TypeError, "float32 or float64, got complex128"),
    ({"x": np.ma.masked_array(X)}, TypeError, "masked"),
    ({"pool_size": 0}, ValueError, "pool_size must be >= 1, got 0"),
    ({"pool_size": 2.0}, TypeError, "pool_size must be an int, got 2.0"),
    ({"pool_size": True}, TypeError, "pool_size must be an int, got True"),
    ({"pool_size": (2,)}, ValueError, r"pair .*got \(2,\)"),
    ({"pool_size": (2, 2, 2)}, ValueError, r"pair .*got \(2, 2, 2\)"),
    ({"pool_size": None}, TypeError, "pool_size must be an int, got None"),
    ({"pool_size": 7}, ValueError, "7x7.*exceeds the padded input 6x5"),
    ({"pool_size": 2**40}, ValueError, "exceeds the padded input"),
    ({"stride": 0}, ValueError, "stride must be >= 1, got 0"),
    ({"stride": -1}, ValueError, "stride must be >= 1, got -1"),
    ({"stride": "2"}, TypeError, "stride must be an int"),
    ({"padding": -1}, ValueError, "padding must be >= 0, got -1"),
    ({"padding": 2}, ValueError, "padding 2 along the height must be less than the window's extent 2"),
    ({"padding": ((0, 0), (0, 2))}, ValueError, "padding 2 along the width"),
    ({"padding": "full"}, ValueError, "got 'full'"),
    ({"padding": (1, 2, 3)}, ValueError, r"got \(1, 2, 3\)"),
    ({"padding": 1.5}, TypeError, "padding must be an int"),
    ({"pool_size": 2**40, "padding": 2**40 - 1, "stride": 1}, ValueError, "too large"),
    ({"n_threads": 0}, ValueError, "n_threads must not be 0"),
    ({"n_threads": 1.5}, TypeError, "n_threads must be an int"),
]


@pytest.mark.parametrize("operation", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
def test_refused(operation, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(ops, operation)(**{"x": X, "pool_size": 2, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dilation": 0}, "dilation must be >= 1, got 0"),
        ({"dilation": 6}, "exceeds the padded input"),
        ({"x": X[:, :2], "dilation": (4, 1), "padding": (3, 0), "stride": 1}, "has no tap in the image of 2"),
    ],
)
def test_refused_dilation(arguments, message):
    with pytest.raises(ValueError, match=message):
        ops.max_pool2d(**{"x": X, "pool_size": 2, **arguments})


def test_one_window_with_a_huge_stride():
    assert ops.max_pool2d(X, (6, 5), stride=2**40)[0].shape == (2, 1, 1, 3)


Y = np.zeros((2, 3, 2, 3), np.float32)
PLACES = np.zeros(Y.shape, np.int64)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"argmax": PLACES + 30}, ValueError, r"argmax must lie in 0\.\.29 for planes of 6x5, got 30\.\.30"),
        ({"argmax": PLACES - 1}, ValueError, r"got -1\.\.-1"),
        ({"argmax": PLACES * 1.0}, TypeError, "argmax must hold integers, got float64"),
        ({"argmax": PLACES[:1]}, ValueError, r"dy's shape \(2, 3, 2, 3\), got \(1, 3, 2, 3\)"),
        ({"input_shape": (2, 6, 5)}, ValueError, r"input_shape must be \(N, H, W, C\)"),
        ({"input_shape": (2, 6, 0, 3)}, ValueError, "input_shape must be >= 1, got 0"),
        ({"input_shape": (2, 6, 5.0, 3)}, TypeError, "input_shape must be an int"),
        ({"input_shape": (3, 6, 5, 3)}, ValueError, r"\(3, 6, 5, 3\) and dy of shape \(2, 3, 2, 3\) differ"),
        ({"input_shape": (2, 2**40, 2**40, 3)}, ValueError, "too large"),
        ({"dy": Y.astype(int)}, TypeError, "float32 or float64, got int64"),
    ],
)
def test_refused_backward(arguments, error, message):
    with pytest.raises(error, match=message):
        ops.max_pool2d_backward(**{"dy": Y, "argmax": PLACES, "input_shape": X.shape, **arguments})


def test_refused_shapes_of_mean_gradients():
    with pytest.raises(ValueError, match=r"dy must have shape \(2, 2, 1, 3\), got \(2, 3, 2, 3\)"):
        ops.avg_pool2d_backward(Y, X.shape, 3)
    with pytest.raises(ValueError, match="dy must have 2 axes"):
        ops.global_avg_pool2d_backward(Y, X.shape)
    with pytest.raises(ValueError, match="differ in samples or channels"):
        ops.global_avg_pool2d_backward(np.zeros((2, 4)), X.shape)


def test_examples():
    results = doctest.testmod(ops.pooling)
    assert results.attempted >= 20
    assert results.failed == 0
