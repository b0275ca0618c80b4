"""input_scale, and the warnings about samples that are legal and yet hardly what was meant."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from small import fitted, images, quick, weights_of

import pyconvx
from pyconvx import CNNClassifier, CNNRegressor, FlatImagesWarning, InputScaleWarning
from pyconvx.layers import Conv2D, Dense

X, Y = images()
PIXELS = (X / X.max() * 255).astype(np.uint8)
FLAT = PIXELS.reshape(len(X), -1)
ENDLESS = {"tol": None}


def quiet(clf, data, labels=Y, **keywords):
    """Fit, where any warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return clf.set_params(**ENDLESS).fit(data, labels, **keywords)


# ------------------------------------------------------------------------------------------- input_scale


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64, np.float32, np.float64])
def test_a_scale_is_applied_to_whatever_x_is(kind, tmp_path):
    data = PIXELS.astype(kind)
    dtype = "float64" if kind is np.float64 else None
    clf = quiet(quick(input_scale=1 / 255, dtype=dtype), data)
    expected = fitted(PIXELS, Y, dtype=dtype)
    assert weights_of(clf) == weights_of(expected)
    assert clf.input_scale_ == 1 / 255
    assert not clf.scales_uint8_
    for other in (data, PIXELS, PIXELS.astype(float)):
        np.testing.assert_array_equal(clf.predict_proba(other), expected.predict_proba(PIXELS))
        np.testing.assert_array_equal(clf.compile_predictor()(other), expected.compile_predictor()(PIXELS))
    clf.save(tmp_path / "model")
    loaded = pyconvx.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(data), clf.predict_proba(data))
    assert weights_of(loaded.partial_fit(data, Y)) != weights_of(clf)
    np.testing.assert_array_equal(clf.feature_maps(data, 0), expected.feature_maps(PIXELS, 0))


def test_the_scale_is_that_of_the_fit():
    clf = fitted(PIXELS, Y)
    before = clf.predict_proba(PIXELS)
    assert (clf.input_scale_, clf.scales_uint8_) == (1 / 255, True)
    assert fitted(X, Y).input_scale_ == 1.0
    clf.set_params(input_scale=1.0)
    np.testing.assert_array_equal(clf.predict_proba(PIXELS), before)


def test_large_integers_stay_in_memory():
    data = (PIXELS.astype(np.uint16) << 8) | 255
    clf = quiet(quick(input_scale=1 / 65535), data)
    assert np.shares_memory(clf._check_X(data, reset=False), data)
    assert clf._samples(data)._rows is None  # converted a batch at a time


@pytest.mark.parametrize("value", [0, -1.0, np.inf, np.nan, "half", None, True])
def test_what_is_no_scale(value):
    with pytest.raises(ValueError, match=r"The 'input_scale' parameter of CNNClassifier must be a float in "):
        quick(input_scale=value).fit(X, Y)


# --------------------------------------------------------------------------------- uint8 by another name


def columns(kind):
    """Return flat pixels in some container of 8-bit numbers."""
    names = [f"p{i}" for i in range(36)]
    frame = pd.DataFrame(FLAT, columns=names)
    if kind == "frame":
        return frame
    if kind == "nullable":
        return frame.convert_dtypes()
    if kind == "some nullable":
        return frame.astype(dict.fromkeys(names[::2], "UInt8"))
    if kind == "polars":
        return pl.DataFrame(FLAT, schema=names)
    return [list(row) for row in FLAT]


@pytest.mark.parametrize("kind", ["frame", "nullable", "some nullable", "polars", "lists"])
def test_bytes_in_any_container_are_scaled(kind):
    data = columns(kind)
    clf = quiet(quick(image_shape=(6, 6)), data)
    expected = fitted(FLAT, Y, image_shape=(6, 6))
    assert weights_of(clf) == weights_of(expected)
    assert clf.scales_uint8_
    np.testing.assert_array_equal(clf.predict_proba(data), expected.predict_proba(FLAT))


def test_an_object_array_of_images_of_bytes_is_scaled():
    stacked = np.empty(len(PIXELS), object)
    stacked[:] = list(PIXELS)
    assert weights_of(quiet(quick(), stacked)) == weights_of(fitted(PIXELS, Y))


def test_one_column_of_other_integers_is_told():
    data = columns("frame").astype({"p3": np.int64})
    with pytest.warns(
        InputScaleWarning, match=r"numbers from 0 to 255, far .*: pass input_scale=1/255 if these are 8-bit"
    ):
        clf = quick(image_shape=(6, 6), **ENDLESS).fit(data, Y)
    assert not clf.scales_uint8_
    mended = quiet(quick(image_shape=(6, 6), input_scale=1 / 255), data)
    assert weights_of(mended) == weights_of(fitted(FLAT, Y, image_shape=(6, 6)))


def test_missing_values_are_refused():
    data = columns("nullable")
    data.iloc[0, 0] = pd.NA
    with pytest.raises(ValueError, match="NaN"):
        quick(image_shape=(6, 6)).fit(data, Y)


# -------------------------------------------------------------------------------------- scales that are told

LARGE = {
    "int64": (PIXELS.astype(np.int64), "input_scale=1/255 if these are 8-bit pixels"),
    "whole floats": (PIXELS.astype(np.float32), "input_scale=1/255 if these are 8-bit pixels"),
    "objects": (PIXELS.astype(object), "input_scale=1/255 if these are 8-bit pixels"),
    "uint16": (PIXELS.astype(np.uint16) * 257, "input_scale=1/65535 if these are 16-bit pixels"),
    "fractions": (PIXELS + 0.25, "ImageScaler before the network"),
    "negative": (PIXELS.astype(float) - 128, "ImageScaler before the network"),
    "mostly dark": (np.where(PIXELS > 180, PIXELS, 0).astype(float), "input_scale=1/255"),
    "far away": (X + 1000, "ImageScaler before the network"),
}


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor])
def test_numbers_far_beyond_the_range_are_told_once(case, kind):
    data, words = LARGE[case]
    model = kind(filters=(2,), hidden_layer_sizes=(), max_iter=1, random_state=0, **ENDLESS)
    with pytest.warns(InputScaleWarning, match=words.replace("/", ".")) as told:
        model.fit(data, Y, X_val=data, y_val=Y)
    assert len(told) == 1
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(data)
        model.score(data, Y)
        model.partial_fit(data, Y)
        model.set_params(warm_start=True).fit(data, Y)
        model.set_params(warm_start=False, input_scale=1.0).fit(data, Y)


@pytest.mark.parametrize("top", [1, 16, 64])
def test_bytes_that_use_little_of_their_range_are_told(top):
    data = (X / X.max() * top).round().astype(np.uint8)
    scale = "1" if top == 1 else f"1.{top}"
    with pytest.warns(
        InputScaleWarning, match=f"holds numbers up to {top} only, .*: pass input_scale={scale} or"
    ) as told:
        quick(**ENDLESS).fit(data, Y)
    assert len(told) == 1
    quiet(quick(input_scale=1 / top), data)
    quiet(quick(), data.astype(float) if top < 64 else data.astype(bool))


def test_what_is_not_told():
    rng = np.random.default_rng(0)
    for data in (PIXELS, X, X / 255, np.zeros_like(PIXELS), 16 * X / X.max(), rng.standard_normal(X.shape) * 9):
        quiet(quick(), data)
    outliers = rng.standard_normal(X.shape)
    outliers.flat[::500] = 1e4
    quiet(quick(), outliers)
    one_bright = np.full(PIXELS.shape, 3, np.uint8)
    one_bright[17, 2, 2] = 200
    quiet(quick(), np.tile(one_bright, (9, 1, 1, 1)), np.tile(Y, 9))
    quiet(quick(), rng.random((30, 5)) * 1000)  # a few features are no picture
    for scaler in (StandardScaler(), MinMaxScaler()):
        pipe = make_pipeline(scaler, quick(image_shape=(6, 6), **ENDLESS))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pipe.fit(FLAT.astype(float), Y)


def test_the_advice_about_digits_is_good():
    """Digits from 0 to 16 as uint8 are learnt worse than with the scale that the warning names."""
    digits, labels = load_digits(return_X_y=True)
    digits, labels = digits[:600].astype(np.uint8), labels[:600]
    network = CNNClassifier((8,), hidden_layer_sizes=(), image_shape=(8, 8), max_iter=8, random_state=0, **ENDLESS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputScaleWarning)
        plain = cross_val_score(network, digits, labels, cv=2).mean()
    mended = cross_val_score(network.set_params(input_scale=1 / 16), digits, labels, cv=2).mean()
    assert mended > plain + 0.02


# -------------------------------------------------------------------------------------- rows that are images


@pytest.mark.parametrize(
    ("columns", "shape", "data_format"),
    [
        (64, (8, 8), "channels_last"),
        (784, (28, 28), "channels_last"),
        (3072, (32, 32, 3), "channels_last"),
        (3072, (3, 32, 32), "channels_first"),
        (400, (20, 20), "channels_last"),
    ],
)
def test_rows_that_look_like_images_are_told(columns, shape, data_format):
    rows = np.random.default_rng(0).random((6, columns))
    clf = quick(data_format=data_format, **ENDLESS)
    with pytest.warns(FlatImagesWarning) as told:
        clf.fit(rows, Y[:6])
    assert len(told) == 1
    assert f"pass image_shape={shape}, or image_shape=(1, {columns})" in str(told[0].message)
    ways = [{"image_shape": shape}, {"spatial_dims": 1}, {"filters": ()}, {"layers": [Dense(5)]}]
    ways += [{"image_shape": (1, columns)}]
    for way in ways:
        quiet(quick(data_format=data_format, **way), rows, Y[:6])
    with pytest.warns(FlatImagesWarning):
        quick(layers=[Conv2D(2, 1)], **ENDLESS).fit(rows, Y[:6])


@pytest.mark.parametrize("columns", [4, 9, 49, 36, 48, 63, 65, 100 - 1, 150])
def test_other_rows_are_not_told(columns):
    quiet(quick(), np.random.default_rng(0).random((6, columns)), Y[:6])
