"""Sizes, padding and windows by themselves: each number of a window, each limit from both sides."""

import numpy as np
import pytest

from pyconvx import ops
from pyconvx._core.arrays import as_float_array, same_dtype
from pyconvx._core.numbers import as_int
from pyconvx._core.threads import ONE_THREAD
from pyconvx.ops import conv_output_size
from pyconvx.ops.geometry import LARGEST, Window, WindowAxis, as_padding, as_pair, check_size, window
from pyconvx.ops.pool_plan import AvgPoolPlan, MaxPoolPlan, winner_dtype
from pyconvx.ops.pool_window import pool_window, whole_window
from pyconvx.ops.pooling import _input_shape_of


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        ([[1, 2], (3, 4)], ((1, 2), (3, 4))),
        (np.int64(3), ((3, 3), (3, 3))),
        ("valid", ((0, 0), (0, 0))),
        ("same", "same"),
    ],
)
def test_padding_in_all_its_forms(padding, expected):
    assert as_padding(padding) == expected


@pytest.mark.parametrize(
    ("padding", "error", "words"),
    [
        (-1, ValueError, "^padding must be >= 0, got -1"),
        ((1, -1), ValueError, "^padding must be >= 0, got -1"),
        (((1, 2), (3, -4)), ValueError, "^padding must be >= 0, got -4"),
        (((1, 2), 3), TypeError, r"^padding must be an int, got \(1, 2\)"),
        (((1, 2, 3), (4, 5)), ValueError, r"^padding must be an int or a pair \(height, width\), got \(1, 2, 3\)"),
        ((), ValueError, r'^padding must be an int, .*, "same" or "valid", got \(\)'),
        ("Same", ValueError, "^padding must be an int, .*, got 'Same'"),
        (None, TypeError, "^padding must be an int, got None"),
    ],
)
def test_padding_that_is_refused(padding, error, words):
    with pytest.raises(error, match=words):
        as_padding(padding)


def test_integers():
    assert as_int("n", np.int32(3), 3) == 3
    assert type(as_int("n", np.int32(3), 3)) is int
    with pytest.raises(ValueError, match=r"^n must be >= 4, got 3"):
        as_int("n", 3, 4)
    for value in (True, np.True_, 3.0, "3", None):
        with pytest.raises(TypeError, match=r"^n must be an int, got "):
            as_int("n", value, 1)
    assert as_pair("p", [1, 2], 1) == (1, 2)
    assert as_pair("p", 2, 2) == (2, 2)
    for value in ((1, 2), (2, 1), 1):
        with pytest.raises(ValueError, match=r"^p must be >= 2, got 1"):
            as_pair("p", value, 2)


def test_every_number_of_a_window():
    got = window("w", (9, 12), (2, 3), stride=(2, 3), padding=((1, 2), (3, 0)), dilation=(4, 2))
    assert got == Window(WindowAxis(9, 2, 2, 4, 1, 2, 4), WindowAxis(12, 3, 3, 2, 3, 0, 4))
    assert (got.rows.extent, got.columns.extent) == (5, 5)
    assert (got.rows.padded_size, got.columns.padded_size) == (12, 15)
    got = window("w", (9, 12), (2, 3), stride=(2, 3), padding=((0, 0), (2, 0)), dilation=(4, 2), ceil_mode=True)
    assert (got.OH, got.OW) == (3, 4)
    got = window("w", (9, 12), (2, 3), stride=(2, 3), padding=((0, 0), (2, 0)), dilation=(4, 2))
    assert (got.OH, got.OW) == (3, 4)
    assert window("w", (5, 6), (3, 2)) == Window(WindowAxis(5, 3, 1, 1, 0, 0, 3), WindowAxis(6, 2, 1, 1, 0, 0, 5))


def test_same_puts_the_smaller_half_before():
    got = window("w", (8, 7), (3, 4), stride=(2, 1), padding="same", dilation=(1, 2))
    assert got == Window(WindowAxis(8, 3, 2, 1, 0, 1, 4), WindowAxis(7, 4, 1, 2, 3, 3, 7))
    got = window("w", (7, 8), (4, 3), stride=(1, 2), padding="same", dilation=(2, 1))
    assert got == Window(WindowAxis(7, 4, 1, 2, 3, 3, 7), WindowAxis(8, 3, 2, 1, 0, 1, 4))
    assert window("w", (9, 9), (1, 2), stride=(3, 9), padding="same").columns.before == 0  # nothing to pad


def test_dilation_of_a_single_tap_has_no_effect():
    got = window("w", (4, 5), (1, 2), dilation=(9, 4))
    assert (got.rows.dilation, got.columns.dilation, got.OH, got.OW) == (1, 4, 4, 1)
    got = window("w", (5, 4), (2, 1), dilation=(4, 9))
    assert (got.rows.dilation, got.columns.dilation, got.OH, got.OW) == (4, 1, 1, 4)


def test_a_stride_is_cut_to_the_padded_input():
    got = window("w", (4, 5), 2 * (2,), stride=(7, 9), padding=((1, 2), (1, 0)))
    assert (got.rows.stride, got.columns.stride, got.OH, got.OW) == (7, 6, 1, 1)
    got = window("w", (4, 5), 2 * (2,), stride=(8, 6), padding=((1, 2), (1, 0)))
    assert (got.rows.stride, got.columns.stride, got.OH, got.OW) == (7, 6, 1, 1)


@pytest.mark.parametrize(
    ("kernel", "padding", "dilation"),
    [
        ((7, 1), ((1, 2), (0, 0)), 1), ((1, 8), ((0, 0), (2, 1)), 1),
        ((3, 1), ((0, 3), (0, 0)), 3), ((1, 3), ((0, 0), (2, 0)), 3),
    ],
)  # fmt: skip
def test_a_window_may_fill_the_padded_input_and_no_more(kernel, padding, dilation):
    got = window("w", (4, 5), kernel, padding=padding, dilation=dilation)
    assert min(got.OH, got.OW) == 1
    for short in ((3, 5), (4, 4)):
        if (short[0] < 4) == (kernel[0] > 1):
            with pytest.raises(ValueError, match=r"^w: kernel .* exceeds the padded input"):
                window("w", short, kernel, padding=padding, dilation=dilation)


@pytest.mark.parametrize("name", ["stride", "dilation"])
def test_a_window_names_its_caller(name):
    with pytest.raises(ValueError, match=f"^w: {name} must be >= 1, got 0"):
        window("w", (4, 5), (1, 1), **{name: (1, 0)})


def test_output_sizes_by_name_and_limit():
    assert conv_output_size(7, 3, padding=(0, 4)) == 9
    assert conv_output_size(7, 3, padding="same", stride=3) == 3
    assert conv_output_size(3, 3, padding="valid") == 1
    assert conv_output_size(5, 3, dilation=2, padding="same") == 5
    for name in ("size", "kernel_size", "stride", "dilation"):
        with pytest.raises(ValueError, match=f"^{name} must be >= 1, got 0"):
            conv_output_size(**{"size": 5, "kernel_size": 2, name: 0})
    with pytest.raises(ValueError, match=r"^padding must be >= 0, got -1"):
        conv_output_size(5, 2, padding=(0, -1))
    with pytest.raises(ValueError, match=r"^kernel_size 4 \(dilation 2\) exceeds the padded input of 6"):
        conv_output_size(3, 4, dilation=2, padding=(1, 2))
    # windows of a ceil mode that begin in the padding after the data are dropped, those inside stay
    assert conv_output_size(5, 2, stride=3, padding=(0, 1), ceil_mode=True) == 2
    assert conv_output_size(3, 2, stride=3, padding=(0, 1), ceil_mode=True) == 1
    assert conv_output_size(4, 2, stride=3, padding=(0, 1), ceil_mode=True) == 2


def test_the_largest_array():
    check_size("w", 2, LARGEST // 2)
    check_size("w", 1, 1, LARGEST)
    check_size("w", 0, LARGEST)
    with pytest.raises(ValueError, match=rf"^w: an array of shape \(1, {LARGEST + 1}\) is too large"):
        check_size("w", 1, LARGEST + 1)


def test_a_pools_window():
    got = pool_window("p", (1, 9, 12, 3), (2, 3), None, ((1, 0), (0, 2)), 1, False)
    assert got == Window(WindowAxis(9, 2, 2, 1, 1, 0, 5), WindowAxis(12, 3, 3, 1, 0, 2, 4))
    got = pool_window("p", (1, 9, 12, 3), (2, 3), (3, 2), 0, (2, 1), True)
    assert got == Window(WindowAxis(9, 2, 3, 2, 0, 0, 3), WindowAxis(12, 3, 2, 1, 0, 0, 6))


@pytest.mark.parametrize(
    ("shape", "size", "padding", "dilation", "words"),
    [
        ((1, 4, 9, 1), (3, 2), ((0, 3), (0, 0)), 1, "padding 3 along the height must be less than .* extent 3"),
        ((1, 9, 4, 1), (2, 3), ((0, 0), (3, 0)), 1, "padding 3 along the width must be less than .* extent 3"),
        ((1, 2, 9, 1), (2, 1), ((3, 3), (0, 0)), (4, 1), "window 1 along the height has no tap in the image of 2"),
        ((1, 9, 2, 1), (1, 2), ((0, 0), (3, 3)), (1, 4), "window 1 along the width has no tap in the image of 2"),
        ((1, 2, 9, 1), (2, 1), ((4, 4), (0, 0)), (4, 1), "window 2 along the height has no tap"),
    ],
)
def test_windows_that_see_nothing(shape, size, padding, dilation, words):
    with pytest.raises(ValueError, match=f"^p: .*{words}"):
        pool_window("p", shape, size, 1, padding, dilation, False)


def test_windows_that_see_a_corner_are_legal():
    assert pool_window("p", (1, 4, 5, 1), (3, 3), 1, 2, 1, False).OH == 6
    assert pool_window("p", (1, 4, 4, 1), (2, 2), 1, 4, 4, False).OW == 8
    assert pool_window("p", (1, 2, 2, 1), (3, 3), 1, 2, 2, False).OH == 2
    assert pool_window("p", (1, 3, 3, 1), (2, 2), 3, 3, 3, False).OH == 2


def test_the_type_of_a_winner():
    def taps(height, width):
        return Window(WindowAxis(height, height, 1, 1, 0, 0, 1), WindowAxis(width, width, 1, 1, 0, 0, 1))

    assert winner_dtype(taps(16, 16)) == np.uint8
    assert winner_dtype(taps(1, 257)) == np.int32
    assert winner_dtype(taps(2**15, 2**16)) == np.int32
    with pytest.raises(ValueError, match=r"^max pool: a window of 1x2147483649 is too large"):
        winner_dtype(taps(1, 2**31 + 1))


def test_one_thread_for_small_maps():
    limit = ONE_THREAD["pooled bytes"]
    assert limit % 16 == 0
    for plan in (MaxPoolPlan, AvgPoolPlan):
        for dtype, C in ((np.float32, limit // 16), (np.float64, limit // 32)):
            assert plan((2, 2, 1, C), whole_window((2, 2, 1, C)), dtype, 3).n_threads == 1
            assert plan((2, 2, 1, C + 1), whole_window((2, 2, 1, C)), dtype, 3).n_threads == 3
    with pytest.raises(ValueError, match="must not be 0"):
        ops.max_pool2d(np.ones((1, 2, 2, 1)), 2, n_threads=0)


def test_the_input_shape_of_a_gradient():
    dy = np.empty((2, 3, 3, 5))
    assert _input_shape_of("p", [2, 6, np.int64(7), 5], dy) == (2, 6, 7, 5)
    assert _input_shape_of("p", (0, 1, 1, 5), dy[:0]) == (0, 1, 1, 5)
    with pytest.raises(ValueError, match=r"^p: input_shape must be \(N, H, W, C\), got \(2, 6, 7, 5, 1\)"):
        _input_shape_of("p", [2, 6, 7, 5, 1], dy)
    for shape in ((3, 6, 7, 5), (2, 6, 7, 4)):
        with pytest.raises(ValueError, match=r"^p: .* differ in samples or channels"):
            _input_shape_of("p", shape, dy)
    for shape in ((-1, 6, 7, 5), (2, 0, 7, 5), (2, 6, 0, 5), (2, 6, 7, 0)):
        with pytest.raises(ValueError, match=r"^p: input_shape must be >= "):
            _input_shape_of("p", shape, dy)
    assert _input_shape_of("p", (2, 1, 1, 1), dy[..., :1]) == (2, 1, 1, 1)
    many = np.broadcast_to(np.float32(0), (2**20, 1, 1, 2**20))
    for H, W in ((2**18, 1), (1, 2**18)):
        with pytest.raises(ValueError, match=r"^p: an array of shape .* is too large"):
            _input_shape_of("p", (2**20, H, W, 2**20), many)


def test_arrays_in_native_order_and_aligned():
    given = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.shares_memory(as_float_array("f", "x", given, 2), given)
    for other in (
        given.astype(">f4"),
        np.asfortranarray(given),
        np.zeros(25, np.uint8)[1:].view(np.float32).reshape(2, 3),
    ):
        got = as_float_array("f", "x", other, 2)
        assert got.dtype.isnative
        assert got.flags.c_contiguous
        assert got.flags.aligned
        np.testing.assert_array_equal(got, other)
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix(given)
    with pytest.raises(TypeError, match=r"^f: x is a numpy\.matrix; pass numpy\.asarray of it"):
        as_float_array("f", "x", matrix, 2)
    with pytest.raises(TypeError, match=r"^f: x is a masked array"):
        as_float_array("f", "x", np.ma.masked_array(given), 2)
    with pytest.raises(TypeError, match=r"^f: x must be float32 or float64, got int64"):
        as_float_array("f", "x", [[1, 2]], 2)
    with pytest.raises(ValueError, match=r"^f: x must have 3 axes, got shape \(2, 3\)"):
        as_float_array("f", "x", given, 3)


def test_types_that_differ():
    single, double = np.ones(1, np.float32), np.ones(1)
    same_dtype("f", ("x", "y", "z"), (single, single, single))
    with pytest.raises(TypeError, match=r"^f: x is float32, z is float64: convert one of them"):
        same_dtype("f", ("x", "y", "z"), (single, single, double))
    with pytest.raises(TypeError, match=r"^f: x is float64, y is float32"):
        same_dtype("f", ("x", "y", "z"), (double, single, double))
    with pytest.raises(ValueError, match="zip"):
        same_dtype("f", ("x", "y"), (single,))
