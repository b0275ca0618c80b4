"""Objects that are almost arrays of floats: other dtypes, subclasses, objects that raise or are too large."""

import numpy as np
import pytest
import scipy.sparse as sp
from layouts import unusual
from small import fitted, images, quick

from pyconvx import activations, ops
from pyconvx._core.arrays import FLOATS, check_array
from pyconvx.filters import apply_filter

PIXELS = np.zeros((1, 3, 3, 1))
IMAGES, LABELS = images()


class Broken:
    """An object whose conversion to an array raises."""

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
    """The size can be computed, but no memory holds it."""
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


BROADCAST = {
    "conv2d": lambda x: ops.conv2d(x, np.ones((3, 2, 4, 5)), padding=1),
    "conv2d_backward": lambda x: ops.conv2d_backward(x, x, np.ones((1, 1, 4, 4)))[1],
    "max_pool2d": lambda x: ops.max_pool2d(x, 2)[0],
    "avg_pool2d": lambda x: ops.avg_pool2d(x, 3, stride=1),
    "global_avg_pool2d": ops.global_avg_pool2d,
    "gelu": activations.gelu.forward,
    "softmax": activations.softmax.forward,
}


@pytest.mark.parametrize("name", BROADCAST)
def test_arrays_whose_rows_are_one_row(name):
    """Return an array with a stride of 0, as `numpy.broadcast_to` makes it."""
    one = np.random.default_rng(0).standard_normal((5, 6, 4))
    for x in (np.broadcast_to(one, (3, 5, 6, 4)), np.broadcast_to(one[:, :1], (3, 5, 6, 4))):
        assert BROADCAST[name](x).tobytes() == BROADCAST[name](x.copy()).tobytes()


def test_images_that_are_one_image():
    x = np.broadcast_to(IMAGES[:1], IMAGES.shape)
    clf = fitted(x, LABELS)
    expected = fitted(x.copy(), LABELS).predict_proba(x.copy())
    np.testing.assert_array_equal(clf.predict_proba(x), expected)


@pytest.mark.filterwarnings("ignore::pyconvx.InputScaleWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_compiled_predictors_take_any_memory(dtype, tmp_path):
    pixels = (50 * IMAGES).astype(dtype)
    clf = fitted(pixels, LABELS)
    predictor = clf.compile_predictor()
    expected = predictor(pixels)
    np.save(tmp_path / "X.npy", pixels)
    for x in (*unusual(pixels), np.load(tmp_path / "X.npy", mmap_mode="r")):
        assert predictor(x).tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", [sp.csr_array, sp.coo_matrix])
def test_sparse_arrays_are_refused(kind):
    sparse = kind(np.eye(4))
    with pytest.raises(TypeError, match="bias must be float32 or float64, got object"):
        ops.conv2d(PIXELS, np.ones((1, 1, 1, 4)), sparse)
    with pytest.raises(TypeError, match="x must be float32 or float64, got object"):
        activations.relu.forward(sparse)
    with pytest.raises(TypeError, match="image must hold real numbers, got object"):
        apply_filter(sparse, "identity")


HIDDEN = np.ma.masked_array(np.ones(len(LABELS)), LABELS == 0)


@pytest.mark.parametrize(("call", "name"), [
    (lambda: quick().fit(IMAGES, HIDDEN), "y"),
    (lambda: quick().partial_fit(IMAGES, HIDDEN, [0, 1]), "y"),
    (lambda: quick().fit(IMAGES, LABELS, X_val=IMAGES, y_val=HIDDEN), "y_val"),
    (lambda: quick().fit(IMAGES, LABELS, HIDDEN), "sample_weight"),
    (lambda: fitted(IMAGES, LABELS).compile_predictor()(np.ma.masked_array(IMAGES)), "X"),
])  # fmt: skip
def test_hidden_values_are_refused(call, name):
    with pytest.raises(TypeError, match=f"^{name} is a masked array; fill it first"):
        call()


def test_arrays_that_are_not_copied():
    """The check of functions that use arrays without a copy, one condition at a time."""
    good = np.ones((3, 4))
    frozen = np.ones((3, 4))
    frozen.flags.writeable = False
    for array in (good, good[:0], good[1:], frozen, good.astype(np.float32), good.view(np.recarray)):
        check_array("x", array, FLOATS, 2)
    check_array("x", good, (np.dtype(np.float64),), 2, written=True)
    check_array("x", good.view(np.recarray), FLOATS, 2, written=True)
    odd = np.frombuffer(bytearray(97), np.uint8)[1:].view(np.float64).reshape(3, 4)
    refused = {
        "a numpy array, got list": good.tolist(),
        "a numpy array, got MaskedArray": np.ma.masked_array(good),
        "float32 or float64, got int64": good.astype(np.int64),
        r"have 2 axes, got shape \(12,\)": good.ravel(),
        r"x of shape \(4, 3\) must be C-contiguous and aligned": good.T,
        r"x of shape \(3, 4\) must be C-contiguous and aligned": odd,
    }
    for words, array in refused.items():
        with pytest.raises((TypeError, ValueError), match=words):
            check_array("x", array, FLOATS, 2)
    with pytest.raises(ValueError, match=r"^x of shape \(3, 4\) is read-only, but it is written"):
        check_array("x", frozen, FLOATS, 2, written=True)
