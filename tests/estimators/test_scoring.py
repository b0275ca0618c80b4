"""Scores of validation data: which weights and which containers scorers get, held out or brought along."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer, get_scorer_names, make_scorer, mean_pinball_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from small import fitted, images, quick

from pyconvx import CNNRegressor

X, Y = images(60)
FLAT = X.reshape(60, -1)
NAMES = [f"pixel {i}" for i in range(36)]
FRAMES = {"pandas": pd.DataFrame(FLAT, columns=NAMES), "polars": pl.DataFrame(FLAT, schema=NAMES)}
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2.0, 60)
STOPPING = {"early_stopping": True, "validation_fraction": 0.3}
BOTH = [{"class_weight": "balanced"}, {}]


def scores(name, y, **keywords):
    """Return whether a scorer of this name works on our predictions at all."""
    model = quick(**keywords) if y.dtype.kind != "f" else CNNRegressor(filters=(2,), max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.isfinite(get_scorer(name)(fitted(X, y, clf=model), X, y))
        except (TypeError, ValueError):
            return False


@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_scorer_of_classes_works_with_class_weights_and_sample_weights(n_classes):
    labels = np.arange(60) % n_classes
    names = [name for name in get_scorer_names() if scores(name, labels)]
    assert len(names) > 20
    for name in names:
        for parameters in BOTH:
            for weights in (None, WEIGHTS):
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", category=UserWarning)  # of metrics about these few rows
                    clf = fitted(X, labels, weights, scoring=name, **STOPPING, **parameters)
                assert len(clf.validation_scores_) == clf.n_iter_, name


@pytest.mark.parametrize("name", ["r2", "neg_mean_absolute_error", "neg_median_absolute_error", "neg_max_error"])
def test_scorers_of_values_work_with_sample_weights(name):
    assert scores(name, Y.astype(float))
    model = CNNRegressor(filters=(2,), max_iter=1, random_state=0, scoring=name, **STOPPING)
    assert len(fitted(X, Y.astype(float), WEIGHTS, clf=model).validation_scores_) == 1


@pytest.mark.parametrize(
    "scorer",
    [lambda estimator, X, y: estimator.score(X, y), make_scorer(lambda y, z: (y == z).mean()), None],
    ids=["function", "made", "score"],
)
def test_callables_get_no_weights_that_they_do_not_take(scorer):
    for parameters in BOTH:
        assert fitted(X, Y, WEIGHTS, scoring=scorer, **STOPPING, **parameters).validation_scores_


class Noting:
    """A scorer that keeps what it gets."""

    def __init__(self):
        self.calls = []

    def __call__(self, estimator, X, y, sample_weight=None):
        self.calls.append((X, y, sample_weight))
        return estimator.score(X, y, sample_weight)


def test_class_weights_do_not_reach_scorers():
    for class_weight in ("balanced", {0: 5.0, 1: 1.0, 2: 2.0}):
        noting = Noting()
        fitted(X, Y, scoring=noting, class_weight=class_weight, **STOPPING)
        assert all(weights is None for _, _, weights in noting.calls)


def test_held_out_rows_and_rows_of_ones_own_are_scored_alike():
    noting = Noting()
    parameters = {"scoring": noting, "class_weight": {0: 5.0, 1: 1.0, 2: 2.0}}
    fitted(X, Y, WEIGHTS, **parameters, **STOPPING)
    rows, labels, weights = noting.calls[0]
    assert set(weights) <= set(WEIGHTS)
    np.testing.assert_array_equal(weights, WEIGHTS[[np.flatnonzero((row == X).all((1, 2, 3)))[0] for row in rows]])
    data = {"X_val": rows, "y_val": labels, "sample_weight_val": weights}
    fitted(X, Y, WEIGHTS, data, **parameters)
    for one, other in zip(noting.calls[0], noting.calls[-1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("class_weight", [None, {0: 5.0, 1: 1.0, 2: 2.0}])
def test_the_loss_of_validation_data_is_free_of_class_weights(class_weight):
    data = {"X_val": X[:20], "y_val": Y[:20], "sample_weight_val": WEIGHTS[:20]}
    clf = fitted(X, Y, data, scoring="loss", class_weight=class_weight, max_iter=1)
    rows = -np.log(clf.predict_proba(X[:20])[np.arange(20), Y[:20]])
    assert clf.validation_scores_[0] == pytest.approx(-np.average(rows, weights=WEIGHTS[:20]))
    held = fitted(X, Y, scoring="loss", class_weight=class_weight, max_iter=1, **STOPPING)
    noting = Noting()
    fitted(X, Y, scoring=noting, class_weight=class_weight, max_iter=1, **STOPPING)
    rows, labels, _ = noting.calls[0]
    expected = np.log(held.predict_proba(rows)[np.arange(len(rows)), labels]).mean()
    assert held.validation_scores_[0] == pytest.approx(expected)


def test_validation_rows_of_weight_0_are_as_if_absent():
    labels = np.array([*Y[:18], 77, 78])
    weights = np.array([1.0] * 18 + [0.0] * 2)
    one = fitted(X, Y, {"X_val": X[:20], "y_val": labels, "sample_weight_val": weights}, scoring="accuracy")
    assert (
        one.validation_scores_
        == fitted(X, Y, {"X_val": X[:18], "y_val": Y[:18]}, scoring="accuracy").validation_scores_
    )


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("brought", [False, True])
def test_scorers_get_frames_where_frames_were_given(kind, brought):
    frame, noting = FRAMES[kind], Noting()
    keywords = {"X_val": frame[:20], "y_val": Y[:20]} if brought else {}
    clf = quick(image_shape=(6, 6), scoring=noting, **STOPPING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", category=ConvergenceWarning)
        clf.fit(frame, Y, **keywords)
    for rows, labels, _ in noting.calls:
        assert type(rows) is type(frame)
        assert list(rows.columns) == NAMES
        assert len(rows) == len(labels) == (20 if brought else 18)
    assert clf.validation_scores_ == fitted(
        FLAT, Y, {"X_val": FLAT[:20], "y_val": Y[:20]} if brought else {"X_val": None},
        clf=quick(image_shape=(6, 6), scoring="accuracy", **STOPPING),
    ).validation_scores_  # fmt: skip


def test_validation_data_without_the_names_of_the_frame_is_told_once():
    clf = quick(image_shape=(6, 6), scoring="accuracy", max_iter=3, tol=None)
    with pytest.warns(UserWarning, match="valid feature names") as told:
        clf.fit(FRAMES["pandas"], Y, X_val=FLAT[:20], y_val=Y[:20])
    assert len(told) == 1
    with pytest.warns(UserWarning, match="valid feature names"):
        clf.predict(FLAT)  # a user's call is checked as ever


def test_a_scorer_may_take_other_rows_and_leaves_nothing_behind():
    seen = []

    def scorer(estimator, rows, labels):
        seen.append(estimator.predict_proba(rows[:5]).shape)
        with pytest.raises(ValueError, match="NaN"):
            estimator.predict(np.full((2, 6, 6, 1), np.nan))
        return (estimator.predict(rows) == labels).mean()

    clf = fitted(X, Y, scoring=scorer, **STOPPING)
    assert set(seen) == {(5, 3)}
    assert not [name for name in vars(clf) if name.startswith("_known")]


def test_in_a_pipeline_and_for_quantiles():
    pipe = make_pipeline(
        MinMaxScaler(), quick(image_shape=(6, 6), scoring="f1_macro", class_weight="balanced", **STOPPING)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert pipe.fit(FRAMES["pandas"], Y)[-1].validation_scores_
    scorer = make_scorer(mean_pinball_loss, alpha=0.2, greater_is_better=False)
    model = CNNRegressor(filters=(2,), max_iter=1, random_state=0, scoring=scorer, **STOPPING)
    assert fitted(X, Y.astype(float), WEIGHTS, clf=model).validation_scores_[0] < 0


@pytest.mark.parametrize("value", ["a", None, np.array([0.5, 0.5]), {"accuracy": 0.5}, 1j])
def test_what_is_no_score(value):
    with pytest.raises(ValueError, match=r"^scoring must return a number, got .* of <function"):
        quick(early_stopping=True, scoring=lambda clf, X, y: value).fit(X, Y)


@pytest.mark.parametrize("value", [np.float32(0.5), 1, np.array([0.5]), np.array(0.5), True])
def test_what_is_a_score(value):
    clf = fitted(X, Y, early_stopping=True, scoring=lambda clf, X, y: value)
    assert set(clf.validation_scores_) == {float(np.ravel(value)[0])}
