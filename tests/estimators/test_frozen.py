"""frozen: layers and parameters that training does not change."""

import numpy as np
import pytest
from sklearn.base import clone
from small import fitted, images, quick, weights_of

import pyconvx
from pyconvx import Checkpoint, CNNRegressor
from pyconvx.initializers import Constant
from pyconvx.layers import BatchNorm, Conv2D, Dense, Residual

X, Y = images()
OTHER, LABELS = images(seed=5)


def arrays(clf):
    return {name: array.copy() for name, array in clf.network_.parameters.items()}


def changed(before, clf):
    return {name for name, array in arrays(clf).items() if not np.array_equal(array, before[name])}


@pytest.mark.parametrize("frozen", [["conv2d_1"], "conv2d_1", ("conv2d_1",), np.array(["conv2d_1"])], ids=str)
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_frozen_layers_stay_as_they_began(frozen, alpha):
    clf = quick(frozen=frozen, alpha=alpha)
    start = fitted(X, Y, learning_rate_init=1e-30, alpha=alpha, frozen=frozen, max_iter=1)
    before = arrays(start)
    fitted(X, Y, clf=clf)
    assert changed(before, clf) == {"dense_1.weights", "dense_1.bias", "dense_2.weights", "dense_2.bias"}


@pytest.mark.parametrize("way", ["fit", "partial_fit"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_what_was_learnt_stays(way, solver):
    if way == "partial_fit" and solver == "lbfgs":
        solver = "rmsprop"
    clf = fitted(X, Y, warm_start=True, solver=solver)
    before, epochs = arrays(clf), clf._state.epoch
    clf.set_params(frozen=["conv2d_1", "dense_1.weights"])
    for _ in range(2):
        if way == "fit":
            fitted(OTHER, LABELS, clf=clf)
        else:
            clf.partial_fit(OTHER, LABELS)
    assert changed(before, clf) == {"dense_1.bias", "dense_2.weights", "dense_2.bias"}
    assert clf._state.epoch > epochs
    clf.set_params(frozen=())
    fitted(OTHER, LABELS, clf=clf)
    assert "conv2d_1.kernel" in changed(before, clf)


def test_the_same_choice_changes_no_bit():
    whole = fitted(X, Y, frozen="conv2d_1", max_iter=4)
    steps = quick(frozen="conv2d_1")
    for _ in range(4):
        steps.set_params(frozen=["conv2d_1"]).partial_fit(X, Y, [0, 1, 2])
    assert weights_of(steps) == weights_of(whole)
    assert weights_of(fitted(X, Y, frozen="conv2d_1", n_jobs=3, max_iter=4)) == weights_of(whole)
    assert weights_of(fitted(X, Y, clf=clone(whole))) == weights_of(whole)


def test_files_and_checkpoints(tmp_path):
    clf = fitted(X, Y, frozen=["conv2d_1"], warm_start=True)
    for training in (True, False):
        clf.save(tmp_path / "model", for_training=training)
        loaded = pyconvx.load(tmp_path / "model")
        before = arrays(loaded)
        assert "conv2d_1.kernel" not in changed(before, fitted(OTHER, LABELS, clf=loaded))
    checkpoint = Checkpoint(tmp_path / "fit")
    fitted(X, Y, frozen=["conv2d_1"], checkpoint=checkpoint)
    longer = fitted(X, Y, frozen=["conv2d_1"], checkpoint=checkpoint, resume=True, max_iter=5)
    assert weights_of(longer) == weights_of(fitted(X, Y, frozen=["conv2d_1"], max_iter=5))


def test_running_statistics_of_frozen_layers_stay():
    layers = [Conv2D(3), BatchNorm(), Residual((Conv2D(3, padding="same"), BatchNorm())), Dense(4)]
    clf = fitted(X, Y, layers=layers, warm_start=True)
    before = arrays(clf)
    fitted(OTHER + 1, LABELS, clf=clf.set_params(frozen=["conv2d_1", "batchnorm_1", "residual_1"]))
    assert changed(before, clf) <= {name for name in before if name.startswith("dense")}


def test_early_stopping_goes_on_with_other_layers_frozen():
    clf = fitted(X, Y, early_stopping=True, validation_fraction=0.3, warm_start=True)
    before = arrays(clf)
    fitted(X, Y, clf=clf.set_params(frozen=["conv2d_1", "dense_1"]))
    assert changed(before, clf) <= {"dense_2.weights", "dense_2.bias"}


def test_the_advice_of_a_message_can_be_taken():
    settings = {"initializer": Constant(0.1), "hidden_layer_sizes": ()}
    with pytest.raises(ValueError, match=r"conv2d_1.kernel: .* or freeze the layer with frozen=\['conv2d_1'\]"):
        quick(**settings).fit(X, Y)
    assert fitted(X, Y, frozen=["conv2d_1"], **settings).n_iter_ == 2


@pytest.mark.parametrize("value", [3, None, [3], {"conv2d_1"}, True])
def test_what_is_no_name(value):
    words = "The 'frozen' parameter of CNNRegressor must be a str or a sequence of str"
    with pytest.raises(ValueError, match=words):
        CNNRegressor(frozen=value).fit(X, Y)


def test_names_of_no_layer():
    with pytest.raises(ValueError, match="conv2d_7"):
        quick(frozen=["conv2d_7"]).fit(X, Y)
    clf = fitted(X, Y, warm_start=True)
    before = weights_of(clf)
    with pytest.raises(ValueError, match="conv2d_7"):
        clf.set_params(frozen="conv2d_7").fit(X, Y)
    assert weights_of(clf) == before


def test_something_has_to_be_left():
    every = list(fitted(X, Y).network_.parameters)
    with pytest.raises(ValueError, match=r"^frozen=\['conv2d_1\.kernel', .*\] leaves nothing to train$"):
        quick(frozen=every).fit(X, Y)
    clf = fitted(X, Y, warm_start=True)
    before = weights_of(clf)
    for call in (clf.fit, clf.partial_fit):
        with pytest.raises(ValueError, match="leaves nothing to train"):
            clf.set_params(frozen=every) and call(X, Y)
    assert weights_of(clf) == before
    assert clf.network_.frozen == ()
