"""CNNRegressor: what it predicts, stops at, refuses, keeps and shares with the classifier."""

import copy
import importlib.util
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from small import Cut, cut_at, fitted, weights_of

import pyconvx
from pyconvx import Checkpoint, CheckpointError, CNNRegressor, ModelFileError
from pyconvx.estimators.saving import saved
from pyconvx.layers import Conv2D, GlobalAvgPool2D
from pyconvx.losses import CrossEntropy, Huber
from pyconvx.persistence import pack, write_file


def data(n=60, outputs=None, dtype=np.float64, seed=0):
    """Images of noise, and by how much their upper half is brighter; several outputs are multiples of it."""
    rng = np.random.default_rng(seed)
    X, y = 0.1 * rng.random((n, 6, 6, 1)), rng.random(n)
    X[:, :3] += y[:, None, None, None]
    X = X.astype(dtype) / 1.2
    return X, y if outputs is None else y[:, None] * np.arange(1, outputs + 1)


def quick(**parameters):
    chosen = {"filters": (4,), "hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0, "n_jobs": 1}
    return CNNRegressor(**{**chosen, **parameters})


def fit(*arrays, **parameters):
    return fitted(*arrays, clf=quick(**parameters))


X, Y = data()
LEARNS = {"max_iter": 40, "learning_rate_init": 1e-2, "tol": 0.0, "n_iter_no_change": 40}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("outputs", [None, 1, 3])
@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_it_learns(loss, outputs, dtype):
    X, y = data(150, outputs, dtype)
    reg = fit(X[:100], y[:100], loss=loss, **LEARNS)
    assert reg.score(X[100:], y[100:]) > 0.8
    predictions = reg.predict(X)
    assert (predictions.shape, predictions.dtype) == (y.shape, dtype)
    assert reg.n_outputs_ == (outputs or 1)
    assert reg.target_shape_ == y.shape[1:]
    assert (reg.out_activation_, reg.network_.output_shape) == ("identity", (outputs or 1,))


def test_the_loss_is_that_of_scikit_learns_mlp():
    reg = fit(X, Y, max_iter=1, batch_size=60, alpha=0.0, learning_rate_init=1e-30)
    assert reg.loss_ == pytest.approx(((reg.predict(X) - Y) ** 2).mean() / 2, rel=1e-6)


def test_integers_and_lists_are_numbers():
    whole = np.arange(60)
    expected = weights_of(fit(X, whole.astype(float)))
    for y in (whole, whole.tolist(), whole.astype(np.uint8), whole.astype(object)):
        assert weights_of(fit(X, y)) == expected


def test_threads_do_not_change_a_bit():
    first, *others = (weights_of(fit(X, data(outputs=3)[1], n_jobs=n)) for n in (1, 2, 3))
    assert set(others) == {first}


def test_weight_0_is_absence_and_weight_2_repetition():
    weights = np.ones(60)
    weights[::3] = 0
    assert weights_of(fit(X, Y, weights)) == weights_of(fit(X[weights > 0], Y[weights > 0]))
    twice = fit(X, Y, np.full(60, 2.0), batch_size=60, shuffle=False, alpha=0.0)
    again = fit(np.concatenate([X, X]), np.concatenate([Y, Y]), batch_size=120, shuffle=False, alpha=0.0)
    np.testing.assert_allclose(twice.predict(X), again.predict(X), rtol=1e-9)


def test_early_stopping_on_r2():
    reg = fit(X, Y, early_stopping=True, validation_fraction=0.2, **LEARNS)
    assert len(reg.validation_scores_) == reg.n_iter_
    assert reg.best_validation_score_ == max(reg.validation_scores_)
    assert reg.best_loss_ is None
    given = fit(X[:40], Y[:40], {"X_val": X[40:], "y_val": Y[40:]}, early_stopping=True, **LEARNS)
    assert given.score(X[40:], Y[40:]) == pytest.approx(given.best_validation_score_)


@pytest.mark.parametrize("scoring", ["loss", None, "neg_mean_absolute_error"])
def test_other_scores(scoring):
    weights = np.linspace(0.5, 1, 20)
    validation = {"X_val": X[40:], "y_val": Y[40:], "sample_weight_val": weights}
    reg = fit(X[:40], Y[:40], validation, scoring=scoring)
    error = reg.predict(X[40:]) - Y[40:]
    expected = {
        "loss": -np.average(error**2, weights=weights) / 2,
        None: reg.score(X[40:], Y[40:], weights),
        "neg_mean_absolute_error": -np.average(np.abs(error), weights=weights),
    }
    assert reg.validation_scores_[-1] == pytest.approx(expected[scoring])


def test_one_row_cannot_be_scored():
    with pytest.raises(ValueError, match=r"early_stopping would validate on one of 8 rows.*X_val"):
        fit(X[:8], Y[:8], early_stopping=True)


def test_scores_that_are_nan_do_not_count_as_better():
    reg = quick(scoring=lambda *_: np.nan, early_stopping=True, n_iter_no_change=2, tol=0.0, max_iter=9).fit(X, Y)
    assert reg.n_iter_ == 3
    assert np.isnan(reg.validation_scores_).all()
    assert reg.score(X, Y) < 1


def test_partial_fit_and_warm_start_go_on():
    whole = fit(X, Y, max_iter=4)
    parts = quick()
    for _ in range(4):
        parts.partial_fit(X, Y)
    warm = fit(X, Y, max_iter=2, warm_start=True)
    warm = fitted(X, Y, clf=warm)
    assert weights_of(parts) == weights_of(warm) == weights_of(whole)
    assert (parts.n_iter_, warm.n_iter_, parts.loss_curve_) == (4, 2, whole.loss_curve_)


def test_another_number_of_outputs_is_refused():
    y = data(outputs=2)[1]
    warm = fit(X, Y, warm_start=True)
    words = r"the same shape of targets as in the previous call to fit. Previously got \(\), `y` has \(2,\)"
    with pytest.raises(ValueError, match=words):
        warm.fit(X, y)
    with pytest.raises(ValueError, match=r"^y has targets of shape \(2,\), expected \(\)"):
        quick().partial_fit(X, Y).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"^y_val has targets of shape \(\), expected \(2,\)"):
        quick().fit(X, y, X_val=X, y_val=Y)


def test_save_and_load(tmp_path):
    for outputs in (None, 1, 3):
        y = data(outputs=outputs)[1]
        reg = fit(X, y, loss=Huber(delta=0.5), early_stopping=True, validation_fraction=0.3)
        reg.save(tmp_path / "model", for_training=True)
        loaded = pyconvx.load(tmp_path / "model")
        assert type(loaded) is CNNRegressor
        assert loaded.loss == Huber(delta=0.5)
        assert loaded.target_shape_ == y.shape[1:]
        assert (loaded.n_outputs_, loaded.out_activation_) == (outputs or 1, "identity")
        np.testing.assert_array_equal(loaded.predict(X), reg.predict(X))
        more = [weights_of(fitted(X, y, clf=r.set_params(warm_start=True))) for r in (reg, loaded)]
        assert more[0] == more[1]


@pytest.mark.parametrize("shape", [(0,), (1, 2), [1], 3, ("a",)])
def test_shapes_of_targets_that_no_file_may_hold(shape, tmp_path):
    reg = fit(X, Y)
    reg.target_shape_ = shape
    reg.n_outputs_ = 1
    write_file(tmp_path / "model", pack(*saved(reg)))
    with pytest.raises(ModelFileError, match="target_shape_ cannot be"):
        pyconvx.load(tmp_path / "model")


def test_outputs_that_do_not_fit_the_network(tmp_path):
    reg = fit(X, Y)
    reg.target_shape_ = (2,)
    with pytest.raises(ValueError, match="2 outputs, but the network gives 1: fit again"):
        reg.predict(X)
    reg.save(tmp_path / "model", for_training=True)
    with pytest.raises(ModelFileError, match="2 outputs, but the network gives"):
        pyconvx.load(tmp_path / "model")


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_a_checkpoint_goes_on(epoch, tmp_path, monkeypatch):
    y = data(outputs=2)[1]
    whole = fit(X, y, max_iter=3)
    settings = {"max_iter": 3, "checkpoint": Checkpoint(tmp_path / "fit")}
    with monkeypatch.context() as patch:
        cut_at(epoch, patch)
        with pytest.raises(Cut):
            fit(X, y, **settings)
    assert weights_of(fit(X, y, **settings, resume=True)) == weights_of(whole)
    with pytest.raises(CheckpointError, match="the data are others"):
        fit(X, y + 1, **settings, resume=True)


def test_copies():
    reg = fit(X, Y)
    for copied in (pickle.loads(pickle.dumps(reg)), copy.deepcopy(reg)):
        np.testing.assert_array_equal(copied.predict(X), reg.predict(X))
    with pytest.raises(NotFittedError):
        clone(reg).predict(X)


@pytest.mark.parametrize("outputs", [None, 1, 3])
def test_the_compiled_predictor(outputs):
    X, y = data(outputs=outputs, dtype=np.float32)
    reg = fit(X, y, batch_norm=True)
    predictor = reg.compile_predictor()
    for rows in (1, 60):
        got = predictor(X[:rows])
        assert got.shape == y[:rows].shape
        np.testing.assert_allclose(got, reg.predict(X[:rows]), rtol=1e-5, atol=1e-6)
    assert predictor.target_shape_ == y.shape[1:]
    copied = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(copied(X), predictor(X))


def test_in_a_pipeline_and_a_search():
    pipe = make_pipeline(FunctionTransformer(lambda x: x * 2), quick(**LEARNS))
    assert fitted(X, Y, clf=pipe).score(X, Y) > 0.5
    grid = GridSearchCV(quick(**LEARNS), {"loss": ["squared_error", "huber"], "filters": [(4,)]}, cv=2)
    assert fitted(X, Y, clf=grid).best_score_ > cross_val_score(DummyRegressor(), X[:, 0, 0], Y, cv=2).mean()
    scaled = TransformedTargetRegressor(quick(**LEARNS), func=lambda y: y / 100, inverse_func=lambda y: y * 100)
    assert fitted(X, Y * 100, clf=scaled).score(X, Y * 100) > 0.5


def test_layers_feature_maps_and_summary():
    reg = fit(X, Y, layers=[Conv2D(3, 3), "activation", GlobalAvgPool2D()])
    assert [type(layer).__name__ for layer in reg.network_.layers][-2:] == ["GlobalAvgPool2D", "Dense"]
    assert reg.feature_maps(X, "conv2d_1").shape == (60, 4, 4, 3)
    assert reg.summary().rows[-1].output_shape == (1,)
    assert quick().summary((6, 6), n_outputs=5).rows[-1].output_shape == (5,)


def test_bytes_are_scaled():
    images = (X * 255).astype(np.uint8)
    scaled = fit(images.astype(np.float32) / np.float32(255), Y)
    reg = fit(images, Y)
    np.testing.assert_allclose(reg.predict(images), scaled.predict(images.astype(np.float32) / 255), atol=1e-5)
    with pytest.raises(ValueError, match=r"CNNRegressor was fitted on uint8 images, scaled by 1/255"):
        reg.predict(X)


@pytest.mark.parametrize(
    ("y", "kind", "words"),
    [
        (None, ValueError, "requires y to be passed, but the target y is None"),
        (Y[:-1], ValueError, "inconsistent numbers of samples"),
        (np.full(60, np.nan), ValueError, "Input y contains NaN"),
        (np.full(60, np.inf), ValueError, "Input y contains infinity"),
        (np.full(60, "a"), ValueError, "numeric"),
        (Y + 1j, ValueError, "Complex data not supported|must hold real numbers"),
        (np.ones((60, 2, 2)), ValueError, "Found array with dim 3"),
        (np.ones((60, 0)), ValueError, r"0 feature\(s\)|minimum of 1"),
        (np.ma.masked_array(Y), TypeError, "y is a masked array"),
    ],
)
def test_targets_that_are_refused(y, kind, words):
    reg = quick()
    with pytest.raises(kind, match=words):
        reg.fit(X, y)
    assert not hasattr(reg, "network_")


def test_targets_too_large_for_the_precision():
    with pytest.raises(ValueError, match=r"Input y contains infinity or a value too large for dtype\('float32'\)"):
        quick().fit(X.astype(np.float32), Y + 1e300)


@pytest.mark.parametrize("loss", ["cross_entropy", CrossEntropy()])
def test_a_loss_of_classes_is_refused(loss):
    with pytest.raises(ValueError, match="compares outputs with classes, this estimator predicts values"):
        quick(loss=loss).fit(X, Y)
    with pytest.raises(ValueError, match="compares outputs with values, this estimator predicts classes"):
        pyconvx.CNNClassifier(loss="huber").fit(X, np.arange(60) % 2)


def test_parameters_are_those_of_the_classifier():
    reg, clf = CNNRegressor().get_params(), pyconvx.CNNClassifier().get_params()
    assert clf.keys() - reg.keys() == {"class_weight", "label_smoothing"}
    assert reg.keys() < clf.keys()
    assert {name for name in reg if reg[name] != clf[name]} == {"loss", "scoring"}
    with pytest.raises(ValueError, match=r"The 'max_iter' parameter of CNNRegressor must be an int"):
        quick(max_iter=0).fit(X, Y)
    for name in ("predict_proba", "decision_function", "classes_"):
        assert not hasattr(reg, name)


@pytest.mark.skipif(
    importlib.util.find_spec("sklearn.callback") is None, reason="no callbacks in this scikit-learn"
)
def test_callbacks_see_every_epoch():
    from test_callbacks import Counts

    callback = Counts(stop_after=2)
    reg = quick(max_iter=9).set_callbacks(callback).fit(X, Y)  # stopped on purpose: no ConvergenceWarning
    assert reg.n_iter_ == 2
    assert callback.events.count(("end", "epoch")) == 2
    assert weights_of(reg) == weights_of(fit(X, Y, max_iter=2))
