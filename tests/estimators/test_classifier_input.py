"""What X, y and weights CNNClassifier takes, and every row of the contract's table of bad input."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from layouts import unusual
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.preprocessing import StandardScaler
from small import fitted, images, quick, weights_of

from pyconvx import PluginError
from pyconvx.layers import Conv2D

X, Y = images()
FLAT = X.reshape(len(X), -1)
PREDICTORS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


def fails(error, words, *data, **parameters):
    with pytest.raises(error, match=words):
        fitted(*data, **parameters)


@pytest.mark.parametrize("method", PREDICTORS)
def test_not_fitted(method):
    with pytest.raises(NotFittedError, match="CNNClassifier instance is not fitted yet"):
        getattr(quick(), method)(X)
    with pytest.raises(NotFittedError):
        quick().feature_maps(X, 0)
    with pytest.raises(NotFittedError):
        quick().score(X, Y)


def test_y_is_none():
    fails(ValueError, "requires y to be passed, but the target y is None", X, None)


@pytest.mark.parametrize("shape", [(0, 6, 6, 1), (0, 6, 6), (0, 36)])
def test_no_samples(shape):
    words = r"Found array with 0 sample\(s\) \(shape=\(0, .* while a minimum of 1 is required"
    fails(ValueError, words, np.empty(shape), np.empty(0, int))
    with pytest.raises(ValueError, match=words):
        fitted(X, Y, image_shape=(6, 6)).predict(np.empty(shape))


@pytest.mark.parametrize("shape", [(3, 0, 6, 1), (3, 6, 6, 0), (3, 0, 6), (3, 0)])
def test_no_features(shape):
    words = r"Found array with 0 feature\(s\) \(shape=\(3, .* while a minimum of 1 is required"
    fails(ValueError, words, np.empty(shape), [0, 1, 2])


@pytest.mark.parametrize("data", [X, X[..., 0], FLAT], ids=["4-D", "3-D", "2-D"])
@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "Input X contains NaN"), (np.inf, "Input X contains infinity or a value too large for dtype")],
)
def test_not_finite(data, value, words):
    for dtype in (np.float64, np.float32, np.float16):
        bad = data.astype(dtype)
        bad[(3, *[0] * (data.ndim - 1))] = value
        fails(ValueError, words, bad, Y)
        clf = fitted(data.astype(dtype), Y)
        for method in PREDICTORS:
            with pytest.raises(ValueError, match=words):
                getattr(clf, method)(bad)


@pytest.mark.parametrize("value", [1e39, -1e300])
def test_finite_numbers_that_overflow_in_the_networks_precision(value):
    bad = X.copy()
    bad[-1, 0, 0, 0] = value
    words = r"too large for dtype\('float32'\)"
    fails(ValueError, words, bad, Y, dtype="float32")
    clf = fitted(X, Y, dtype="float32")
    with pytest.raises(ValueError, match=words):
        clf.predict(bad)
    with pytest.raises(ValueError, match=words):
        fitted(X, Y, {"X_val": bad, "y_val": Y}, dtype="float32")


def test_complex_numbers():
    for data in (X, FLAT):
        fails(ValueError, "Complex data not supported", data + 1j, Y)
        with pytest.raises(ValueError, match="Complex data not supported"):
            fitted(data, Y).predict(data + 1j)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_masked_arrays_and_matrices():
    for data in (X, FLAT):
        fails(TypeError, "X is a masked array", np.ma.masked_array(data, data > 1), Y)
        with pytest.raises(TypeError, match="X is a masked array"):
            fitted(data, Y).predict(np.ma.masked_array(data))
    fails(TypeError, "X is a numpy.matrix", np.matrix(FLAT), Y)


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_array, sp.coo_array])
def test_sparse(kind):
    fails(TypeError, "dense data is required", kind(FLAT), Y)
    with pytest.raises(TypeError, match="dense data is required"):
        fitted(FLAT, Y).predict(kind(FLAT))


def test_strings_and_objects():
    fails(ValueError, "not compatible with arrays of bytes/strings", [["a", "b"]] * 3, [0, 1, 2])
    fails((TypeError, ValueError), "argument must be .* string.* number", np.array([[{}]] * 3), [0, 1, 2])
    numbers = fitted(X.astype(object), Y)
    assert weights_of(numbers) == weights_of(fitted(X, Y))


def test_dimensions():
    fails(ValueError, "Expected 2D array, got 1D array instead", FLAT[:, 0], Y)
    fails(ValueError, "Found array with dim 5. CNNClassifier expected <= 4", X[None], Y)
    fails(ValueError, "Expected 2D array, got scalar array instead", 3.0, Y)
    fails(ValueError, r"Found input variables with inconsistent numbers of samples: \[30, 29\]", X, Y[:-1])


def test_other_feature_count():
    clf = fitted(np.ones((6, 16)), [0, 1] * 3)
    words = "X has 25 features, but CNNClassifier is expecting 16 features as input"
    for method in PREDICTORS:
        with pytest.raises(ValueError, match=words):
            getattr(clf, method)(np.ones((3, 25)))
    with pytest.raises(ValueError, match=words):
        clf.partial_fit(np.ones((6, 25)), [0, 1] * 3)


@pytest.mark.parametrize(
    ("other", "said"), [((4, 9, 1), r"\(4, 9, 1\)"), ((9, 4), r"\(9, 4\)"), ((6, 6, 2), r"\(6, 6, 2\)")]
)
def test_other_image_shape(other, said):
    clf = fitted(X, Y)
    with pytest.raises(ValueError, match=rf"{said}.*\(6, 6, 1\)"):
        clf.predict(np.ones((2, *other)))


def test_image_shape_must_fit_X():
    fails(ValueError, r"image_shape=\(5, 5\) has 25 pixels, X has 36 features", FLAT, Y, image_shape=(5, 5))
    fails(ValueError, r"shape \(6, 6, 1\), but image_shape=\(4, 9\)", X, Y, image_shape=(4, 9))


BYTES = (X * 80).astype(np.uint8)


@pytest.mark.filterwarnings("ignore::pyconvx.InputScaleWarning")
@pytest.mark.parametrize("other", [np.float64, np.float32, np.int64, np.int8])
def test_uint8_is_not_mixed(other):
    clf, plain = fitted(BYTES, Y), fitted(BYTES.astype(other), Y)
    words = f"fitted on uint8 images, scaled by 1/255, got X of {np.dtype(other)}: pass uint8, or fit on X / 255"
    for method in PREDICTORS:
        with pytest.raises(ValueError, match=words):
            getattr(clf, method)(BYTES.astype(other))
        with pytest.raises(ValueError, match="got uint8, which would be scaled by 1/255"):
            getattr(plain, method)(BYTES)
    with pytest.raises(ValueError, match=words):
        clf.partial_fit(BYTES.astype(other), Y)
    with pytest.raises(ValueError, match="got X_val of"):
        fitted(BYTES, Y, {"X_val": BYTES.astype(other), "y_val": Y})


@pytest.mark.filterwarnings("ignore::pyconvx.InputScaleWarning")
def test_uint8_is_scaled_by_its_type_alone():
    dark = np.minimum(BYTES, 1)
    scaled = fitted((dark / 255).astype(np.float32), Y)
    np.testing.assert_allclose(
        fitted(dark, Y).predict_proba(dark), scaled.predict_proba((dark / 255).astype(np.float32)), rtol=1e-4
    )
    clf = fitted(BYTES, Y)
    assert clf.network_.dtype == np.float32
    np.testing.assert_array_equal(clf.predict_proba(FLAT_BYTES), clf.predict_proba(BYTES))


FLAT_BYTES = BYTES.reshape(len(X), -1)


def test_continuous_y():
    fails(ValueError, "Unknown label type: continuous", X, Y + 0.5)


def test_column_y():
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        clf = fitted(X, Y[:, None])
    assert weights_of(clf) == weights_of(fitted(X, Y))
    fails(ValueError, "y should be a 1d array", X, Y[:, None] + np.arange(3))


def test_y_with_nan_or_mixed_kinds():
    fails(ValueError, "Input y contains NaN", X, np.where(Y == 0, np.nan, 1.0))
    fails(TypeError, "labels must be uniformly strings or numbers", X, np.array([1, "a", 2] * 10, object))


def test_one_class():
    clf = fitted(X, np.full(30, "only"))
    assert set(clf.predict(X)) == {"only"}
    np.testing.assert_array_equal(clf.predict_proba(X), np.ones((30, 1)))
    np.testing.assert_array_equal(clf.predict_log_proba(X), np.zeros((30, 1)))
    assert clf.decision_function(X).shape == (30,)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.where(np.arange(30) == 3, -1.0, 1), "negative weight"),
        (np.zeros(30), "at least one non-zero weight"),
        (np.ones(29), r"sample_weight.shape == \(29,\), expected \(30,\)!"),
        (np.ones((30, 1)), r"sample_weight.shape == \(30, 1\)"),
        (np.full(30, np.nan), "sample_weight contains NaN"),
        (["heavy"] * 30, "could not convert|weight"),
    ],
)
def test_bad_weights(weights, words):
    fails(ValueError, words, X, Y, weights)
    with pytest.raises(ValueError, match=words):
        quick().partial_fit(X, Y, np.unique(Y), weights)
    with pytest.raises(ValueError, match=words.replace("sample_weight", "sample_weight_val")):
        fitted(X, Y, {"X_val": X, "y_val": Y, "sample_weight_val": weights})


@pytest.mark.parametrize(
    "class_weight", [{0: -1, 1: 1, 2: 1}, {0: 0, 1: 0, 2: 0}, {0: np.nan, 1: 1, 2: 1}, {0: np.inf, 1: 1, 2: 1}]
)
def test_bad_class_weights(class_weight):
    fails(ValueError, "weight", X, Y, class_weight=class_weight)


def test_class_weight_for_unknown_labels():
    fails(ValueError, "are not in class_weight|classes", X, Y + 1, class_weight={7: 1.0})


def test_first_partial_fit_needs_classes():
    with pytest.raises(ValueError, match=r"classes must be passed on the first call to partial_fit\."):
        quick().partial_fit(X, Y)


def test_labels_unknown_to_a_warm_start_or_partial_fit():
    clf = fitted(X, Y, warm_start=True)
    before = weights_of(clf)
    for labels in (Y + 1, np.minimum(Y, 1)):
        with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
            fitted(X, labels, clf=clf)
    with pytest.raises(ValueError, match=r"has classes not in `self\.classes_`"):
        clf.partial_fit(X, Y + 1)
    with pytest.raises(ValueError, match="is not the same as on last call"):
        clf.partial_fit(X, Y, [0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"has classes not in `self\.classes_`"):
        quick().partial_fit(X, Y, [0, 1])
    with pytest.raises(ValueError, match="`y_val` has classes not in"):
        fitted(X, Y, {"X_val": X, "y_val": Y + 1})
    assert weights_of(clf) == before


@pytest.mark.parametrize("one", ["X_val", "y_val"])
def test_half_of_the_validation_data(one):
    fails(ValueError, "X_val and y_val belong together", X, Y, {one: {"X_val": X, "y_val": Y}[one]})
    fails(ValueError, "sample_weight_val needs X_val", X, Y, {"sample_weight_val": np.ones(30)})


UNKNOWN = {
    "solver": ("adamm", "solvers"),
    "activation": ("reelu", "activations"),
    "initializer": ("he_unifrom", "initializers"),
    "learning_rate": ("cosin", "schedules"),
    "loss": ("crossentropy", "losses"),
}


@pytest.mark.parametrize("parameter", UNKNOWN)
def test_unknown_plugin_names(parameter):
    name, group = UNKNOWN[parameter]
    fails(PluginError, rf"unknown .* '{name}': did you mean .*pyconvx\.{group}", X, Y, **{parameter: name})
    fails(PluginError, r"unknown layer 'conv3d': did you mean .*pyconvx\.layers", X, Y, layers=["conv3d"])


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([Conv2D(3, 9)], r"layer 0, Conv2D\(.*kernel_size=9.* cannot take input of shape \(6, 6, 1\).*smaller"),
        ([Conv2D(3), Conv2D(3), Conv2D(3)], r"layer 2, .*input of shape \(2, 2, 3\)"),
    ],
)
def test_kernels_larger_than_their_input(layers, words):
    fails(ValueError, words, X, Y, layers=layers)


def test_not_converged():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        quick().fit(X, Y)


LAYOUTS = [X.tolist(), X[..., 0], X[..., 0].tolist(), np.asfortranarray(X), *unusual(X), X.astype(object)]


@pytest.mark.parametrize("data", LAYOUTS, ids=range(len(LAYOUTS)))
def test_images_in_any_memory(data):
    expected, clf = fitted(X, Y), fitted(data, Y)
    assert weights_of(clf) == weights_of(expected)
    np.testing.assert_array_equal(clf.predict_proba(data), expected.predict_proba(X))
    assert clf.input_shape_ == (6, 6, 1)
    assert clf.n_features_in_ == 6
    assert not hasattr(clf, "feature_names_in_")


FRAME = pd.DataFrame(FLAT, columns=[f"p{i}" for i in range(36)])


FRAMES = [FRAME, pl.DataFrame(dict(zip(FRAME, FLAT.T, strict=True)))]


@pytest.mark.parametrize("data", [FLAT, FLAT.tolist(), *unusual(FLAT), *FRAMES], ids=range(10))
def test_flat_images(data):
    expected, clf = fitted(X, Y), fitted(data, Y, image_shape=(6, 6))
    assert weights_of(clf) == weights_of(expected)
    np.testing.assert_array_equal(clf.predict_proba(data), expected.predict_proba(X))
    # scikit-learn 1.6 knows no names of polars' frames
    named = isinstance(data, pd.DataFrame) or hasattr(StandardScaler().fit(data), "feature_names_in_")
    assert list(getattr(clf, "feature_names_in_", [])) == (list(FRAME) if named else [])


def test_flat_and_images_predict_each_other():
    clf, flat = fitted(X, Y), fitted(FLAT, Y, image_shape=(6, 6, 1))
    for one in (clf, flat):
        for data in (X, X[..., 0], FLAT):
            np.testing.assert_array_equal(one.predict_proba(data), clf.predict_proba(X))


@pytest.mark.filterwarnings("ignore::pyconvx.FlatImagesWarning")
def test_rows_without_image_shape_are_signals():
    clf = fitted(FLAT, Y)
    assert clf.input_shape_ == (1, 36, 1)
    for n in (1, 2, 3, 4, 5, 10, 30, 100):
        short = fitted(np.random.default_rng(0).uniform(size=(8, n)), [0, 1] * 4)
        assert short.input_shape_ == (1, n, 1)


def test_channels_first_equals_channels_last():
    colour, y = images(shape=(6, 5, 3))
    first = np.moveaxis(colour, -1, 1)
    expected = fitted(colour, y)
    for data in (first, np.ascontiguousarray(first)):
        clf = fitted(data, y, data_format="channels_first")
        assert clf.input_shape_ == (6, 5, 3)
        assert weights_of(clf) == weights_of(expected)
        np.testing.assert_array_equal(clf.predict_proba(data), expected.predict_proba(colour))
    flat = np.ascontiguousarray(first).reshape(len(first), -1)
    clf = fitted(flat, y, data_format="channels_first", image_shape=(3, 6, 5))
    assert weights_of(clf) == weights_of(expected)
    np.testing.assert_array_equal(clf.predict_proba(first), expected.predict_proba(colour))


def test_inputs_are_not_written(tmp_path):
    np.save(tmp_path / "x.npy", X)
    data = np.load(tmp_path / "x.npy", mmap_mode="r")
    weights, y = np.ones(30), Y.copy()
    for array in (weights, y):
        array.flags.writeable = False
    clf = fitted(data, y, weights)
    assert weights_of(clf) == weights_of(fitted(X, Y))
    np.testing.assert_array_equal(data, X)


LABELS = {
    "strings": np.array(["cat", "dog", "a much longer name"]),
    "objects": np.array(["u", "v", "w"], object),
    "gaps": np.array([-7, 3, 1000]),
    "floats": np.array([1.0, 2.0, 5.0]),
    "small ints": np.array([1, 2, 3], np.int8),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels(kind):
    names = LABELS[kind]
    clf = fitted(X, names[Y], max_iter=30, learning_rate_init=0.01)
    np.testing.assert_array_equal(clf.classes_, np.sort(names))
    predicted = clf.predict(X)
    assert predicted.dtype == names.dtype
    assert (predicted == names[Y]).mean() > 0.9


@pytest.mark.parametrize(
    "make", [pd.Series, list, lambda y: pl.Series("y", y), lambda y: pd.Series(y, dtype="category")]
)
def test_labels_in_other_containers(make):
    names = np.array(["n", "s", "w"])[Y]
    assert weights_of(fitted(X, make(names))) == weights_of(fitted(X, names))


def test_boolean_labels():
    clf = fitted(X, Y == 1)
    assert clf.predict(X).dtype == bool
    assert clf.decision_function(X).shape == (30,)
