"""Networks that begin with the weights of others, and layers that learn at their own rate."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from small import Cut, cut_at, fitted, images, quick, weights_of

import pyconvx
from pyconvx import Checkpoint, CheckpointError, CNNClassifier, TrainingWarning
from pyconvx.filters import get_kernel

X, Y = images(36)
MORE = Y + 3 * (np.arange(len(Y)) % 2)  # other classes, and more of them
NORMED = {"batch_norm": True, "tol": None}


@pytest.fixture(scope="module")
def source():
    return fitted(X, Y, max_iter=4, **NORMED)


def names(clf):
    return [name for name in clf.network_.parameters if not name.startswith("dense_2")]


def begun(**parameters):
    """Return a network as it is before the first step: nothing but one bias learns."""
    return fitted(
        X, MORE, frozen=["conv2d_1", "batchnorm_1", "dense_1", "dense_2.weights"], **NORMED, **parameters
    )


@pytest.mark.parametrize("way", ["estimator", "frozen estimator", "network", "file", "path", "dict"])
def test_all_but_the_output_layer_is_taken(source, way, tmp_path):
    path = tmp_path / "model"
    source.save(path)
    given = {
        "estimator": source, "frozen estimator": FrozenEstimator(source), "network": source.network_,
        "file": str(path), "path": path,
        "dict": {name: source.network_.parameters[name] for name in names(source)},
    }[way]  # fmt: skip
    clf = begun(init_from=given)
    for name in names(source):
        np.testing.assert_array_equal(clf.network_.parameters[name], source.network_.parameters[name])
    np.testing.assert_array_equal(
        clf.network_.parameters["dense_2.weights"], begun().network_.parameters["dense_2.weights"]
    )
    assert list(clf.classes_) == [0, 1, 2, 3, 4, 5]


def test_the_precision_is_that_of_the_new_network(source):
    single = begun(init_from=source, dtype="float32")
    expected = source.network_.parameters["conv2d_1.kernel"].astype(np.float32)
    np.testing.assert_array_equal(single.network_.parameters["conv2d_1.kernel"], expected)


def test_kernels_made_by_hand_are_kept():
    edges = np.stack([get_kernel("sobel_x"), get_kernel("sobel_y")], axis=-1)[:, :, None]
    clf = fitted(X, Y, filters=(2,), init_from={"conv2d_1.kernel": edges}, frozen="conv2d_1.kernel")
    np.testing.assert_array_equal(clf.network_.parameters["conv2d_1.kernel"], edges)


def test_it_begins_a_network_and_nothing_else(source):
    clf = fitted(X, Y, init_from=source, warm_start=True, max_iter=2, **NORMED)
    fitted(X, Y, clf=clf)
    assert weights_of(clf) == weights_of(fitted(X, Y, init_from=source, max_iter=4, **NORMED))
    steps = quick(init_from=source, **NORMED)
    for _ in range(4):
        steps.partial_fit(X, Y, classes=[0, 1, 2])
    assert weights_of(steps) == weights_of(clf)


def test_a_search_takes_networks(source):
    unfitted = clone(quick(init_from=source))
    with pytest.raises(NotFittedError, match=r"A clone, as searches make them, loses .* pass its network_"):
        unfitted.fit(X, Y)
    search = GridSearchCV(
        quick(init_from=source.network_, **NORMED), {"rate_factors": [None, {"conv2d_1": 0.1}]}, cv=2
    )
    search.fit(X, Y)
    assert search.best_score_ > 0.3
    assert clone(quick(init_from=FrozenEstimator(source), **NORMED)).fit(X, Y).n_iter_ == 2


def test_other_shapes_begin_anew_with_a_warning(source):
    with pytest.warns(
        TrainingWarning, match=r"another shape and begin anew: dense_1.weights \(36, 8\) \(\(36, 5\) here"
    ):
        clf = quick(init_from=source, hidden_layer_sizes=(5,), **NORMED).fit(X, Y)
    assert clf.network_.parameters["dense_1.weights"].shape == (36, 5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"conv2d_9.kernel": np.ones(3)}, "no array 'conv2d_9.kernel'; there are conv2d_1.kernel"),
        (
            {"conv2d_1.kernel": np.ones((3, 3, 1))},
            r"conv2d_1.kernel has shape \(3, 3, 1\), here it is \(3, 3, 1, 4\)",
        ),
        ({"conv2d_1.kernel": np.full((3, 3, 1, 4), np.nan)}, "conv2d_1.kernel holds NaN"),
        (CNNClassifier(), "it is not fitted"),
        (3, "'init_from' parameter of CNNClassifier must be a fitted estimator, its network, the path of a model"),
    ],
)
def test_what_cannot_be_taken(given, words):
    with pytest.raises(ValueError, match=words):
        quick(init_from=given).fit(X, Y)


def test_nothing_that_fits():
    other = fitted(np.repeat(X, 2, axis=-1), Y, filters=(3,), hidden_layer_sizes=(9,))
    with pytest.raises(ValueError, match="nothing has a name and shape of this network"):
        quick(init_from=other, filters=(5,), hidden_layer_sizes=()).fit(X, Y)


def test_files_and_checkpoints(source, tmp_path, monkeypatch):
    options = {"init_from": source, "max_iter": 4, **NORMED}
    whole, checkpoint = fitted(X, Y, **options), Checkpoint(tmp_path / "fit")
    whole.save(tmp_path / "model")
    assert pyconvx.load(tmp_path / "model").init_from is None
    assert weights_of(pickle.loads(pickle.dumps(whole))) == weights_of(whole)
    with monkeypatch.context() as patch:
        cut_at(2, patch)
        with pytest.raises(Cut):
            fitted(X, Y, checkpoint=checkpoint, **options)
    with pytest.raises(CheckpointError, match="the data are others"):
        fitted(X, Y, checkpoint=checkpoint, resume=True, **(options | {"init_from": None}))
    assert weights_of(fitted(X, Y, checkpoint=checkpoint, resume=True, **options)) == weights_of(whole)


# ---------------------------------------------------------------------------------- rates of layers


def test_a_factor_is_another_rate():
    for solver in ("sgd", "adam", "adamw", "rmsprop"):
        options = {"solver": solver, "batch_size": 12, "learning_rate_init": 0.01}
        every = {"conv2d_1": 0.5, "dense_1": 0.5, "dense_2": 0.5}
        halved = fitted(X, Y, rate_factors=every, **options)
        expected = fitted(X, Y, **(options | {"learning_rate_init": 0.005}))
        np.testing.assert_allclose(halved.network_.buffer, expected.network_.buffer, rtol=1e-9, atol=1e-12)


def test_the_longest_name_counts_and_others_are_left_alone():
    start = quick(rate_factors={"conv2d_1": 1e-9, "conv2d_1.bias": 1.0}).partial_fit(X, Y, classes=[0, 1, 2])
    before = {name: np.array(array) for name, array in start.network_.parameters.items()}
    start.partial_fit(X, Y)
    moved = {name: np.abs(array - before[name]).max() for name, array in start.network_.parameters.items()}
    assert moved["conv2d_1.kernel"] < 1e-10
    assert min(moved["conv2d_1.bias"], moved["dense_1.weights"], moved["dense_2.weights"]) > 1e-4


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_the_same_bits_on_any_number_of_threads(n_jobs):
    options = {"rate_factors": {"dense_1": 0.3}, "batch_size": 12}
    assert weights_of(fitted(X, Y, n_jobs=n_jobs, **options)) == weights_of(fitted(X, Y, **options))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"conv2d_7": 0.1}, r"rate_factors names \['conv2d_7'\] match none of conv2d_1.kernel"),
        (
            {"conv2d_1": 0.0},
            "'rate_factors' parameter of CNNClassifier must be a dict of names and factors above 0",
        ),
        ([("conv2d_1", 0.1)], "'rate_factors' parameter"),
    ],
)
def test_bad_factors(given, words):
    with pytest.raises(ValueError, match=words):
        quick(rate_factors=given).fit(X, Y)
    with pytest.raises(ValueError, match="rate_factors have no effect"):
        quick(rate_factors={"dense_1": 0.5}, solver="lbfgs").fit(X, Y)
