"""Estimators of signals, spatial_dims=1: every form of X, what is refused, and everything else that they do."""

import pickle

import numpy as np
import pytest
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from small import Cut, cut_at, fitted, weights_of

import pyconvx
from pyconvx import Checkpoint, CNNClassifier, CNNRegressor, ImageScaler, ModelFileError
from pyconvx.estimators.saving import saved
from pyconvx.layers import (
    Activation,
    AvgPool1D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool1D,
    GlobalMaxPool1D,
    MaxPool1D,
)
from pyconvx.persistence import pack, write_file


def signals(n=30, length=12, channels=3, dtype=np.float64, seed=0):
    """Make noise with a step that begins at one of three places, the class."""
    rng = np.random.default_rng(seed)
    X, y = rng.uniform(0, 1, (n, length, channels)), np.arange(n) % 3
    for label in range(3):
        X[y == label, 4 * label :] += 1
    return X.astype(dtype), y


def quick(kind=CNNClassifier, **parameters):
    chosen = {"filters": (4,), "hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0, "n_jobs": 1}
    return kind(**{"spatial_dims": 1, **chosen, **parameters})


def fit(*data, **parameters):
    return fitted(*data, clf=quick(**parameters))


X, Y = signals()
FIRST = {"data_format": "channels_first"}


def test_the_default_stack_is_one_of_signals():
    clf = fit(X, Y, filters=(4, 6), kernel_size=5, dropout=0.2, batch_norm=True)
    assert clf.network_.layers == (
        Conv1D(4, (5,), padding="same", bias=False), BatchNorm(), Activation("relu"), MaxPool1D((2,)),
        Conv1D(6, (5,), padding="same", bias=False), BatchNorm(), Activation("relu"), MaxPool1D((2,)),
        Flatten(), Dense(8), Activation("relu"), Dropout(0.2), Dense(3, initializer="xavier_uniform"),
    )  # fmt: skip
    assert clf.input_shape_ == (12, 3)
    assert clf.n_features_in_ == 12


@pytest.mark.parametrize("length", [1, 2, 3, 100])
@pytest.mark.parametrize("padding", ["same", "valid", 0, 1, (2, 0), [0, 1]])
def test_kernels_and_pools_are_clipped_to_short_signals(length, padding):
    X, y = signals(length=length)
    clf = fit(X, y, kernel_size=7, pool_size=3, filters=(2, 2), padding=padding)
    assert clf.predict(X).shape == (30,)


def test_it_learns():
    clf = fit(*signals(60), max_iter=60, learning_rate_init=1e-2, tol=0.0)
    assert clf.score(*signals(60, seed=1)) == 1.0
    reg = fit(*signals(60), kind=CNNRegressor, max_iter=60, learning_rate_init=1e-2, tol=0.0)
    assert reg.score(*signals(60, seed=1)) > 0.75


@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor])
def test_every_form_of_the_same_signals_gives_the_same_bits(kind):
    last = fit(X, Y, kind=kind)
    flat = fit(X.reshape(30, -1), Y, kind=kind, image_shape=(12, 3))
    first = fit(X.transpose(0, 2, 1), Y, kind=kind, **FIRST)
    turned = X.transpose(0, 2, 1).reshape(30, -1)
    flat_first = fit(turned, Y, kind=kind, image_shape=(3, 12), **FIRST)
    assert {weights_of(e) for e in (flat, first, flat_first)} == {weights_of(last)}
    assert {e.input_shape_ for e in (last, flat, first, flat_first)} == {(12, 3)}
    expected = last.predict(X)
    np.testing.assert_array_equal(flat.predict(X), expected)
    np.testing.assert_array_equal(last.predict(X.reshape(30, -1)), expected)
    np.testing.assert_array_equal(first.predict(X.transpose(0, 2, 1)), expected)
    np.testing.assert_array_equal(first.predict(turned), expected)
    np.testing.assert_array_equal(first.predict(np.asfortranarray(X.transpose(0, 2, 1))), expected)


def test_rows_are_signals_of_one_channel():
    rows = X[:, :, 0]
    plain = fit(rows, Y)
    others = [
        fit(rows[:, :, None], Y), fit(rows, Y, image_shape=(12,)), fit(rows, Y, image_shape=(12, 1)),
        fit(rows[:, None], Y, **FIRST), fit(rows, Y, **FIRST), fit(rows, Y, image_shape=[1, 12], **FIRST),
    ]  # fmt: skip
    assert {weights_of(clf) for clf in others} == {weights_of(plain)}
    assert plain.input_shape_ == (12, 1)
    np.testing.assert_array_equal(plain.predict_proba(rows[:, :, None]), plain.predict_proba(rows))


def test_three_axes_are_never_grey_images():
    """With spatial_dims=2 (n, channels, length) would be read as images of so many rows."""
    first = X.transpose(0, 2, 1)
    assert fit(first, Y, **FIRST).input_shape_ == (12, 3)
    assert fit(first, Y).input_shape_ == (3, 12)
    assert fitted(first, Y, clf=quick(spatial_dims=2)).input_shape_ == (3, 12, 1)


def test_threads_do_not_change_a_bit():
    assert len({weights_of(fit(X, Y, n_jobs=n, filters=(8, 8))) for n in (1, 2, 3)}) == 1


@pytest.mark.parametrize(
    ("data", "parameters", "words"),
    [
        (X[:, None], {}, r"dim 4\. CNNClassifier expected <= 3: .*\(n, length, channels\).* need spatial_dims=2"),
        (X, {"image_shape": (4, 3, 3)}, "'image_shape' parameter of CNNClassifier must be one or two ints"),
        (X[:, :, 0], {"image_shape": (11,)}, r"image_shape=\(11,\) has 11 numbers, X has 12 features"),
        (X, {"image_shape": (3, 12)}, r"X has signals of shape \(12, 3\), but image_shape=\(3, 12\)"),
        (X, {"kernel_size": (3, 3)}, "'kernel_size' parameter of CNNClassifier must be an int"),
        (X, {"pool_size": (2, 2)}, "'pool_size' parameter of CNNClassifier must be an int"),
        (
            X,
            {"padding": ((1, 1), (0, 0))},
            r"'padding' parameter of CNNClassifier must be an int, \(before, after\)",
        ),
        (X, {"padding": "full"}, "'padding' parameter of CNNClassifier"),
        (X, {"spatial_dims": 3}, "'spatial_dims' parameter of CNNClassifier must be 1 or 2. Got 3 instead"),
        (X, {"spatial_dims": True}, "'spatial_dims' parameter of CNNClassifier must be 1 or 2"),
        (X, {"layers": [Conv2D(3)]}, "Conv2D needs spatial_dims=2, this estimator has spatial_dims=1"),
        (X, {"layers": [Conv2D(3), Dense(3)]}, "Conv2D needs spatial_dims=2, this estimator has spatial_dims=1"),
        (
            X,
            {"layers": [Conv1D(3)], "spatial_dims": 2},
            "expected signals of shape .* Conv1D needs spatial_dims=1, this estimator has spatial_dims=2",
        ),
        (X, {"layers": [Conv1D(3, 13)]}, r"layer 0, Conv1D.* cannot take input of shape \(12, 3\)"),
        (X[:, :0], {}, r"0 feature\(s\)"),
        (X[:, 0, 0], {}, "Expected 2D array, got 1D array"),
        (X + np.nan, {}, "Input X contains NaN"),
    ],
)
def test_what_is_refused(data, parameters, words):
    clf = quick(**parameters)
    with pytest.raises(ValueError, match=words):
        clf.fit(data, Y)
    assert not hasattr(clf, "network_")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            X[:, :10],
            r"X has signals of shape \(10, 3\), but CNNClassifier was fitted on signals of shape \(12, 3\)",
        ),
        (X.transpose(0, 2, 1), r"X has signals of shape \(3, 12\), but"),
        (X[:, :, 0], "X has 12 features, but CNNClassifier is expecting 36 features"),
        (X[:, None], "expected <= 3"),
        (X.astype(np.uint8), "fitted on X that was not uint8"),
    ],
)
def test_what_is_refused_later(data, words):
    clf = fit(X, Y)
    for method in (clf.predict, clf.predict_proba, lambda data: clf.feature_maps(data, 0)):
        with pytest.raises(ValueError, match=words):
            method(data)
    first = fit(X.transpose(0, 2, 1), Y, **FIRST)
    with pytest.raises(ValueError, match=r"was fitted on signals of shape \(3, 12\)"):
        first.predict(X)


def test_bytes_are_scaled():
    whole = (X * 100).astype(np.uint8)
    clf = fit(whole, Y)
    assert clf.network_.dtype == np.float32
    turned = whole.transpose(0, 2, 1)
    assert weights_of(fit(turned, Y, **FIRST)) == weights_of(clf)
    with pytest.raises(ValueError, match="was fitted on uint8 signals, scaled by 1/255, got X of float64"):
        clf.predict(X)
    with pytest.raises(ValueError, match="fitted to uint8 signals, got float64"):
        clf.compile_predictor()(X)


@pytest.mark.parametrize("first", [False, True])
def test_the_compiled_predictor(first):
    data = X.transpose(0, 2, 1) if first else X
    clf = fit(data, Y, batch_norm=True, data_format="channels_first" if first else "channels_last")
    predictor = clf.compile_predictor()
    assert predictor.input_shape == ((3, 12) if first else (12, 3))
    expected = clf.predict_proba(data)
    for form in (data, data.reshape(30, -1), np.asfortranarray(data)):
        np.testing.assert_allclose(predictor(form), expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(predictor(data[:1]), expected[:1], rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(predictor))(data), predictor(data))
    with pytest.raises(ValueError, match="expected an array of shape"):
        predictor(data[:, :, 0])
    rows = fit(X[:, :, 0], Y).compile_predictor()
    np.testing.assert_array_equal(rows(X[:, :, 0]), rows(X[:, :, :1]))


def test_layers_of_the_users_own():
    layers = [
        Conv1D(4, 5, stride=2, padding=(2, 1)), "activation", BatchNorm(), Conv1D(4, 2, groups=2, dilation=2),
        AvgPool1D(2), GlobalMaxPool1D(),
    ]  # fmt: skip
    clf = fit(X, Y, layers=layers)
    assert clf.network_.names[-2:] == ("globalmaxpool1d_1", "dense_1")  # no Flatten: there is one vector already
    assert clf.feature_maps(X, "conv1d_1").shape == (30, 6, 4)
    np.testing.assert_allclose(clf.compile_predictor()(X), clf.predict_proba(X), rtol=1e-6, atol=1e-8)
    pooled = fit(X, Y, layers=[Conv1D(3), GlobalAvgPool1D(), Dense(4)])
    assert pooled.network_.names == ("conv1d_1", "globalavgpool1d_1", "dense_1", "dense_2")
    dense = fit(X, Y, layers=[Dense(4)])
    assert dense.network_.names[0] == "flatten_1"


def test_feature_maps_and_summary():
    clf = fit(X, Y, filters=(4, 6))
    shapes = [row.output_shape for row in clf.summary().rows]
    assert shapes == list(clf.network_.shapes)
    assert shapes == [row.output_shape for row in quick(filters=(4, 6)).summary((12, 3), n_classes=3).rows]
    for place, shape in enumerate(shapes):
        assert clf.feature_maps(X, place).shape == (30, *shape)
    assert "12x3" in str(clf.summary())
    assert [row.receptive_field for row in clf.summary().rows][:4] == [(3,), (3,), (4,), (8,)]
    assert quick(**FIRST).summary((3, 12)).input_shape == (12, 3)
    assert quick().summary((12,)).input_shape == (12, 1)
    with pytest.raises(ValueError, match=r"input_shape must be \(length,\) or \(length, channels\)"):
        quick().summary((12, 3, 1))
    with pytest.raises(ValueError, match=r"before fit, give a shape: summary\(\(1000, 1\)\)"):
        quick().summary()


@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor])
def test_save_load_pickle_and_go_on(kind, tmp_path):
    one = fit(X, Y, kind=kind, warm_start=True)
    one.save(tmp_path / "model", for_training=True)
    copies = [pyconvx.load(tmp_path / "model"), pickle.loads(pickle.dumps(one))]
    for copied in copies:
        assert (copied.spatial_dims, copied.input_shape_) == (1, (12, 3))
        np.testing.assert_array_equal(copied.predict(X), one.predict(X))
    more = {weights_of(fitted(X, Y, clf=each)) for each in (one, *copies)}
    assert more == {weights_of(fit(X, Y, kind=kind, max_iter=4))}


def test_files_whose_axes_do_not_fit(tmp_path):
    document, arrays = saved(fit(X, Y))
    for change, words in (({"spatial_dims": 2}, "input_shape must be three sizes"), ({}, "must be two sizes")):
        changed = {**document, "parameters": {**document["parameters"], **change}}
        if not change:
            changed["network"] = {**document["network"], "input_shape": [12, 3, 1]}
        write_file(tmp_path / "model", pack(changed, arrays))
        with pytest.raises(ModelFileError, match=words):
            pyconvx.load(tmp_path / "model")


def test_a_checkpoint_goes_on(tmp_path, monkeypatch):
    settings = {"max_iter": 3, "checkpoint": Checkpoint(tmp_path / "fit")}
    with monkeypatch.context() as patch:
        cut_at(1, patch)
        with pytest.raises(Cut):
            fit(X, Y, **settings)
    assert weights_of(fit(X, Y, **settings, resume=True)) == weights_of(fit(X, Y, max_iter=3))


def test_early_stopping_and_validation_data():
    clf = fit(X, Y, early_stopping=True, validation_fraction=0.2)
    assert len(clf.validation_scores_) == clf.n_iter_
    given = fit(X[:20], Y[:20], {"X_val": X[20:], "y_val": Y[20:]})
    assert len(given.validation_scores_) == 2
    with pytest.raises(ValueError, match="signals of shape"):
        quick().fit(X[:20], Y[:20], X_val=X[20:, :5], y_val=Y[20:])


def test_in_a_pipeline_a_search_and_a_bag():
    pipe = make_pipeline(ImageScaler(spatial_dims=1), quick(max_iter=20, learning_rate_init=1e-2))
    grid = GridSearchCV(pipe, {"cnnclassifier__kernel_size": [3, 5]}, cv=2)
    assert fitted(X, Y, clf=grid).best_score_ > 0.8
    bag = BaggingClassifier(quick(image_shape=(12, 3)), 2, random_state=0)
    assert fitted(X.reshape(30, -1), Y, clf=bag).predict(X.reshape(30, -1)).shape == (30,)


@pytest.mark.parametrize("first", [False, True])
def test_the_scaler(first):
    data = X.transpose(0, 2, 1) if first else X
    scaler = ImageScaler(spatial_dims=1, data_format="channels_first" if first else "channels_last").fit(data)
    np.testing.assert_allclose(scaler.mean_, X.mean(axis=(0, 1)))
    np.testing.assert_allclose(scaler.scale_, X.std(axis=(0, 1)))
    scaled = scaler.transform(data)
    assert scaled.shape == data.shape
    np.testing.assert_allclose(scaled.mean(axis=(0, 2) if first else (0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose(scaler.inverse_transform(scaled), data)
    with pytest.raises(ValueError, match="signals of shape"):
        scaler.transform(data.transpose(0, 2, 1))


def test_spatial_dims_stay_those_of_the_fit():
    words = "spatial_dims=2, but CNNClassifier was fitted with spatial_dims=1: restore it, or fit again"
    clf = fit(X, Y, warm_start=True).set_params(spatial_dims=2)
    for call in (clf.predict, lambda X: clf.feature_maps(X, 0), lambda X: clf.fit(X, Y)):
        with pytest.raises(ValueError, match=words):
            call(X)
    assert fitted(X, Y, clf=clf.set_params(warm_start=False)).input_shape_ == (12, 3, 1)
