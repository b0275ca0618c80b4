"""Convolution and its gradients against the oracle: exact on whole numbers, over the matrix of options."""

import doctest
import itertools

import numpy as np
import oracle
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from levels import on_each_level

from pyconvx import ops
from pyconvx.ops import convolution

DTYPES = [np.float32, np.float64]
# (N, H, W, C), (KH, KW), OC: stems, whole vectors, channels that fill no vector, one-pixel maps
SHAPES = [
    ((2, 6, 7, 3), (3, 3), 5),
    ((1, 9, 5, 1), (3, 2), 16),
    ((3, 5, 5, 4), (1, 1), 33),
    ((2, 4, 8, 8), (2, 4), 64),
    ((1, 1, 1, 6), (1, 1), 7),
    ((2, 13, 13, 2), (5, 5), 3),
]
STRIDES = [1, 2, (3, 1)]
PADDINGS = [0, 2, (1, 0), ((0, 1), (2, 0)), "same", "valid"]
DILATIONS = [1, (2, 3)]
# (C, OC, groups): plain groups, depthwise, depthwise with two and three kernels a channel
GROUPS = [(4, 6, 2), (12, 9, 3), (5, 5, 5), (16, 32, 16), (3, 9, 3), (40, 40, 40), (64, 32, 2)]


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def fits(size, kernel_size, sides, dilation):
    return all(
        d * (k - 1) + 1 <= n + sum(p) for n, k, p, d in zip(size, kernel_size, sides, dilation, strict=True)
    )


def check(shape, kernel_size, OC, stride, padding, dilation, groups, dtype, seed=0):
    """Forward and all gradients equal the oracle's, cell by cell; False if the kernel does not fit."""
    stride_, dilation_ = pair(stride), pair(dilation)
    sides = oracle.sides(padding, shape[1:3], kernel_size, stride_, dilation_)
    if not fits(shape[1:3], kernel_size, sides, dilation_):
        return False
    rng = np.random.default_rng(seed)
    x = oracle.integer_array(rng, shape, dtype)
    kernel = oracle.integer_array(rng, (*kernel_size, shape[3] // groups, OC), dtype)
    bias = oracle.integer_array(rng, (OC,), dtype)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    plain = {"stride": stride_, "padding": sides, "dilation": dilation_, "groups": groups}
    y = ops.conv2d(x, kernel, bias, **options)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, oracle.conv2d(x, kernel, bias, **plain))
    dy = oracle.integer_array(rng, y.shape, dtype)
    results = ops.conv2d_backward(dy, x, kernel, **options)
    for name, got, expected in zip(
        ("dx", "dkernel", "dbias"), results, oracle.conv2d_backward(dy, x, kernel, **plain), strict=True
    ):
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, expected, err_msg=name)
    return True


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dilation", DILATIONS)
@pytest.mark.parametrize(("shape", "kernel_size", "OC"), SHAPES)
def test_matrix(shape, kernel_size, OC, dilation, dtype):
    checked = [
        check(shape, kernel_size, OC, stride, padding, dilation, 1, dtype)
        for stride, padding in itertools.product(STRIDES, PADDINGS)
    ]
    assert sum(checked) >= 6


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("C", "OC", "groups"), GROUPS)
def test_groups(C, OC, groups, dtype):
    for stride, padding, dilation in itertools.product([1, 2], [0, "same", ((1, 0), (0, 2))], DILATIONS):
        assert check((2, 7, 8, C), (3, 2), OC, stride, padding, dilation, groups, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stride", [1, 2])
def test_wide_layers(stride, dtype):
    """Enough channels for every block size of the tile; maps of one to three tiles' height."""
    for C, OC, width in [(64, 64, 13), (32, 80, 7), (130, 70, 3), (16, 200, 1), (3, 96, 17)]:
        assert check((2, 4, width, C), (3, 3), OC, stride, "same", 1, 1, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("C", [1, 2, 3, 4, 5, 7])
def test_few_channels(C, dtype):
    """Stems of one to seven channels: rows of dy in several pieces, gaps between taps and between windows."""
    for kernel_size, OC, stride, padding, dilation in [
        ((3, 3), 32, 1, "same", 1),
        ((7, 7), 17, 2, 3, 1),
        ((2, 3), 5, (4, 5), 0, 1),
        ((3, 2), 6, (2, 3), ((2, 0), (1, 4)), (2, 3)),
        ((1, 5), 3, 1, 2, 1),
    ]:
        assert check((2, 17, 70, C), kernel_size, OC, stride, padding, dilation, 1, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("C", [2, 7, 16, 37])
def test_depthwise(C, dtype):
    """Rows of every length, shorter than the kernel too; three taps a row and other numbers of them."""
    for width, kernel_size in itertools.product([1, 2, 3, 9, 10, 11, 20, 26], [(3, 3), (2, 3), (3, 5)]):
        assert check((2, 6, width, C), kernel_size, C, 1, (2, 2), 1, C, dtype)
    for stride, padding, dilation in [
        (2, 1, 1),
        ((2, 1), 1, 1),
        ((1, 2), 0, 1),
        (1, 3, (1, 2)),
        (1, (1, 4), (2, 1)),
    ]:
        assert check((2, 9, 14, C), (3, 3), C, stride, padding, dilation, C, dtype)


@st.composite
def convolutions(draw):
    """Any small convolution; its kernel may be too large to be legal."""
    small, side = st.integers(1, 4), st.integers(0, 3)
    groups = draw(st.integers(1, 4))
    shape = draw(st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 9)))
    shape = (*shape, groups * draw(st.integers(1, 6)))
    OC = groups * draw(st.integers(1, 20))
    kernel_size, stride = draw(st.tuples(small, small)), draw(st.tuples(small, small))
    padding = draw(
        st.one_of(
            st.sampled_from(["same", "valid"]),
            side,
            st.tuples(side, side),
            st.tuples(st.tuples(side, side), st.tuples(side, side)),
        )
    )
    return shape, kernel_size, OC, stride, padding, draw(st.tuples(small, small)), groups


@settings(max_examples=200, deadline=None)
@given(convolutions(), st.sampled_from(DTYPES), st.integers(0, 2**32))
def test_anywhere(convolution, dtype, seed):
    assume(check(*convolution, dtype, seed))


@settings(max_examples=50, deadline=None)
@given(convolutions(), st.integers(0, 2**32))
def test_gradients_are_adjoint(convolution, seed):
    """<conv(x, w), g> = <x, dx> = <w, dw>, and <g, 1> = db, in float64 on real numbers."""
    shape, kernel_size, OC, stride, padding, dilation, groups = convolution
    sides = oracle.sides(padding, shape[1:3], kernel_size, stride, dilation)
    assume(fits(shape[1:3], kernel_size, sides, dilation) and shape[0])
    rng = np.random.default_rng(seed)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x = rng.standard_normal(shape)
    kernel = rng.standard_normal((*kernel_size, shape[3] // groups, OC))
    y = ops.conv2d(x, kernel, **options)
    g = rng.standard_normal(y.shape)
    dx, dkernel, dbias = ops.conv2d_backward(g, x, kernel, **options)
    oracle.assert_adjoint([(y, g), (x, dx), (kernel, dkernel)])
    np.testing.assert_allclose(dbias, g.sum(axis=(0, 1, 2)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "OC", "options"),
    [
        ((19, 12, 13, 32), 64, {}),
        ((33, 14, 14, 3), 32, {"padding": "same", "stride": 2}),
        ((2, 61, 90, 3), 40, {"padding": 1}),
        ((1, 70, 64, 2), 24, {"padding": 2, "stride": (1, 2), "dilation": (2, 1)}),
        ((8, 12, 12, 32), 32, {"groups": 32, "padding": 1}),
        ((9, 16, 15, 24), 48, {"groups": 2, "dilation": (2, 1), "padding": ((1, 0), (2, 2))}),
        ((2, 9, 9, 96), 160, {"padding": "same"}),
    ],
)
def test_thread_counts_agree(shape, OC, options, dtype):
    """The same bits from 1, 2, 3 and 5 threads, on real numbers; every case is large enough to use threads."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape).astype(dtype)
    kernel = rng.standard_normal((3, 3, shape[3] // options.get("groups", 1), OC)).astype(dtype)
    bias = rng.standard_normal(OC).astype(dtype)
    y = ops.conv2d(x, kernel, bias, **options, n_threads=1)
    dy = rng.standard_normal(y.shape).astype(dtype)
    first = ops.conv2d_backward(dy, x, kernel, **options, n_threads=1)
    for threads in (2, 3, 5):
        assert ops.conv2d(x, kernel, bias, **options, n_threads=threads).tobytes() == y.tobytes()
        again = ops.conv2d_backward(dy, x, kernel, **options, n_threads=threads)
        assert [a.tobytes() for a in again] == [a.tobytes() for a in first]


def test_levels_agree():
    """AVX2 and AVX-512 give the same bits; the baseline, without fused multiply-add, the same to rounding."""
    shown = on_each_level("""
from pyconvx import ops
rng = np.random.default_rng(2)
for dtype in (np.float32, np.float64):
    cases = [(1, 32, 1, 1), (3, 20, 1, 2), (32, 64, 1, 1), (24, 24, 24, 1), (70, 130, 2, 1), (5, 33, 1, 1)]
    for C, OC, groups, stride in cases:
        x = rng.standard_normal((9, 13, 11, C)).astype(dtype)
        kernel = rng.standard_normal((3, 3, C // groups, OC)).astype(dtype)
        y = ops.conv2d(x, kernel, kernel[0, 0, 0], stride=stride, padding=1, groups=groups)
        dy = rng.standard_normal(y.shape).astype(dtype)
        show(y, *ops.conv2d_backward(dy, x, kernel, stride=stride, padding=1, groups=groups))
""")
    fused = [digests for level, digests in shown.items() if level != "baseline"]
    assert len(shown["baseline"]) == 12
    assert all(digests == fused[0] for digests in fused)


@pytest.mark.parametrize("dtype", DTYPES)
def test_real_numbers_are_close_to_the_oracle(dtype):
    """At whatever level is in use, the error of a sum of K products stays below K roundings."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 9, 9, 16)).astype(dtype)
    kernel = rng.standard_normal((3, 3, 16, 24)).astype(dtype)
    expected = oracle.conv2d(x, kernel, padding=((1, 1), (1, 1)))
    error = np.abs(ops.conv2d(x, kernel, padding=1) - expected)
    bound = oracle.conv2d(np.abs(x), np.abs(kernel), padding=((1, 1), (1, 1)))
    assert (error <= 9 * 16 * np.finfo(dtype).eps * bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_does_not_depend_on_its_batch(dtype):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((7, 8, 9, 5)).astype(dtype)
    kernel = rng.standard_normal((3, 3, 5, 40)).astype(dtype)
    y = ops.conv2d(x, kernel, padding="same")
    for start, stop in [(0, 1), (3, 7), (6, 7)]:
        assert ops.conv2d(x[start:stop], kernel, padding="same").tobytes() == y[start:stop].tobytes()


def test_one_by_one_kernel_is_a_matrix_product():
    rng = np.random.default_rng(5)
    x = oracle.integer_array(rng, (3, 4, 5, 6))
    kernel = oracle.integer_array(rng, (1, 1, 6, 7))
    np.testing.assert_array_equal(ops.conv2d(x, kernel), x @ kernel[0, 0])


def test_not_a_number_stays_in_its_windows():
    x = np.ones((1, 6, 6, 2), np.float32)
    x[0, 2, 3, 1] = np.nan
    y = ops.conv2d(x, np.ones((3, 3, 2, 20), np.float32))
    touched = np.zeros((4, 4), bool)
    touched[0:3, 1:4] = True
    np.testing.assert_array_equal(np.isnan(y[0]), np.repeat(touched[..., None], 20, axis=2))


@pytest.mark.parametrize("C", [1, 3, 24])
def test_not_a_number_in_a_gradient_stays_in_its_window(C):
    dy = np.ones((1, 8, 9, 20), np.float32)
    dy[0, 2, 3, 7] = np.nan
    x = np.ones((1, 17, 19, C), np.float32)
    dx, _, _ = ops.conv2d_backward(dy, x, np.ones((3, 3, C, 20), np.float32), stride=2)
    touched = np.zeros((17, 19), bool)
    touched[4:7, 6:9] = True
    np.testing.assert_array_equal(np.isnan(dx[0]), np.repeat(touched[..., None], C, axis=2))


def test_examples():
    for module in (convolution, ops.geometry):
        results = doctest.testmod(module)
        assert results.attempted > 0
        assert results.failed == 0
