"""When shifting the image and shifting the output are the same thing, exactly, and when they are not.

Stride 1: any shift, inside the border. Stride s: shifts by multiples of s; they move the output by shift / s.
In between nothing is promised. Whole numbers, so that equality is meant.
"""

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyconvx import ops

RNG = np.random.default_rng(0)
KERNEL = oracle.integer_array(RNG, (3, 3, 2, 5))
# A pattern in the middle of zeros wide enough that no shift below reaches the border.
IMAGE = np.zeros((1, 24, 26, 2))
IMAGE[:, 9:14, 9:15] = oracle.integer_array(RNG, (1, 5, 6, 2), low=1)


def shift(x, rows, columns):
    return np.roll(x, (rows, columns), axis=(1, 2))


def convolution(x, stride=1, padding=0):
    return ops.conv2d(x, KERNEL, stride=stride, padding=padding)


def max_pooling(x, stride=2, padding=0):
    return ops.max_pool2d(x, 3, stride=stride, padding=padding)[0]


def avg_pooling(x, stride=2, padding=0):
    return ops.avg_pool2d(x, 2, stride=stride, padding=padding)


@settings(max_examples=60, deadline=None)
@given(st.integers(-6, 6), st.integers(-6, 6), st.sampled_from([0, 1, "same"]))
def test_convolution_follows_any_shift(rows, columns, padding):
    y = convolution(IMAGE, padding=padding)
    np.testing.assert_array_equal(
        convolution(shift(IMAGE, rows, columns), padding=padding), shift(y, rows, columns)
    )


@pytest.mark.parametrize("operation", [convolution, max_pooling, avg_pooling])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_strides_follow_their_multiples(operation, stride):
    y = operation(IMAGE, stride=stride)
    for rows, columns in [(1, 0), (0, -1), (2, 1), (-2, -2)]:
        moved = operation(shift(IMAGE, stride * rows, stride * columns), stride=stride)
        np.testing.assert_array_equal(moved, shift(y, rows, columns))


@pytest.mark.parametrize("operation", [convolution, max_pooling, avg_pooling])
def test_a_shift_by_half_a_stride_is_not_followed(operation):
    """With stride 2, a shift by one pixel gives an output that is not shifted by 0 or by 1."""
    y = operation(IMAGE, stride=2)
    moved = operation(shift(IMAGE, 1, 1), stride=2)
    shifts = [shift(y, rows, columns) for rows in (-1, 0, 1) for columns in (-1, 0, 1)]
    assert not any(np.array_equal(moved, other) for other in shifts)


def test_zero_padding_marks_the_border():
    """Zero padding tells a pattern at the border where it is, so shifts are not followed there."""
    corner = np.zeros((1, 8, 8, 2))
    corner[:, 2:5, 2:5] = IMAGE[:, 9:12, 9:12]
    y = convolution(corner, padding=1)
    at_border = convolution(corner[:, 3:], padding=1)
    assert np.array_equal(y[:, 4:], at_border[:, 1:])
    assert not np.array_equal(y[:, 3], at_border[:, 0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 11), st.integers(0, 12))
def test_circular_padding_follows_every_shift(rows, columns):
    """On a torus there is no border."""
    x = oracle.integer_array(np.random.default_rng(1), (1, 12, 13, 2))

    def on_torus(x):
        return convolution(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="wrap"))

    np.testing.assert_array_equal(on_torus(shift(x, rows, columns)), shift(on_torus(x), rows, columns))


def test_global_pooling_forgets_the_place():
    y = ops.global_avg_pool2d(convolution(IMAGE))
    np.testing.assert_array_equal(ops.global_avg_pool2d(convolution(shift(IMAGE, 4, -5))), y)


def test_a_one_pixel_shift_moves_a_pooled_map_less():
    """Pooling bridges part of a shift by one pixel; it does not undo it (see above)."""
    moved = shift(IMAGE, 0, 1)
    plain = np.abs(moved - IMAGE).sum() / np.abs(IMAGE).sum()
    before, after = max_pooling(IMAGE), max_pooling(moved)
    assert np.abs(after - before).sum() / np.abs(before).sum() < plain


def test_rotation_is_not_followed():
    """A rotated image gives another map, not the rotated map."""
    y, turned = convolution(IMAGE), convolution(np.rot90(IMAGE, axes=(1, 2)))
    assert not any(np.array_equal(np.rot90(y, turns, axes=(1, 2)), turned) for turns in range(4))
