"""Things that are nearly arrays of floats: other dtypes, subclasses, what raises, what fits no memory."""

import numpy as np
import pytest
from small import fitted, images, quick

from pyconvx import activations, ops
from pyconvx.filters import apply_filter

PIXELS = np.zeros((1, 3, 3, 1))
IMAGES, LABELS = images()


class Broken:
    """Something whose array cannot be had."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("not today")


def test_errors_of_arrays_pass_unchanged():
    with pytest.raises(RuntimeError, match="not today"):
        ops.conv2d(Broken(), np.ones((1, 1, 1, 1)))
    with pytest.raises(RuntimeError, match="not today"):
        activations.relu.forward(Broken())
    with pytest.raises(RuntimeError, match="not today"):
        quick().fit(Broken(), LABELS)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_matrices():
    with pytest.raises(TypeError, match=r"bias is a numpy\.matrix"):
        ops.conv2d(PIXELS, np.ones((1, 1, 1, 1)), np.matrix([1.0]))
    with pytest.raises(TypeError, match=r"image is a numpy\.matrix"):
        apply_filter(np.matrix(np.ones((4, 4))), "identity")


def test_results_beyond_memory():
    """Countable, but nowhere to put it."""
    with pytest.raises(MemoryError):
        ops.conv2d(PIXELS, np.ones((1, 1, 1, 1)), padding=1 << 26)


def test_subclasses_are_plain_arrays():
    class Tagged(np.ndarray):
        pass

    x = np.random.default_rng(0).standard_normal((1, 4, 4, 2)).view(Tagged)
    assert type(ops.avg_pool2d(x, 2)) is np.ndarray
    np.testing.assert_array_equal(ops.avg_pool2d(x, 2), ops.avg_pool2d(np.asarray(x), 2))


@pytest.mark.parametrize("dtype", ["f2", "g", "i2", "u4", "?", "O"])
def test_images_of_other_dtypes_are_converted(dtype):
    pixels = np.round(IMAGES).astype(dtype)
    expected = fitted(pixels.astype("f4"), LABELS, dtype="float32")
    clf = fitted(pixels, LABELS, dtype="float32")
    np.testing.assert_array_equal(clf.predict_proba(pixels), expected.predict_proba(pixels.astype("f4")))
