"""Messages speak of what the user gave: labels, parameters, the axis of samples, files."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from small import fitted, images, quick

from pyconvx import CNNClassifier, CNNRegressor, ImageScaler
from pyconvx.filters import FilterBank
from pyconvx.layers import Conv1D

X, Y = images()
FLAT = X.reshape(len(X), -1)
BOTH = [np.zeros((6, 6, 1)), np.zeros((7, 6, 1))]
RAGGED = np.empty(2, object)
RAGGED[:] = BOTH


@pytest.mark.parametrize("one", [X[0], X[0, ..., 0]])
def test_one_image_instead_of_several(one):
    words = rf"^X has the shape of a single image, {re.escape(str(one.shape))}, but .*: pass X\[np\.newaxis\]$"
    for clf in (fitted(X, Y), fitted(X, Y, clf=CNNRegressor(max_iter=1))):
        with pytest.raises(ValueError, match=words):
            clf.predict(one)
        assert clf.predict(one[np.newaxis]).shape == (1,)
    words = r"^X_val has the shape of a single image, .*: pass X_val\[np\.newaxis\]$"
    with pytest.raises(ValueError, match=words):
        fitted(X, Y, {"X_val": one, "y_val": Y[:1]})


@pytest.mark.parametrize(("name", "settings"), [("image", {}), ("signal", {"spatial_dims": 1})])
def test_one_row_instead_of_several(name, settings):
    clf = fitted(FLAT, Y, **settings)
    with pytest.raises(ValueError, match=rf"single {name}, \(36,\)\. Reshape your data with X\.reshape\(1, -1\)"):
        clf.predict(FLAT[0])


def test_the_shapes_of_samples_are_named_not_numpys_words():
    words = r"^X holds samples of 2 shapes, such as \(6, 6, 1\) and \(7, 6, 1\): bring them to one shape first"
    clf = fitted(X, Y)
    calls = (
        clf.predict,
        clf.compile_predictor(),
        ImageScaler().fit,
        FilterBank().fit,
        partial(quick().fit, y=[0, 1]),
    )
    for call in calls:
        for data in (BOTH, tuple(BOTH), RAGGED, pd.Series(BOTH)):
            with pytest.raises(ValueError, match=words):
                call(data)


def test_images_in_a_column():
    clf = fitted(X, Y)
    expected = clf.predict_proba(X)
    frame = pd.DataFrame({"image": list(X), "flat": list(FLAT), "name": "a.png"})
    same = (
        frame["image"],
        frame[["image"]],
        frame["flat"],
        pl.Series(list(FLAT)),
        pl.DataFrame({"x": list(FLAT)}),
    )
    for column in same:
        np.testing.assert_array_equal(clf.predict_proba(column), expected)
    np.testing.assert_array_equal(fitted(frame["image"], pd.Series(Y)).predict_proba(X), expected)


@pytest.mark.parametrize(
    "names",
    [
        "a.png", b"a.png", Path("a.png"), ["a.png"], [Path("a.png")], np.array(["a.png"]),
        np.array(["a.png"], object),
        pd.Series(["a.png"]), pd.DataFrame({"path": ["a.png"]}), pl.Series(["a.png"]),
    ],
    ids=repr,
)  # fmt: skip
def test_names_of_files(names):
    words = r"^X must hold numbers, got text such as .*a\.png.*: read files into arrays"
    clf = fitted(X, Y)
    for call in (clf.predict, ImageScaler().fit):
        with pytest.raises(ValueError, match=words):
            call(names)


def test_compiled_predictors_take_what_predict_takes():
    predictor = fitted(X, Y).compile_predictor()
    expected = predictor(X[:1])
    for data in ([X[0]], X[:1].tolist(), X[:1, ..., 0], FLAT[:1]):
        np.testing.assert_array_equal(predictor(data), expected)
    with pytest.raises(ValueError, match=r"\(n, 6, 6, 1\), got \(6, 6, 1\): the axis of samples is missing"):
        predictor(X[0])


def test_a_number_for_a_schedule():
    with pytest.raises(ValueError, match=r"Got 0\.01 instead\. Did you mean learning_rate_init=0\.01\?$"):
        quick(learning_rate=0.01).fit(X, Y)


def test_classes_that_cannot_be_held_out_are_named():
    labels = np.array(["cat", "dog"])[(np.arange(len(X)) == 3).astype(int)]
    with pytest.raises(ValueError, match=r"Classes with too few members are: \['dog'\]\. Add rows, or pass X_val"):
        quick(early_stopping=True).fit(X, labels)
    words = r"validation_fraction=0\.05 of \d+ rows is \d, and both parts need a row of each of the 3 classes"
    with pytest.raises(ValueError, match=words):
        quick(early_stopping=True, validation_fraction=0.05).fit(X, Y)
    words = "validate on one of 2 rows, and a score of regression needs two: increase validation_fraction"
    with pytest.raises(ValueError, match=words):
        CNNRegressor(early_stopping=True).fit(X[:2], Y[:2])


def test_a_layer_is_shown_once():
    with pytest.raises(ValueError, match=r"; Conv1D needs spatial_dims=1") as caught:
        CNNClassifier(layers=[Conv1D(2)]).fit(X, Y)
    assert str(caught.value).count("Conv1D(") == 1
