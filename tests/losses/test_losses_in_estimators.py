"""Losses of estimators: by name or as objects, with label_smoothing, and their parameters in searches."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV
from small import fitted, images, quick, weights_of

from pyconvx import Checkpoint, CNNClassifier, CNNRegressor, losses
from pyconvx.initializers import VarianceScaling
from pyconvx.losses import CrossEntropy, Huber
from pyconvx.solvers import SGD

X, Y = images()


@dataclass(frozen=True)
class Doubled(CrossEntropy):
    """A loss of somebody else's, twice as steep."""

    def value_and_gradient(self, outputs, targets, weights, gradient, *, n_threads=1):
        value = super().value_and_gradient(outputs, targets, weights, gradient)
        gradient *= 2
        return 2 * value


@dataclass(frozen=True)
class Sharp(CrossEntropy):
    """Its predictions are not those whose logarithms the base class knows."""

    def predictions(self, outputs):
        return super().predictions(10 * outputs)


class Plain:
    """A loss without any parameter."""

    target_kind: ClassVar[str] = "classes"

    def value_and_gradient(self, outputs, targets, weights, gradient, *, n_threads=1):
        return CrossEntropy().value_and_gradient(outputs, targets, weights, gradient)

    def predictions(self, outputs):
        return CrossEntropy().predictions(outputs)


class Settable(BaseEstimator, Plain):
    """A loss whose parameter scikit-learn sets."""

    def __init__(self, label_smoothing=0.0):
        self.label_smoothing = label_smoothing

    def value_and_gradient(self, outputs, targets, weights, gradient, *, n_threads=1):
        return CrossEntropy(self.label_smoothing).value_and_gradient(outputs, targets, weights, gradient)


@pytest.fixture(autouse=True)
def names():
    for kind in (Doubled, Plain, Settable):
        losses.registry.register(f"tests_{kind.__name__.lower()}", kind)


def test_a_loss_by_name_is_used_even_if_it_is_a_kind_of_cross_entropy():
    named, plain = fitted(X, Y, loss="tests_doubled", max_iter=1), fitted(X, Y, max_iter=1)
    assert weights_of(named) == weights_of(fitted(X, Y, loss=Doubled(), max_iter=1))
    assert named.loss_ == pytest.approx(2 * plain.loss_, rel=0.1)


@pytest.mark.parametrize("loss", ["cross_entropy", "tests_settable", CrossEntropy(), CrossEntropy, Settable()])
def test_losses_with_the_parameter_get_label_smoothing(loss):
    smooth = fitted(X, Y, loss=loss, label_smoothing=0.3)
    assert weights_of(smooth) == weights_of(fitted(X, Y, loss=CrossEntropy(0.3)))
    assert weights_of(smooth) != weights_of(fitted(X, Y))
    if not isinstance(loss, (str, type)):
        assert loss.label_smoothing == 0  # the user's object is left alone


def test_kinds_of_cross_entropy_get_label_smoothing_too():
    smooth = fitted(X, Y, loss="tests_doubled", label_smoothing=0.3)
    assert weights_of(smooth) == weights_of(fitted(X, Y, loss=Doubled(label_smoothing=0.3)))


@pytest.mark.parametrize("loss", ["tests_plain", Plain(), Plain])
def test_other_losses_refuse_label_smoothing(loss):
    with pytest.raises(ValueError, match=r"^label_smoothing=0\.3, but loss=.* has no parameter of that name: set"):
        quick(loss=loss, label_smoothing=0.3).fit(X, Y)
    assert fitted(X, Y, loss=loss).n_iter_ == 2


def test_two_values_of_label_smoothing_are_refused():
    with pytest.raises(ValueError, match=r"label_smoothing=0\.3, but loss=CrossEntropy\(.*\) says 0\.1: give one"):
        quick(loss=CrossEntropy(0.1), label_smoothing=0.3).fit(X, Y)
    assert weights_of(fitted(X, Y, loss=CrossEntropy(0.1))) == weights_of(fitted(X, Y, label_smoothing=0.1))


def test_logarithms_belong_to_the_predictions():
    clf = fitted(X, Y, loss=Sharp())
    np.testing.assert_allclose(np.exp(clf.predict_log_proba(X)), clf.predict_proba(X))


def test_parameters_of_parameters():
    reg = CNNRegressor(loss=Huber(), initializer=VarianceScaling(), solver=SGD(), checkpoint=Checkpoint("fit"))
    found = reg.get_params()
    assert found["loss__delta"] == 1.0
    assert found["initializer__scale"] == VarianceScaling().scale
    assert found["solver__momentum"] == SGD().momentum
    assert found["checkpoint__path"] == "fit"
    before = reg.loss
    reg.set_params(loss__delta=2.5, initializer__scale=1.5, solver__momentum=0.1, alpha=0.3)
    assert (reg.loss, before) == (Huber(2.5), Huber())
    assert (reg.initializer.scale, reg.solver.momentum, reg.alpha) == (1.5, 0.1, 0.3)
    reg.set_params(loss__delta=3.0, loss=Huber(0.5))  # the object first, whatever the order
    assert reg.loss == Huber(3.0)
    assert clone(reg).loss == Huber(3.0)
    assert "loss__delta" not in reg.get_params(deep=False)
    assert CNNClassifier().get_params() == CNNClassifier().get_params(deep=False)


def test_parameters_of_parameters_that_are_none():
    with pytest.raises(ValueError, match=r"Invalid parameter 'gamma' for Huber.* parameters are: \['delta'\]"):
        CNNRegressor(loss=Huber()).set_params(loss__gamma=1)
    with pytest.raises(ValueError, match="'loss__delta': loss='huber' is a name, pass an object, which has"):
        CNNRegressor(loss="huber").set_params(loss__delta=1)
    with pytest.raises(ValueError, match="Invalid parameter 'nothing' for estimator CNNRegressor"):
        CNNRegressor().set_params(nothing__delta=1)
    with pytest.raises(ValueError, match="delta must be above 0"):
        CNNRegressor(loss=Huber()).set_params(loss__delta=-1.0)


def test_a_grid_over_the_parameters_of_a_loss():
    reg = CNNRegressor(
        filters=(2,), hidden_layer_sizes=(), max_iter=1, tol=None, loss=Huber(),
        initializer=VarianceScaling(), random_state=0,
    )  # fmt: skip
    grid = GridSearchCV(reg, {"loss__delta": [0.1, 5.0], "initializer__scale": [0.5, 2.0]}, cv=2).fit(X, Y)
    assert len(set(grid.cv_results_["mean_test_score"])) == 4
    assert grid.best_estimator_.loss.delta == grid.best_params_["loss__delta"]
