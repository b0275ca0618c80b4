"""Pools with ceil_mode: sizes by the formula, windows larger than the map, values and gradients by slow loops."""

import itertools
import math

import numpy as np
import pytest
from nets import outputs

from pyconvx import CNNClassifier, ops
from pyconvx.layers import Activation, AvgPool1D, AvgPool2D, Conv2D, MaxPool1D, MaxPool2D
from pyconvx.network import CompiledNetwork, Network

CASES = [
    (size, taps, stride, padding)
    for size, taps, stride, padding in itertools.product(range(1, 6), range(1, 7), range(1, 5), range(3))
    if padding < taps
]


def cells_of(size, taps, stride, padding, dilation=1):
    """Count windows: round up, but none begins in the padding after the data."""
    cells = math.ceil((size + 2 * padding - dilation * (taps - 1) - 1) / stride) + 1
    return cells - 1 if (cells - 1) * stride >= size + padding else cells


def places(cell, size, taps, stride, padding, dilation=1):
    """Return which pixels a window sees, and how many of its taps lie in the padded input."""
    taps = cell * stride - padding + dilation * np.arange(taps)
    return taps[(taps >= 0) & (taps < size)], int(((taps >= -padding) & (taps < size + padding)).sum())


def pooled(x, taps, stride, padding, dilation=1, mean=None):
    """Pool rows and columns by loops; None takes the maximum, else whether padding counts in the mean."""
    shape = [cells_of(size, taps, stride, padding, dilation) for size in x.shape[1:3]]
    y = np.empty((len(x), *shape, x.shape[3]))
    for i, j in np.ndindex(*shape):
        (rows, high), (columns, wide) = (
            places(cell, size, taps, stride, padding, dilation)
            for cell, size in zip((i, j), x.shape[1:3], strict=True)
        )
        part = x[:, rows][:, :, columns]
        count = high * wide if mean else len(rows) * len(columns)
        y[:, i, j] = part.max((1, 2)) if mean is None else part.sum((1, 2)) / count
    return y


@pytest.mark.parametrize("case", CASES, ids=str)
def test_sizes_values_and_gradients(case):
    size, taps, stride, padding = case
    x = np.random.default_rng(0).standard_normal((2, size, size + 1, 3))
    options = {"stride": stride, "padding": padding, "ceil_mode": True}
    if min(cells_of(length, taps, stride, padding) for length in (size, size + 1)) < 1:
        with pytest.raises(ValueError, match=r"kernel .* exceeds the padded input"):
            ops.max_pool2d(x, taps, **options)
        with pytest.raises(ValueError, match=r"kernel .* exceeds the padded input"):
            ops.avg_pool2d(x, taps, **options)
        return
    assert ops.conv_output_size(size, taps, **options) == cells_of(size, taps, stride, padding)
    y, argmax = ops.max_pool2d(x, taps, **options)
    np.testing.assert_array_equal(y, pooled(x, taps, stride, padding))
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dx = ops.max_pool2d_backward(dy, argmax, x.shape)
    assert np.vdot(dx, x) == pytest.approx(np.vdot(dy, y))  # a maximum is linear where its places stay
    for counted in (True, False):
        y = ops.avg_pool2d(x, taps, count_include_pad=counted, **options)
        np.testing.assert_allclose(y, pooled(x, taps, stride, padding, mean=counted), rtol=1e-12, atol=1e-14)
        dx = ops.avg_pool2d_backward(dy, x.shape, taps, count_include_pad=counted, **options)
        assert np.vdot(dx, x) == pytest.approx(np.vdot(dy, y))


@pytest.mark.parametrize("dilation", [2, 3])
@pytest.mark.parametrize("size", [3, 4, 5])
def test_dilated_windows_larger_than_the_map(size, dilation):
    x = np.random.default_rng(0).standard_normal((1, size, size, 2))
    y, _ = ops.max_pool2d(x, 3, stride=2 * dilation, dilation=dilation, ceil_mode=True)
    np.testing.assert_array_equal(y, pooled(x, 3, 2 * dilation, 0, dilation))


def test_the_documented_example():
    assert MaxPool2D(3, stride=2, ceil_mode=True).output_shape((2, 2, 5)) == (1, 1, 5)
    assert AvgPool2D(3, stride=2, ceil_mode=True).output_shape((2, 2, 5)) == (1, 1, 5)
    assert MaxPool1D(3, stride=2, ceil_mode=True).output_shape((2, 5)) == (1, 5)
    assert AvgPool1D(3, stride=2, ceil_mode=True).output_shape((2, 5)) == (1, 5)
    with pytest.raises(ValueError, match=r"kernel 4x4 .* exceeds the padded input 2x2"):
        MaxPool2D(4, stride=2, ceil_mode=True).output_shape((2, 2, 5))
    with pytest.raises(ValueError, match=r"kernel 3x3 .* exceeds the padded input 2x2"):
        MaxPool2D(3, stride=2).output_shape((2, 2, 5))


@pytest.mark.parametrize("pool", [MaxPool2D, AvgPool2D])
@pytest.mark.parametrize("threads", [1, 3])
def test_in_networks_and_behind_a_convolution(pool, threads):
    layers = (Conv2D(4, 3), Activation("relu"), pool(3, stride=2, ceil_mode=True))
    x = np.random.default_rng(0).standard_normal((5, 4, 4, 2))
    network = Network(layers, (4, 4, 2), seed=0, dtype=np.float64)
    maps = outputs(Network(layers[:2], (4, 4, 2), seed=0, dtype=np.float64), x)
    expected = pooled(maps, 3, 2, 0, mean=None if pool is MaxPool2D else False)
    np.testing.assert_allclose(outputs(network, x, n_threads=threads), expected, rtol=1e-12)
    program, given, found = CompiledNetwork(network, threads).program(5)
    given[:] = x
    program.run()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_training_through_windows_larger_than_the_map():
    X, y = np.random.default_rng(0).random((20, 2, 2)), np.arange(20) % 2
    clf = CNNClassifier(layers=[MaxPool2D(3, stride=2, ceil_mode=True)], max_iter=2, tol=None, random_state=0).fit(
        X, y
    )
    assert clf.network_.shapes[0] == (1, 1, 1)
    assert np.isfinite(clf.predict_proba(X)).all()
