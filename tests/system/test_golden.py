"""Every worked example of the golden file, if it is at hand, and a dozen corrected ones in any case.

The dozen are those in which a printed value, formula or algorithm is wrong; they stand here in full.
"""

import golden
import golden_networks
import numpy as np
import pytest

from pyconvx import activations, ops

ENTRIES = golden.entries()
CHECKS = {**golden.CHECKS, **golden_networks.CHECKS}
# Arithmetic on the page that no function answers, and the folds of a cross validation: scikit-learn's.
OUTSIDE = {"arithmetic", "kfold"}
# Operations that wait for a part of the package; a reason belongs beside each.
PENDING: set[str] = set()


@pytest.mark.skipif(not ENTRIES, reason="no golden examples: PYCONVX_GOLDEN names their file")
def test_every_operation_is_known():
    assert {entry["op"] for entry in ENTRIES} == CHECKS.keys() | OUTSIDE | PENDING
    assert not CHECKS.keys() & (OUTSIDE | PENDING)


@pytest.mark.skipif(not ENTRIES, reason="no golden examples: PYCONVX_GOLDEN names their file")
@pytest.mark.parametrize(
    "entry",
    [pytest.param(e, id=e["id"]) for e in ENTRIES if e["op"] in CHECKS] or [None],
)
def test_entry(entry):
    CHECKS[entry["op"]](entry)


VERTICAL = np.array([[1.0, 0, -1]] * 3)
SIX = np.array(
    [
        [3.0, 0, 1, 2, 7, 4],
        [1, 5, 8, 9, 3, 1],
        [2, 7, 2, 5, 1, 3],
        [0, 1, 3, 1, 7, 8],
        [4, 2, 1, 6, 2, 8],
        [2, 4, 5, 2, 3, 9],
    ]
)
SIX_OUT = [[-5, -4, 0, 8], [-10, -2, 2, 3], [0, -2, -4, -7], [-3, -2, -3, -16]]
EDGE = np.repeat([[10.0, 10, 10, 100, 100, 100]], 6, axis=0)
CROSS = np.kron([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.ones((3, 3)))[1:8, 1:8]
PICTURE = np.array([[1.0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]])
# Two channels, two filters: channels of the image and of the kernels side by side.
TWO = np.stack([np.arange(1.0, 17).reshape(4, 4), np.kron([[1.0, 2], [3, 4]], np.ones((2, 2)))], axis=2)
FILTERS = np.array([[[[1.0, 1], [0.5, 1]], [[0, 1], [0.5, 1]]], [[[0, 1], [0.5, 1]], [[1, 1], [0.5, 1]]]])
SLOPES = np.array(
    [
        [[0.1, 0.3], [0.2, 0.1], [0.1, 0.2]],
        [[0.2, 0.2], [0.3, 0.4], [0.2, 0.1]],
        [[0.1, 0.3], [0.2, 0.2], [0.1, 0.3]],
    ]
)


def correlate(image, kernel, **options):
    """Convolve one channel to one channel."""
    kernel = np.asarray(kernel, np.float64)[:, :, None, None]
    return ops.conv2d(image[None, :, :, None], kernel, **options)[0, :, :, 0]


def test_vertical_edges_of_six_by_six():
    """The first complete example: five of its printed cells are wrong."""
    np.testing.assert_array_equal(correlate(SIX, VERTICAL), SIX_OUT)


def test_flipping_the_kernel_is_another_operation():
    """The printed definition flips it, every example does not; for this kernel the sign changes."""
    np.testing.assert_array_equal(correlate(SIX, VERTICAL[::-1, ::-1]), np.negative(SIX_OUT))


def test_a_straight_edge_is_seen_twice():
    """A window of width 3 covers the edge at two positions, along either axis."""
    np.testing.assert_array_equal(correlate(EDGE, VERTICAL), [[0, -270, -270, 0]] * 4)
    np.testing.assert_array_equal(correlate(EDGE.T, VERTICAL.T), np.transpose([[0, -270, -270, 0]] * 4))


def test_two_filters_on_two_channels():
    """The second channel moves with the window too: 16 printed cells are wrong."""
    y = ops.conv2d(TWO[None], FILTERS, np.array([0.0, -1]))[0]
    np.testing.assert_array_equal(y[:, :, 0], [[9, 12, 15], [19, 22, 25], [29, 32, 35]])
    np.testing.assert_array_equal(y[:, :, 1], [[17, 23, 29], [37, 43, 49], [57, 63, 69]])


def test_gradients_of_two_filters():
    """The sums that the page leaves incomplete."""
    _, dkernel, dbias = ops.conv2d_backward(SLOPES[None], TWO[None], FILTERS)
    golden.same(dkernel[:, :, 0, 0], [[9.0, 10.5], [15.0, 16.5]])
    golden.same(dkernel[:, :, 1, 1], [[4.3, 5.0], [5.7, 6.4]])
    golden.same(dbias, [1.5, 2.1])


def test_gradients_with_padding_and_stride():
    """A pixel gets gradients only from taps that covered it; the printed algorithm writes outside the array."""
    options = {"stride": 2, "padding": 1}
    y = ops.conv2d(TWO[None], FILTERS, np.array([0.0, -1]), **options)[0]
    golden.same(y[:, :, 0], [[1.5, 4.5, 1], [11, 22, 11], [1.5, 17.5, 18]])
    dx, dkernel, dbias = ops.conv2d_backward(SLOPES[None], TWO[None], FILTERS, **options)
    golden.same(dkernel[:, :, 0, 0], [[7.8, 7.4], [6.2, 5.8]])
    golden.same(dbias, [1.5, 2.1])
    golden.same(
        dx[0, :, :, 0],
        [[0.4, 0.1, 0.3, 0.2], [0.2, 0.7, 0.4, 0.3], [0.4, 0.4, 0.7, 0.1], [0.3, 0.4, 0.2, 0.4]],
    )


def test_the_picture_story():
    """Eight of nine cells of the map are wrong, and the pooled map is impossible."""
    y = correlate(PICTURE, VERTICAL)
    np.testing.assert_array_equal(y, [[-2, 0, 2], [-3, -2, 2], [-3, -1, 2]])
    y = activations.relu.forward(y)
    np.testing.assert_array_equal(y, [[0, 0, 2]] * 3)
    y = y[None, :, :, None]
    np.testing.assert_array_equal(ops.max_pool2d(y, 2)[0][0, :, :, 0], [[0]])
    np.testing.assert_array_equal(ops.max_pool2d(y, 2, ceil_mode=True)[0][0, :, :, 0], [[0, 2], [0, 2]])


def test_blur_of_the_cross():
    """With taps of 0.1 a bright area becomes 0.9, not 1."""
    y = correlate(CROSS, np.full((3, 3), 0.1))
    golden.same(y[0], [0.5, 0.7, 0.9, 0.7, 0.5])
    golden.same(y[2], [0.9] * 5)


def test_gelu_is_not_its_approximation():
    """A printed table of GELU is that of the tanh form."""
    x = np.array([-2.5, -2.0, 2.0])
    golden.same(np.round(activations.gelu.forward(x), 3), [-0.016, -0.046, 1.954])
    golden.same(np.round(activations.gelu_tanh.forward(x), 3), [-0.015, -0.045, 1.955])


def test_sizes_are_rounded_down():
    """(6 - 3) / 2 + 1 is 2.5 without the floor; padding (K - 1) / 2 keeps the size for odd K only."""
    assert ops.conv_output_size(6, 3, stride=2) == 2
    assert ops.conv_output_size(28, 4, padding=1) == 27
    assert ops.conv_output_size(28, 4, padding="same") == 28


def test_the_example_architecture_needs_its_padding():
    """224 can be halved five times with padding 3 and 1, but not without padding."""
    sizes = {True: [224], False: [224]}
    for k, p in [(7, 3), (3, 1), (3, 1), (3, 1), (3, 1)]:
        for padded, found in sizes.items():
            found.append(ops.conv_output_size(found[-1], k, stride=2, padding=p if padded else 0))
    assert sizes == {True: [224, 112, 56, 28, 14, 7], False: [224, 109, 54, 26, 12, 5]}


def test_receptive_field_of_strided_layers():
    """Strides multiply: the printed closed form holds for stride 1 alone."""
    assert golden_networks.field((3, 1), (3, 1), (3, 1)) == 7
    assert golden_networks.field((3, 2), (3, 2), (3, 2)) == 15
    assert golden_networks.field((3, 1), (2, 2), (3, 1), (2, 2)) == 10


def test_border_pixels_are_seen_less():
    """A corner is seen once, the middle nine times; with padding 1 a corner is seen four times."""
    x, ones = np.zeros((1, 6, 6, 1)), np.ones((3, 3, 1, 1))
    for padding, corner in [(0, 1), (1, 4)]:
        seen = ops.conv2d_backward(np.ones_like(ops.conv2d(x, ones, padding=padding)), x, ones, padding=padding)[0]
        assert (seen[0, 0, 0, 0], seen[0, 3, 3, 0]) == (corner, 9)
