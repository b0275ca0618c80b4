"""Sequences of any kind as parameters, and labels in NumPy's StringDType."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from small import fitted, images, quick, weights_of

import pyconvx
from pyconvx import Checkpoint, ImageScaler
from pyconvx.filters import FilterBank
from pyconvx.layers import Conv2D, Dense

X, Y = images()
FLAT = X.reshape(len(X), -1)
STACK = np.empty(2, object)
STACK[:] = [Conv2D(2), Dense(5)]


@pytest.mark.parametrize(
    ("name", "plain", "others"),
    [
        (
            "image_shape",
            (6, 6),
            [np.array([6, 6]), [6, 6], np.uint8([6, 6]), (np.int64(6), np.int32(6))],
        ),
        ("filters", (2, 3), [np.array([2, 3]), range(2, 4), [np.int8(2), 3]]),
        ("kernel_size", (2, 3), [np.array([2, 3]), range(2, 4), [2, 3]]),
        ("pool_size", (2, 1), [np.array([2, 1]), [np.int64(2), 1]]),
        ("padding", (1, 0), [np.array([1, 0]), range(1, -1, -1), [1, 0]]),
        ("padding", ((1, 0), (0, 1)), [np.array([[1, 0], [0, 1]]), [[1, 0], (0, 1)]]),
        ("hidden_layer_sizes", (3, 4), [np.array([3, 4]), range(3, 5)]),
        ("layers", [Conv2D(2), Dense(5)], [STACK, tuple(STACK)]),
    ],
)
def test_sequences_of_any_kind(name, plain, others, tmp_path):
    data = FLAT if name == "image_shape" else X
    expected = weights_of(fitted(data, Y, **{name: plain}))
    for other in others:
        clf = quick(**{name: other})
        assert clf.get_params()[name] is other
        assert weights_of(fitted(data, Y, clf=clone(clf))) == expected
        fitted(data, Y, clf=clf.set_params(checkpoint=Checkpoint(tmp_path / "fit")))
        assert repr(clf)
        clf.save(tmp_path / "model")
        loaded = pyconvx.load(tmp_path / "model")
        np.testing.assert_array_equal(loaded.predict_proba(data), clf.predict_proba(data))
        assert loaded.partial_fit(data, Y).n_iter_ == 3


@pytest.mark.parametrize("name", ["image_shape", "filters", "kernel_size", "hidden_layer_sizes"])
@pytest.mark.parametrize("value", ["66", {6}, {6: 6}, np.array([[6, 6]]), np.array([6.0, 6.0]), b"66"], ids=str)
def test_what_is_no_sequence_of_sizes(name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of CNNClassifier must be"):
        quick(**{name: value}).fit(X, Y)


def test_transformers_take_them_too():
    shape = np.array([6, 6])
    expected = FilterBank(image_shape=(6, 6)).fit_transform(FLAT)
    np.testing.assert_array_equal(FilterBank(image_shape=shape).fit_transform(FLAT), expected)
    expected = ImageScaler(image_shape=(6, 6)).fit_transform(FLAT)
    np.testing.assert_array_equal(ImageScaler(image_shape=shape).fit_transform(FLAT), expected)
    assert len(quick().summary(shape).rows) == len(quick().summary((6, 6)).rows)


def test_a_grid_of_arrays():
    grid = GridSearchCV(quick(tol=None), {"filters": [np.array([2]), np.array([2, 3])]}, cv=2).fit(X, Y)
    assert list(grid.best_params_["filters"]) in ([2], [2, 3])


STRINGS = np.array(["cat", "dog", "a rather long name"], np.dtypes.StringDType())[Y]
PLAIN = np.array(STRINGS.tolist())


@pytest.mark.parametrize(
    "parameters",
    [
        {}, {"early_stopping": True, "validation_fraction": 0.3}, {"class_weight": "balanced"},
        {"class_weight": {"cat": 1.0, "dog": 2.0, "a rather long name": 1.0}}, {"scoring": "accuracy"},
    ],
)  # fmt: skip
def test_labels_in_numpys_string_type(parameters, tmp_path):
    data = {"X_val": X, "y_val": STRINGS} if "scoring" in parameters else {"X_val": None}
    clf = fitted(X, STRINGS, data, **parameters)
    other = fitted(X, PLAIN, data | ({"y_val": PLAIN} if "scoring" in parameters else {}), **parameters)
    assert weights_of(clf) == weights_of(other)
    assert clf.classes_.tolist() == ["a rather long name", "cat", "dog"]
    assert (clf.predict(X) == other.predict(X)).all()
    assert clf.score(X, STRINGS) == other.score(X, PLAIN)
    assert (clf.predict(X) == STRINGS).mean() == clf.score(X, STRINGS)
    clf.save(tmp_path / "model")
    assert pyconvx.load(tmp_path / "model").score(X, STRINGS) == clf.score(X, STRINGS)


def test_string_labels_a_call_at_a_time_and_again():
    clf = quick().partial_fit(X, STRINGS, np.unique(STRINGS))
    assert weights_of(clf.partial_fit(X, STRINGS)) == weights_of(
        quick().partial_fit(X, PLAIN, np.unique(PLAIN)).partial_fit(X, PLAIN)
    )
    warm = fitted(X, PLAIN, warm_start=True)
    assert fitted(X, STRINGS, clf=warm).n_iter_ == 2
    grid = GridSearchCV(quick(tol=None), {"alpha": [0.0, 1.0]}, cv=KFold(2)).fit(X, STRINGS)
    assert np.isfinite(grid.best_score_)
