"""What the pooling functions accept, in whatever memory it lies, and what they refuse in which words."""

from itertools import product

import numpy as np
import pytest
from layouts import unusual

from pyconvx import ops
from pyconvx._ext import max_pool
from pyconvx.ops.geometry import WindowAxis
from pyconvx.ops.pool_window import _first_beyond, _refuse_windows_in_padding


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
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


def test_kernel_gets_aligned_places(monkeypatch):
    """Numbers at odd addresses are undefined in C, even if the processor reads them."""
    kernel, aligned = max_pool.argmax_scatter, []

    def watched(dy, places, dx, n_threads):
        aligned.append(places.flags.aligned)
        kernel(dy, places, dx, n_threads)

    monkeypatch.setattr(max_pool, "argmax_scatter", watched)
    y, argmax = ops.max_pool2d(np.ones((2, 4, 4, 3)), 2)
    for places in unusual(argmax):
        ops.max_pool2d_backward(y, places, (2, 4, 4, 3))
    assert aligned == [True] * 6


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
    ({"pool_size": 2**63, "padding": "same"}, ValueError, f"a window of {2**63}x{2**63} is too large"),
    ({"x": X[:, :, :0]}, ValueError, r"\(2, 6, 0, 3\) has a zero dimension"),
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
    with pytest.raises(error, match=message) as caught:
        getattr(ops, operation)(**{"x": X, "pool_size": 2, **arguments})
    assert str(caught.value).startswith((f"{operation}: ", "padding must be ", "n_threads must "))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dilation": 0}, "dilation must be >= 1, got 0"),
        ({"dilation": 6}, "exceeds the padded input"),
        ({"x": X[:, :2], "dilation": (4, 1), "padding": (3, 0), "stride": 1}, "has no tap in the image of 2"),
    ],
)
def test_refused_dilation(arguments, message):
    with pytest.raises(ValueError, match=f"^max_pool2d: .*{message}"):
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
    with pytest.raises(error, match=f"^max_pool2d_backward: .*{message}"):
        ops.max_pool2d_backward(**{"dy": Y, "argmax": PLACES, "input_shape": X.shape, **arguments})


def test_refused_shapes_of_mean_gradients():
    with pytest.raises(
        ValueError, match=r"^avg_pool2d_backward: dy must have shape \(2, 2, 1, 3\), got \(2, 3, 2, 3\)"
    ):
        ops.avg_pool2d_backward(Y, X.shape, 3)
    with pytest.raises(ValueError, match=r"^global_avg_pool2d_backward: dy must have 2 axes"):
        ops.global_avg_pool2d_backward(Y, X.shape)
    with pytest.raises(ValueError, match=r"^global_avg_pool2d_backward: .*differ in samples or channels"):
        ops.global_avg_pool2d_backward(np.zeros((2, 4)), X.shape)


def test_the_first_multiple_in_a_range():
    for modulus in range(1, 14):
        for step, low in product(range(modulus), repeat=2):
            for high in range(low, modulus):
                tried = (i for i in range(modulus) if low <= i * step % modulus <= high)
                assert _first_beyond(step, modulus, low, high) == next(tried, None)


def empty_window(size, taps, stride, padding, dilation, windows):
    """The first window without a tap in the image, one after the other."""
    for window in range(windows):
        places = [window * stride - padding[0] + dilation * tap for tap in range(taps)]
        if not any(0 <= place < size for place in places):
            return window
    return None


def test_windows_that_step_over_the_image_are_refused():
    refused = 0
    cases = product(range(1, 5), (2, 3), range(1, 5), range(1, 10), range(8), range(4))
    for size, taps, stride, dilation, before, after in cases:
        extent = dilation * (taps - 1) + 1
        windows = (size + before + after - extent) // stride + 1
        if max(before, after) >= extent or windows < 1:
            continue
        expected = empty_window(size, taps, stride, (before, after), dilation, windows)
        axis = WindowAxis(size, taps, stride, dilation, before, after, windows)
        if expected is None:
            _refuse_windows_in_padding("pool", "height", axis)
        else:
            refused += 1
            with pytest.raises(ValueError, match=rf"^pool: window {expected} along the height has no tap in "):
                _refuse_windows_in_padding("pool", "height", axis)
    assert refused > 50
