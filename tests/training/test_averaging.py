"""Predictions with the mean of the weights over epochs, while training goes on from the latest ones."""

import pickle

import numpy as np
import pytest
from small import Cut, cut_at, fitted, images, quick, weights_of

import pyconvx
from pyconvx import Checkpoint
from pyconvx.estimators import saving
from pyconvx.persistence import pack, unpack

X, Y = images(30)
NORMED = {"batch_norm": True, "batch_size": 10, "tol": None}


def numbers(clf):
    return np.concatenate([clf.network_.buffer, clf.network_.state_buffer]).astype(np.float64)


def mean_of(weights, decay):
    """Apply the definition to the weights after each epoch."""
    mean = np.zeros_like(weights[0])
    for n, latest in enumerate(weights, 1):
        share = max(1 - decay, 2 / (n + 1))
        mean = (1 - share) * mean + share * latest
    return mean


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_the_mean_of_what_training_without_it_passes_through(decay, dtype):
    passed = [numbers(fitted(X, Y, max_iter=n, averaging=None, dtype=dtype, **NORMED)) for n in range(1, 7)]
    clf = fitted(X, Y, max_iter=6, averaging=decay, dtype=dtype, **NORMED)
    np.testing.assert_allclose(numbers(clf), mean_of(passed, decay), rtol=1e-5 if dtype == "float32" else 1e-12)
    assert clf.loss_curve_ == fitted(X, Y, max_iter=6, averaging=None, dtype=dtype, **NORMED).loss_curve_
    latest = clf._state.latest
    np.testing.assert_array_equal(np.concatenate([latest.buffer, latest.state_buffer]), passed[-1])


def test_only_networks_with_running_statistics_are_averaged_by_default():
    assert fitted(X, Y, **NORMED)._state.averaged == 2
    assert fitted(X, Y, **(NORMED | {"batch_norm": False}))._state.averaged == 0
    same = fitted(X, Y, averaging=0.9, max_iter=5, **NORMED)
    assert weights_of(same) == weights_of(fitted(X, Y, max_iter=5, **NORMED))


def test_validation_scores_are_those_of_the_mean():
    clf = fitted(X, Y, {"X_val": X, "y_val": Y}, max_iter=4, scoring="accuracy", averaging=0.5, **NORMED)
    assert clf.validation_scores_[-1] == clf.score(X, Y)


def test_early_stopping_restores_the_best_mean_and_goes_on_from_it():
    options = {
        "early_stopping": True,
        "validation_fraction": 0.4,
        "averaging": 0.8,
        "warm_start": True,
        "max_iter": 6,
    }
    clf = fitted(X, Y, **options, **NORMED)
    state = clf._state
    assert weights_of(clf) == state.best.buffer.tobytes() + state.best.state_buffer.tobytes()
    assert (state.latest, state.averaged) == (None, 0)


@pytest.mark.parametrize("way", ["warm start", "partial_fit", "pickle", "file", "threads"])
def test_training_goes_on_as_if_it_had_not_ended(way, tmp_path):
    whole = fitted(X, Y, max_iter=6, averaging=0.7, **NORMED)
    options = NORMED | {"averaging": 0.7, "warm_start": True}
    if way == "partial_fit":
        clf = quick(**options)
        for _ in range(6):
            clf.partial_fit(X, Y, classes=[0, 1, 2])
    else:
        clf = fitted(X, Y, max_iter=2, **options)
        if way == "pickle":
            clf = pickle.loads(pickle.dumps(clf))
        if way == "file":
            clf.save(tmp_path / "model", for_training=True)
            clf = pyconvx.load(tmp_path / "model")
        fitted(X, Y, clf=clf.set_params(max_iter=4, n_jobs=3 if way == "threads" else 1))
    assert weights_of(clf) == weights_of(whole)


def test_a_file_without_the_memory_of_training_goes_on_from_the_mean(tmp_path):
    clf = fitted(X, Y, max_iter=3, averaging=0.5, **NORMED)
    clf.save(tmp_path / "model")
    loaded = pyconvx.load(tmp_path / "model")
    assert weights_of(loaded) == weights_of(clf)
    assert (loaded._state.latest, loaded._state.averaged) == (None, 0)


def test_a_fit_that_is_cut_off_resumes(tmp_path, monkeypatch):
    options = NORMED | {"averaging": 0.7, "max_iter": 5}
    whole, checkpoint = fitted(X, Y, **options), Checkpoint(tmp_path / "fit")
    with monkeypatch.context() as patch:
        cut_at(3, patch)
        with pytest.raises(Cut):
            fitted(X, Y, checkpoint=checkpoint, **options)
    assert weights_of(fitted(X, Y, checkpoint=checkpoint, resume=True, **options)) == weights_of(whole)


def test_an_epoch_that_fails_leaves_the_mean_and_the_latest_weights():
    clf = fitted(X, Y, max_iter=3, averaging=0.7, warm_start=True, **NORMED)
    before, latest = weights_of(clf), clf._state.latest.buffer.tobytes()

    def broken(clf, X, y):
        raise Cut

    with pytest.raises(Cut):
        fitted(X, Y, {"X_val": X, "y_val": Y}, clf=clf.set_params(scoring=broken))
    assert (weights_of(clf), clf._state.latest.buffer.tobytes()) == (before, latest)


def test_without_it_training_goes_on_from_the_latest_weights():
    plain = fitted(X, Y, max_iter=5, averaging=None, **NORMED)
    clf = fitted(X, Y, max_iter=3, averaging=0.7, warm_start=True, **NORMED)
    fitted(X, Y, clf=clf.set_params(averaging=None, max_iter=2))
    assert weights_of(clf) == weights_of(plain)
    assert (clf._state.latest, clf._state.averaged) == (None, 0)


def test_what_is_frozen_keeps_its_bits():
    clf = fitted(X, Y, max_iter=2, averaging=0.7, warm_start=True, **NORMED)
    kernel = clf.network_.parameters["conv2d_1.kernel"].tobytes()
    fitted(X, Y, clf=clf.set_params(frozen="conv2d_1", max_iter=4))
    assert clf.network_.parameters["conv2d_1.kernel"].tobytes() == kernel


def test_files_from_before_it_existed_are_not_averaged():
    document, arrays = saving.saved(fitted(X, Y, **NORMED))
    del document["parameters"]["averaging"], document["training"]["averaged"]
    arrays = {name: array for name, array in arrays.items() if "latest" not in name}
    loaded = saving.restored({"CNNClassifier": pyconvx.CNNClassifier}, *unpack(pack(document, arrays), "file"))
    assert loaded.averaging is None
    assert loaded._state.averaged == 0


@pytest.mark.parametrize("value", [-0.1, 1.1, "mean", True, (0.9,)])
def test_what_is_no_share(value):
    with pytest.raises(ValueError, match="'averaging' parameter of CNNClassifier must be a float in the range"):
        quick(averaging=value).fit(X, Y)


def test_lbfgs_has_no_use_for_it():
    with pytest.raises(ValueError, match=r"averaging=0.9 has no effect: leave it out"):
        quick(solver="lbfgs", averaging=0.9).fit(X, Y)
    fitted(X, Y, solver="lbfgs")
