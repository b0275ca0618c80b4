"""Which convolutions go through Winograd's transform, how exact they are, and what a network learns with them."""

import itertools

import numpy as np
import pytest
from nets import RELU, pictures, trainer
from plans import convolved, plan_by

from pyconvx import ops
from pyconvx.layers import Conv2D, Dense, Flatten, MaxPool2D, Residual
from pyconvx.network import Network
from pyconvx.ops import winograd
from pyconvx.ops.geometry import window
from pyconvx.solvers import SGD


@pytest.mark.parametrize("C", [16, 64, 256])
def test_error(C, monkeypatch):
    """On normal numbers, compared with the direct float32 kernels; docs/internals/kernels.md has the figures."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in ((4, 16, 16, C), (3, 3, C, C), (4, 16, 16, C))]

    def results(dtype):
        x, kernel, dy = (np.float32(array).astype(dtype) for array in arrays)
        return ops.conv2d(x, kernel, padding="same"), *ops.conv2d_backward(dy, x, kernel, padding="same")[:2]

    ours, exact = results(np.float32), results(np.float64)
    monkeypatch.setattr(winograd, "suits", lambda *sizes: False)
    for got, direct, true in zip(ours, results(np.float32), exact, strict=True):
        error, usual = got - true, direct - true
        assert error.std() < min(1.1 * usual.std(), 1e-6 * true.std())
        assert np.abs(error).max() < min(1.1 * np.abs(usual).max(), 1e-5 * true.std())


PLAIN = {"size": (3, 3), "C": 32, "OC": 64, "stride": 1, "dilation": 1, "groups": 1, "dtype": "f4"}
SUITED = [{}, {"C": 16, "OC": 16}, {"C": 256, "OC": 512}, {"C": 512, "OC": 256}]
OTHERS = [
    {"C": 15}, {"OC": 15}, {"C": 1}, {"C": 257, "OC": 512}, {"size": (1, 1)}, {"size": (2, 2)}, {"size": (5, 5)},
    {"size": (3, 1)}, {"stride": 2}, {"stride": (1, 2)}, {"dilation": 2}, {"dilation": (2, 1)}, {"groups": 2},
    {"groups": 32}, {"dtype": "f8"},
]  # fmt: skip


@pytest.mark.parametrize("case", [*SUITED, *OTHERS], ids=str)
def test_chooser(case):
    """The shape of one sample chooses the way: its bits are the same for every batch and number of threads."""
    size, C, OC, stride, dilation, groups, dtype = (PLAIN | case).values()
    options = {"stride": stride, "dilation": dilation}
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 8, 7, C)).astype(dtype)
    kernel = rng.standard_normal((*size, C // groups, OC)).astype(dtype)
    taps = window("test", (8, 7), size, **options)
    direct = convolved(plan_by("direct", x.shape, OC, taps, groups, dtype, 1), x, kernel)
    for n, threads in itertools.product((1, 5), (1, 2)):
        y = ops.conv2d(x[:n], kernel, **options, groups=groups, n_threads=threads)
        assert (y.tobytes() != direct[:n].tobytes()) == (case in SUITED)
        np.testing.assert_allclose(y, direct[:n], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("size", "padding", "suited"), [
    ((4, 4), 1, True), ((3, 3), 1, False), ((5, 5), 1, False), ((7, 7), 1, True), ((5, 5), 0, False),
    ((6, 6), 0, True), ((1, 1), 2, False), ((2, 9), ((1, 2), (0, 0)), False), ((20, 4), ((0, 2), (3, 0)), False),
    ((20, 6), ((0, 2), (3, 0)), True),
])  # fmt: skip
def test_small_maps_go_the_way_of_fewer_products(size, padding, suited):
    taps = window("test", size, (3, 3), padding=padding)
    direct = ops.conv2d(np.ones((1, *size, 1)), np.ones((3, 3, 1, 1)), padding=padding).sum()
    tiles = -(-taps.OH // 2) * -(-taps.OW // 2)
    assert (direct / (16 * tiles) >= 1.3) == suited
    assert winograd.suits(taps, 16, 16, 1, 4) == suited


def layers():
    """Return layers that were never used: layers keep their plans."""
    return (
        Conv2D(16, padding="same"), RELU, Conv2D(32), RELU, MaxPool2D(),
        Residual((Conv2D(32, padding="same"), RELU)), Conv2D(16, padding=1), MaxPool2D(3), Flatten(), Dense(10),
    )  # fmt: skip


def test_a_network_learns_the_same(monkeypatch):
    """Two steps from the same start with Winograd, and with the direct kernels alone."""
    X, y = pictures(30, (8, 8, 1), 10, dtype=np.float32)

    def learned():
        network = Network(layers(), (8, 8, 1), dtype=np.float32)
        start = network.buffer.copy()
        loop = trainer(network, X, y, solver=SGD(), batch_size=30, learning_rate_init=0.1)
        loop.run(2)
        return network.buffer - start

    step = learned()
    monkeypatch.setattr(winograd, "suits", lambda *sizes: False)
    expected = learned()
    assert step.tobytes() != expected.tobytes()
    np.testing.assert_allclose(step, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
