"""How long training takes: plans of max_iter epochs, rates of 0, and the warning that it did not converge."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from nets import net, pictures, trainer
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from small import fitted, images, quick, weights_of

import pyconvx
from pyconvx import CNNClassifier, CNNRegressor
from pyconvx.exceptions import TrainingWarning
from pyconvx.schedules import Cosine, Exponential, OneCycle, Progress, Step, uses_max_epochs

X, Y = images()


@dataclass
class Falling(BaseEstimator):
    """A plan of somebody else's: a straight line down to 0."""

    uses_max_epochs: ClassVar[bool] = True

    def factor(self, progress):
        return 1 - progress.epoch / progress.max_epochs


@dataclass
class Idle(BaseEstimator):
    """Learns nothing in the first epochs."""

    epochs: int = 1

    def factor(self, progress):
        return float(progress.epoch >= self.epochs)


PLANS = ("cosine", "one_cycle", Cosine(warm_up=1.5), Falling())
END = r"spreads over max_iter=4 epochs, and 4 were trained already: raise max_iter to go on"


def test_who_has_a_plan():
    assert all(map(uses_max_epochs, (Cosine(), OneCycle(), Falling(), Cosine)))
    assert not any(map(uses_max_epochs, (Exponential(), Step(), Idle())))


@pytest.mark.parametrize("schedule", PLANS, ids=str)
@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor])
def test_calls_of_partial_fit_follow_the_plan_of_one_fit(schedule, kind):
    settings = {
        "filters": (4,),
        "hidden_layer_sizes": (),
        "max_iter": 4,
        "random_state": 0,
        "learning_rate": schedule,
    }
    keywords = {"classes": np.unique(Y)} if kind is CNNClassifier else {}
    whole = kind(**settings).fit(X, Y)
    steps, seen = kind(**settings), set()
    for _ in range(4):
        seen.add(weights_of(steps.partial_fit(X, Y, **keywords)))
    assert len(seen) == 4
    assert weights_of(steps) == weights_of(whole)
    before = weights_of(steps), steps.n_iter_
    with pytest.raises(ValueError, match=END):
        steps.partial_fit(X, Y)
    assert (weights_of(steps), steps.n_iter_) == before
    steps.set_params(max_iter=5).partial_fit(X, Y)
    assert weights_of(steps) != before[0]


@pytest.mark.parametrize("schedule", PLANS, ids=str)
def test_a_warm_start_trains_what_remains(schedule, tmp_path):
    clf = fitted(X, Y, learning_rate=schedule, max_iter=4, warm_start=True)
    before = weights_of(clf)
    with pytest.raises(ValueError, match=END):
        clf.fit(X, Y)
    assert weights_of(clf) == before
    clf.set_params(max_iter=6).fit(X, Y)
    assert clf.n_iter_ == 2
    assert weights_of(clf) != before
    assert clf.set_params(warm_start=False, max_iter=4).fit(X, Y).n_iter_ == 4
    assert weights_of(clf) == before


def test_a_loaded_model_goes_on_with_its_plan(tmp_path):
    clf = quick(learning_rate="cosine", max_iter=3)
    for _ in range(2):
        clf.partial_fit(X, Y, classes=np.unique(Y))
    clf.save(tmp_path / "model", for_training=True)
    loaded = pyconvx.load(tmp_path / "model")
    assert weights_of(loaded.partial_fit(X, Y)) == weights_of(fitted(X, Y, learning_rate="cosine", max_iter=3))
    with pytest.raises(ValueError, match="and 3 were trained already"):
        loaded.partial_fit(X, Y)


def test_one_fit_may_finish_what_partial_fit_began():
    clf = quick(learning_rate="one_cycle", max_iter=4, warm_start=True).partial_fit(X, Y, np.unique(Y))
    clf.fit(X, Y)
    assert clf.n_iter_ == 3
    assert weights_of(clf) == weights_of(fitted(X, Y, learning_rate="one_cycle", max_iter=4))


def rates(schedule, epochs=3):
    """Return the learning rate of each step, measured on a weight that always has the slope 1."""
    seen = []

    @dataclass
    class Noting(BaseEstimator):
        uses_max_epochs: ClassVar[bool] = uses_max_epochs(schedule)

        def factor(self, progress):
            factor = schedule.factor(progress)
            if progress.length:
                seen.append(factor)
            return factor

    images, labels = pictures(20)
    trainer(net(), images, labels, schedule=Noting(), batch_size=4, max_epochs=epochs).run(epochs)
    return seen


@pytest.mark.parametrize(
    "schedule", [Cosine(), Cosine(warm_up=2), Cosine(warm_up=3), OneCycle(), OneCycle(rise=1.0)]
)
def test_no_step_has_length_0(schedule):
    found = rates(schedule)
    assert len(found) == 15
    assert min(found) > 0


def test_a_warm_up_rises_in_equal_steps():
    assert rates(Cosine(warm_up=2))[:11] == pytest.approx([*(np.arange(1, 11) / 10), 1.0])
    assert Cosine(warm_up=0.01).factor(Progress(length=0.2, max_epochs=3)) == 1.0


def test_starts_at_0_are_refused():
    with pytest.raises(ValueError, match="start must be above 0, got 0"):
        OneCycle(start=0.0).factor(Progress())
    for illegal in (Cosine(floor=-0.1), OneCycle(end=-0.1)):
        with pytest.raises(ValueError, match=r"must be at least 0, got -0\.1"):
            illegal.factor(Progress())


@pytest.mark.parametrize("schedule", [Step(every=1, rate=0.0), Exponential(0.0), Idle()])
def test_rates_of_0_are_told_once(schedule):
    with pytest.warns(TrainingWarning, match="the learning rate is 0 from step") as told:
        clf = quick(learning_rate=schedule, tol=None, max_iter=3).fit(X, Y)
    assert len(told) == 1
    assert type(schedule).__name__ in str(told[0].message)
    assert clf.n_iter_ == 3


ENDLESS = {"tol": None}


@pytest.mark.parametrize("parameters", [*({"learning_rate": plan} for plan in PLANS), ENDLESS], ids=str)
def test_no_warning_if_the_number_of_epochs_is_the_plan(parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert quick(**{"tol": 10.0, **parameters}, max_iter=3).fit(X, Y).n_iter_ == 3


def test_the_warning_names_the_remedy():
    words = r"^Maximum iterations \(2\) reached .*: raise max_iter. If this many epochs are .*, set tol=None"
    clf = quick(warm_start=True, n_iter_no_change=np.inf)
    for _ in range(2):  # the second fit did not converge either
        with pytest.warns(ConvergenceWarning, match=words):
            clf.fit(X, Y)


@pytest.mark.parametrize(("name", "value"), [("tol", None), ("n_iter_no_change", np.inf)])
def test_training_without_an_end_but_max_iter(name, value, tmp_path):
    clf = fitted(X, Y, **{"tol": 10.0, name: value}, max_iter=30)
    assert clf.n_iter_ == 30
    clf.save(tmp_path / "model")
    assert pyconvx.load(tmp_path / "model").get_params()[name] == value
    checkpoint = pyconvx.Checkpoint(tmp_path / "fit")
    for epochs in (2, 5):
        again = fitted(X, Y, **{"tol": 10.0, name: value}, max_iter=epochs, checkpoint=checkpoint, resume=True)
        assert again.n_iter_ == epochs
    stopping = {"early_stopping": True, "validation_fraction": 0.3}
    assert fitted(X, Y, **{"tol": 10.0, name: value}, max_iter=25, **stopping).n_iter_ == 25


def test_patience_that_is_none():
    for illegal in (0, -np.inf, np.nan, 1.5, True):
        with pytest.raises(ValueError, match=r"'n_iter_no_change' parameter .* must be an int in .* or numpy.inf"):
            quick(n_iter_no_change=illegal).fit(X, Y)
