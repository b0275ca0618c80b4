"""Output sizes: the formula with its floor, ceil mode, "same", and what is refused."""

import oracle
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyconvx import ops


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        (28, {"kernel_size": 3}, 26),
        (6, {"kernel_size": 3, "stride": 2}, 2),
        (224, {"kernel_size": 7, "stride": 2, "padding": 3}, 112),
        (224, {"kernel_size": 7, "stride": 2, "padding": "same"}, 112),
        (11, {"kernel_size": 2, "stride": 2}, 5),
        (11, {"kernel_size": 2, "stride": 2, "ceil_mode": True}, 6),
        (8, {"kernel_size": 3, "dilation": 3}, 2),
        (8, {"kernel_size": 4, "padding": (1, 2)}, 8),
    ],
)
def test_output_size(size, options, expected):
    assert ops.conv_output_size(size, **options) == expected


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 6), st.integers(1, 6), st.integers(0, 5), st.integers(0, 5),
    st.integers(1, 4), st.booleans(),
)  # fmt: skip
def test_output_size_counts_windows(size, kernel_size, stride, before, after, dilation, ceil_mode):
    reach = dilation * (kernel_size - 1) + 1
    assume(reach <= size + before + after)
    assume(not ceil_mode or max(before, after) < reach)  # what pooling allows
    got = ops.conv_output_size(
        size, kernel_size, stride=stride, padding=(before, after), dilation=dilation, ceil_mode=ceil_mode
    )
    assert got == oracle.output_size(size, kernel_size, stride, (before, after), dilation, ceil_mode)
    assert ops.conv_output_size(size, kernel_size, stride=stride, padding="same") == -(-size // stride)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 3), ValueError, "size must be >= 1, got 0"),
        ((2, 3), ValueError, "kernel_size 3 .*exceeds the padded input of 2"),
        ((8, 2.0), TypeError, "kernel_size must be an int, got 2.0"),
        ((8, True), TypeError, "kernel_size must be an int, got True"),
    ],
)
def test_output_size_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        ops.conv_output_size(*arguments)
