"""Convolutions through Winograd's F(2x2, 3x3), forward and backward, in both precisions.

The chooser, `suits`, keeps float64 and small layers on the direct way. Most tests leave it no choice, so that any
shape and float64 go through these kernels too. Transforms add and halve: on small whole numbers all sums
are exact, and results equal the oracle's. Every array that a kernel may read or write first holds NaN.
"""

import itertools
from types import SimpleNamespace

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from levels import on_each_level
from plans import plan_by, scratch_of

from pyconvx import activations, ops
from pyconvx.ops import elementwise
from pyconvx.ops.geometry import window

DTYPES = [np.float32, np.float64]
PADDINGS = [0, "same", ((2, 1), (0, 2)), ((0, 3), (4, 1))]
CHANNELS = [(1, 1), (5, 16), (16, 33), (20, 5), (33, 48), (48, 64), (64, 20), (130, 1), (16, 130)]
# one output, odd and even maps, wide and high ones, blocks of one sample and of several
SIZES = [(2, 3, 3), (1, 4, 5), (3, 6, 4), (17, 5, 3), (40, 4, 4), (2, 7, 8)]
# if the gradient of the kernel is large, threads own channels; so they do for dx if the kernel is large
WAYS = [(1, 16, 16), (1, 96, 96), (1, 130, 150), (2, 16, 600), (33, 9, 33)]


def data(shape, OC, padding=0, dtype=np.float64, pool=None, whole=False, seed=0):
    """Return a convolution's arrays, which are read-only, and its windows."""
    rng = np.random.default_rng(seed)

    def draw(*sizes):
        values = oracle.integer_array(rng, sizes) if whole else rng.standard_normal(sizes)
        values = values.astype(dtype)
        values.flags.writeable = False
        return values

    taps = window("test", shape[1:3], (3, 3), padding=padding)
    over = None if pool is None else window("test", (taps.OH, taps.OW), pool, stride=pool)
    out = taps if over is None else over
    arrays = draw(*shape), draw(3, 3, shape[3], OC), draw(OC), draw(shape[0], out.OH, out.OW, OC)
    return SimpleNamespace(**dict(zip(("x", "kernel", "bias", "dy"), arrays, strict=True)), window=taps, over=over)


def planned(d, threads, pool):
    return plan_by("winograd", d.x.shape, d.kernel.shape[3], d.window, 1, d.x.dtype, threads, pool)


def forward(d, threads=1, function=None, in_place=False, prepared=None):
    """Return the map or its maxima, f of them, and the winners."""
    y = np.full_like(d.dy, np.nan)
    activated = None if function is None else y if in_place else np.full_like(y, np.nan)
    winner = None if d.over is None else np.full(y.shape, 255, np.uint8)
    plan = planned(d, threads, d.over)
    kernel, capsule = d.kernel if prepared is None else prepared, getattr(function, "capsule", None)
    scratch = scratch_of(plan.forward_scratch, y.dtype)
    plan.forward(d.x, kernel, d.bias, y, activated, winner, capsule, scratch)
    return y, activated, winner


def backward(d, threads=1, winner=None, wanted=(True, True)):
    """Return the gradients of the kernel, added to ones, and of the input."""
    dkernel, dx = np.ones_like(d.kernel) if wanted[0] else None, np.full_like(d.x, np.nan) if wanted[1] else None
    plan = planned(d, threads, None if winner is None else d.over)
    plan.backward(d.x, d.dy, d.kernel, dkernel, dx, winner, scratch_of(plan.backward_scratch, d.x.dtype))
    return dkernel, dx


def same_bits(*groups):
    for group in groups[1:]:
        assert [a.tobytes() for a in group] == [a.tobytes() for a in groups[0]]


def sides(d):
    return {"padding": (d.window.rows[4:6], d.window.columns[4:6])}


def check_gradients(d, dy, reference, winner=None):
    """Check the gradients for a map whose gradient is `dy`; each one alone has the bits of both together."""
    dx, dkernel, _ = reference.conv2d_backward(dy, np.float64(d.x), np.float64(d.kernel), **sides(d))
    both = backward(d, winner=winner)
    np.testing.assert_array_equal(both[0], dkernel + 1)
    np.testing.assert_array_equal(both[1], dx)
    same_bits(both, [backward(d, 1, winner, wanted)[i] for i, wanted in enumerate([(True, False), (False, True)])])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("padding", PADDINGS, ids=str)
@pytest.mark.parametrize(("C", "OC"), CHANNELS)
def test_equals_the_oracle(C, OC, padding, dtype):
    sizes = [*SIZES, (1, 1, 1), (3, 1, 6)] if padding == "same" else SIZES
    for N, H, W in sizes:
        d = data((N, H, W, C), OC, padding, dtype, whole=True)
        np.testing.assert_array_equal(forward(d)[0], oracle.conv2d(d.x, d.kernel, d.bias, **sides(d)))
        check_gradients(d, d.dy, oracle)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("N", "C", "OC"), WAYS)
def test_chunks_and_ways(N, C, OC, dtype):
    """Maps of more tiles than are worked on at a time, in each way of summing, equal the direct kernels'."""
    d = data((N, 27, 34, C), OC, "same", dtype, whole=True)
    x, kernel, bias, dy = (a.astype(np.float64) for a in (d.x, d.kernel, d.bias, d.dy))
    np.testing.assert_array_equal(forward(d)[0], ops.conv2d(x, kernel, bias, padding="same"))
    check_gradients(d, dy, ops)


@pytest.mark.parametrize("pool", [(2, 2), (3, 3), (2, 1)], ids=str)
@pytest.mark.parametrize(("C", "OC"), [(1, 5), (20, 33), (48, 16)])
def test_with_a_pool(C, OC, pool):
    """Maxima, winners and the gradients through them; whole numbers are often equal, and the first one wins."""
    for dtype, padding, (N, H, W) in itertools.product(DTYPES, PADDINGS, [(1, 5, 5), (3, 8, 7), (17, 6, 9)]):
        d = data((N, H, W, C), OC, padding, dtype, pool, whole=True)
        y, _, winner = forward(d)
        plane = oracle.conv2d(d.x, d.kernel, d.bias, **sides(d))
        expected, argmax = oracle.max_pool2d(plane, pool, pool)
        np.testing.assert_array_equal(y, expected)
        rows = pool[0] * np.arange(d.over.OH)[:, None, None] + winner // pool[1]
        places = rows * d.window.OW + pool[1] * np.arange(d.over.OW)[:, None] + winner % pool[1]
        np.testing.assert_array_equal(places, argmax)
        slopes = np.zeros((N, d.window.OH * d.window.OW, OC))
        np.put_along_axis(slopes, argmax.reshape(N, -1, OC), d.dy.reshape(N, -1, OC), axis=1)
        check_gradients(d, slopes.reshape(plane.shape), oracle, winner)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pool", [None, (2, 2), (3, 2)], ids=str)
@pytest.mark.parametrize("name", ["relu", "tanh", "softsign"])
def test_activations(name, pool, dtype):
    """As the function on its own, after the map or its maxima; softsign needs the values before it."""
    function = activations.registry.get(name)
    for shape, OC in [((3, 7, 9, 5), 9), ((2, 6, 6, 16), 32)]:
        d = data(shape, OC, "same", dtype, pool)
        y, _, winner = forward(d)
        expected = np.empty_like(y)
        elementwise.activate(function.capsule, y.reshape(-1), expected.reshape(-1), 1)
        before, activated, again = forward(d, function=function)
        same_bits((y, expected), (before, activated))
        same_bits((expected,), (forward(d, function=function, in_place=True)[0],))
        np.testing.assert_array_equal(winner, again)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("pool", [None, (2, 2)], ids=str)
def test_not_finite(pool, value):
    """Cells that see such a pixel are not finite, and no others; a NaN wins its window."""
    for row, column, padding in itertools.product(range(6), range(5), [0, "same"]):
        d = data((1, 6, 5, 16), 20, padding, np.float32, pool)
        d.x = d.x.copy()
        d.x[0, row, column, 3] = value
        y, _, winner = forward(d)
        with np.errstate(invalid="ignore"):
            plane = oracle.conv2d(d.x, d.kernel, d.bias, **sides(d))
        plane[~np.isfinite(plane)] = np.nan
        if pool is None:
            np.testing.assert_array_equal(np.isfinite(y), np.isfinite(plane))
            continue
        expected, argmax = oracle.max_pool2d(plane, pool, pool)
        seen = np.isnan(expected)
        if np.isnan(value):
            np.testing.assert_array_equal(np.isnan(y), seen)
            first = argmax // d.window.OW % 2 * 2 + argmax % d.window.OW % 2
            np.testing.assert_array_equal(winner[seen], first[seen])
        assert np.isfinite(y[~seen]).all()
        assert seen.sum() in (0, 20, 40, 80)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_gradients_are_adjoint(draw):
    """<conv(x, w), g> = <x, dx> = <w, dw> on real numbers."""
    N, H, W, C, OC = (draw.draw(st.integers(1, most)) for most in (20, 9, 9, 40, 40))
    padding = tuple(tuple(draw.draw(st.integers(1, 3)) for _ in range(2)) for _ in range(2))
    d = data((N, H, W, C), OC, padding, seed=draw.draw(st.integers(0, 99)))
    d.bias = None
    dkernel, dx = backward(d)
    oracle.assert_adjoint([(forward(d)[0], d.dy), (d.x, dx), (d.kernel, dkernel - 1)], rtol=1e-12)


@pytest.mark.parametrize("pool", [None, (2, 2), (3, 2)], ids=str)
def test_gradients_are_right(pool):
    """Central differences of sum(y**2) / 2, which is quadratic in x and in the kernel."""
    d = data((2, 6, 7, 5), 6, 1, pool=pool)
    d.dy, _, winner = forward(d)
    dkernel, dx = backward(d, winner=winner)
    rng = np.random.default_rng(1)
    for name, gradient in (("x", dx), ("kernel", dkernel - 1)):
        middle = getattr(d, name)
        for _ in range(20):
            change = 1e-5 * rng.standard_normal(middle.shape)
            losses = []
            for sign in (1, -1):
                setattr(d, name, middle + sign * change)
                losses.append((forward(d)[0] ** 2).sum() / 2)
            np.testing.assert_allclose((losses[0] - losses[1]) / 2, (gradient * change).sum(), rtol=1e-6)
        setattr(d, name, middle)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pool", [None, (2, 2), (3, 2)], ids=str)
@pytest.mark.parametrize(("N", "C", "OC"), WAYS)
def test_thread_counts_agree(N, C, OC, pool, dtype):
    d = data((N, 15, 16, C), OC, 1, dtype, pool)
    function = activations.registry.get("softsign")
    first, winner = forward(d, 1, function)[:2], forward(d)[2]
    for threads in (2, 3, 5):
        same_bits(first, forward(d, threads, function)[:2])
        for wanted in ((True, True), (True, False), (False, True)):
            one, more = (backward(d, n, winner, wanted) for n in (1, threads))
            same_bits([a for a in one if a is not None], [a for a in more if a is not None])


@pytest.mark.parametrize("pool", [None, (2, 2), (3, 2)], ids=str)
def test_prepared_kernels(pool):
    """A kernel that was transformed before is taken as it is."""
    d = data((2, 9, 8, 20), 33, "same", np.float32, pool)
    y, prepared = forward(d)[0], planned(d, 1, d.over).prepared(d.kernel)
    same_bits((y,), (forward(d, prepared=prepared)[0],), (forward(d, prepared=prepared)[0],))
    prepared *= 2
    d.bias = d.bias * 2
    same_bits((2 * y,), (forward(d, prepared=prepared)[0],))


def test_levels_agree():
    """AVX2 and AVX-512 give the same bits; these and the baseline are close to exact sums."""
    shown = on_each_level("""
from test_winograd import DTYPES, WAYS, backward, data, forward, itertools, ops
for dtype, pool, (N, C, OC) in itertools.product(DTYPES, [None, (2, 2)], [*WAYS[:3], (2, 5, 20)]):
    d = data((N, 9, 8, C), OC, ((2, 1), (0, 2)), dtype, pool)
    y, _, winner = forward(d)
    got = backward(d, winner=winner)
    show(y, *got)
    if pool is None:
        x, kernel, dy = (a.astype(float) for a in (d.x, d.kernel, d.dy))
        exact = [ops.conv2d(x, kernel, d.bias.astype(float), padding=((2, 1), (0, 2)))]
        exact += ops.conv2d_backward(dy, x, kernel, padding=((2, 1), (0, 2)))[:2]
        for a, b in zip((y, got[1], got[0] - 1), exact):
            assert np.abs(a - b).max() < 200 * np.finfo(dtype).eps * b.std(), (C, OC, dtype)
""")
    fused = [digests for level, digests in shown.items() if level != "baseline"]
    assert len(shown["baseline"]) == 16
    assert all(digests == fused[0] for digests in fused)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_does_not_depend_on_its_batch(dtype):
    d = data((7, 8, 9, 20), 40, "same", dtype)
    part = SimpleNamespace(**vars(d))
    for start, stop in [(0, 1), (3, 7), (6, 7)]:
        part.x, part.dy = d.x[start:stop], d.dy[start:stop]
        same_bits((forward(d)[0][start:stop], backward(d)[1][start:stop]), (forward(part)[0], backward(part)[1]))
