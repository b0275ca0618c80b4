"""Arguments of the convolutions: arrays in any memory layout are accepted; what is refused, with which message."""

import numpy as np
import pytest
from layouts import unusual

from pyconvx import ops


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_memory_layout(dtype):
    rng = np.random.default_rng(6)
    x, kernel, bias = (rng.standard_normal(s).astype(dtype) for s in [(2, 6, 7, 5), (3, 3, 5, 9), (9,)])
    y = ops.conv2d(x, kernel, bias)
    back = [a.tobytes() for a in ops.conv2d_backward(y, x, kernel)]
    for x_, kernel_, bias_, y_ in zip(*(unusual(a) for a in (x, kernel, bias, y)), strict=True):
        before = [a.tobytes() for a in (x_, kernel_, bias_, y_)]
        assert ops.conv2d(x_, kernel_, bias_).tobytes() == y.tobytes()
        assert [a.tobytes() for a in ops.conv2d_backward(y_, x_, kernel_)] == back
        assert [a.tobytes() for a in (x_, kernel_, bias_, y_)] == before


def test_empty_batch():
    x, kernel = np.zeros((0, 6, 6, 3)), np.ones((3, 3, 3, 4))
    y = ops.conv2d(x, kernel)
    assert y.shape == (0, 4, 4, 4)
    dx, dkernel, dbias = ops.conv2d_backward(y, x, kernel)
    assert dx.shape == x.shape
    assert not dkernel.any()
    assert not dbias.any()


X, KERNEL = np.zeros((2, 8, 8, 4), np.float32), np.zeros((3, 3, 4, 6), np.float32)
REFUSED = [
    ({"x": X[0]}, ValueError, r"x must have 4 axes, got shape \(8, 8, 4\)"),
    ({"x": X[..., :0]}, ValueError, r"x of shape \(2, 8, 8, 0\) has a zero dimension"),
    ({"x": X[:, :, :0], "padding": 2}, ValueError, r"x of shape \(2, 8, 0, 4\) has a zero dimension"),
    ({"x": X[:, :0], "padding": 2}, ValueError, r"x of shape \(2, 0, 8, 4\) has a zero dimension"),
    ({"kernel": KERNEL[:, :, 0]}, ValueError, r"kernel must have 4 axes, got shape \(3, 3, 6\)"),
    ({"kernel": KERNEL[:0]}, ValueError, r"kernel of shape \(0, 3, 4, 6\) has a zero dimension"),
    ({"kernel": KERNEL[:, :, :0]}, ValueError, r"kernel of shape \(3, 3, 0, 6\) has a zero dimension"),
    ({"kernel": KERNEL[..., :0]}, ValueError, r"kernel of shape \(3, 3, 4, 0\) has a zero dimension"),
    ({"kernel": KERNEL[:, :, :3]}, ValueError, r"\(3, 3, 3, 6\) takes 3 channels.*x.shape=\(2, 8, 8, 4\)"),
    ({"kernel": np.zeros((11, 3, 4, 6), "f")}, ValueError, r"kernel 11x3 \(dilation 1x1\) exceeds.*8x8"),
    ({"dilation": 4}, ValueError, r"kernel 3x3 \(dilation 4x4\) exceeds the padded input 8x8"),
    ({"bias": np.zeros(5, "f")}, ValueError, r"bias must have shape \(6,\), got \(5,\)"),
    ({"bias": np.zeros((6, 1), "f")}, ValueError, r"bias must have 1 axes"),
    ({"bias": np.zeros(6)}, TypeError, "x is float32, bias is float64"),
    ({"kernel": KERNEL.astype(np.float64)}, TypeError, "x is float32, kernel is float64"),
    ({"x": X.astype(np.float16)}, TypeError, "float32 or float64, got float16"),
    ({"x": X.astype(np.longdouble)}, TypeError, "float32 or float64"),
    ({"x": X.astype(bool)}, TypeError, "float32 or float64, got bool"),
    ({"x": X.astype(np.uint8)}, TypeError, "float32 or float64, got uint8"),
    ({"x": X.astype(object)}, TypeError, "float32 or float64, got object"),
    ({"x": X.astype(complex)}, TypeError, "float32 or float64, got complex128"),
    ({"x": np.ma.masked_array(X)}, TypeError, "masked"),
    ({"stride": 0}, ValueError, "stride must be >= 1, got 0"),
    ({"stride": (1, -2)}, ValueError, "stride must be >= 1, got -2"),
    ({"stride": 1.0}, TypeError, "stride must be an int, got 1.0"),
    ({"stride": True}, TypeError, "stride must be an int, got True"),
    ({"stride": (1,)}, ValueError, r"stride must be .*got \(1,\)"),
    ({"stride": (1, 1, 1)}, ValueError, r"stride must be .*got \(1, 1, 1\)"),
    ({"dilation": 0}, ValueError, "dilation must be >= 1, got 0"),
    ({"dilation": "2"}, TypeError, "dilation must be an int, got '2'"),
    ({"padding": -1}, ValueError, "padding must be >= 0, got -1"),
    ({"padding": (1, 2, 3)}, ValueError, r"padding must be .*got \(1, 2, 3\)"),
    ({"padding": "SAME"}, ValueError, "padding must be .*got 'SAME'"),
    ({"padding": 2**40}, ValueError, "too large"),
    ({"padding": 2**61}, ValueError, "too large"),
    ({"groups": 0}, ValueError, "groups must be >= 1, got 0"),
    ({"groups": 3}, ValueError, "groups=3 must divide the 4 input and 6 output channels"),
    ({"groups": 2}, ValueError, "takes 8 channels with groups=2"),
    ({"n_threads": 0}, ValueError, "n_threads must not be 0"),
    ({"n_threads": True}, TypeError, "n_threads must be an int or None"),
]


def opens_with_its_name(caught, operation):
    """Check that the message begins with the function's name; those about padding and threads have none."""
    assert str(caught.value).startswith((f"{operation}: ", "padding must be ", "n_threads must "))


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
def test_refused(arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        ops.conv2d(**{"x": X, "kernel": KERNEL, **arguments})
    opens_with_its_name(caught, "conv2d")
    if "bias" not in arguments:
        with pytest.raises(error, match=message) as caught:
            ops.conv2d_backward(**{"dy": np.zeros((2, 6, 6, 6), "f"), "x": X, "kernel": KERNEL, **arguments})
        opens_with_its_name(caught, "conv2d_backward")


@pytest.mark.parametrize(
    ("dy", "error", "message"),
    [
        (np.zeros((2, 6, 5, 6), "f"), ValueError, r"dy must have shape \(2, 6, 6, 6\), got \(2, 6, 5, 6\)"),
        (np.zeros((2, 6, 6, 4), "f"), ValueError, r"dy must have shape \(2, 6, 6, 6\), got \(2, 6, 6, 4\)"),
        (np.zeros((2, 6, 6, 6)), TypeError, "x is float32, dy is float64"),
    ],
)
def test_refused_gradient(dy, error, message):
    with pytest.raises(error, match=message):
        ops.conv2d_backward(dy, X, KERNEL)


def test_huge_but_legal():
    """A stride that leads beyond the only window is never used."""
    y = ops.conv2d(X, KERNEL, stride=2**40, padding=1)
    assert y.shape == (2, 1, 1, 6)
    assert ops.conv2d_backward(y, X, KERNEL, stride=2**40, padding=1)[0].shape == X.shape


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64])
def test_sizes_in_numpys_small_integers(kind):
    """300 channels do not fit into their types."""
    wide, kernel = np.ones((1, 5, 5, 300), "f"), np.ones((3, 3, 150, 300), "f")
    sizes = {"stride": kind(1), "padding": kind(100), "dilation": kind(100), "groups": kind(2)}
    y = ops.conv2d(wide, kernel, **sizes)
    assert y.shape == (1, 5, 5, 300)
    for ours, plain in zip(
        ops.conv2d_backward(y, wide, kernel, **sizes),
        ops.conv2d_backward(y, wide, kernel, **{name: int(size) for name, size in sizes.items()}),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, plain)
