"""Weights of rows: the objective, its independence of batches, rows of weight 0, tiny weights."""

import warnings

import numpy as np
import pytest
from nets import net, pictures, trainer
from sklearn.ensemble import AdaBoostClassifier
from sklearn.utils.class_weight import compute_sample_weight
from small import fitted, images, quick, weights_of

from pyconvx import CNNClassifier, CNNRegressor
from pyconvx.exceptions import TrainingWarning
from pyconvx.solvers import SGD

X, Y = images(40)
WEIGHTS = np.random.default_rng(1).uniform(0.2, 3.0, 40)


def step_of(batch, weights, alpha=0.0):
    """Return what plain gradient descent adds to the parameters in the batch of these rows, per unit of rate."""
    x, y = pictures(12)
    network = net()
    before = network.buffer.copy()
    loop = trainer(
        network, x, y, solver=SGD(momentum=0.0, nesterov=False), weights=weights, batch_size=len(batch),
        alpha=alpha, learning_rate_init=1.0,
    )  # fmt: skip
    loop._step(np.asarray(batch, np.int64), 0.0)
    return network.buffer - before


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_steps_of_parts_add_up_to_that_of_the_whole(alpha):
    """The mean step over batches of any size is the step of one batch of all rows: weights have no bias."""
    weights = np.random.default_rng(0).uniform(0.1, 5.0, 12)
    whole = step_of(range(12), weights, 0.0)
    for size in (1, 2, 3, 4, 6):
        parts = [step_of(range(start, start + size), weights, 0.0) for start in range(0, 12, size)]
        np.testing.assert_allclose(np.mean(parts, axis=0), whole, rtol=1e-9, atol=1e-12)
    penalty = step_of(range(12), weights, alpha) - whole
    n = net().n_weights
    np.testing.assert_allclose(penalty[:n], -alpha * net().buffer[:n] / weights.sum(), rtol=1e-9, atol=1e-12)
    assert not penalty[n:].any()


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_without_a_penalty_the_scale_of_weights_does_not_matter(scale):
    one, other = (fitted(X, Y, w, alpha=0.0, batch_size=7) for w in (WEIGHTS, scale * WEIGHTS))
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("size", [1, 4, 40])
def test_the_loss_is_the_weighted_mean_over_all_rows(size):
    clf = quick(batch_size=size, alpha=0.0, max_iter=1, learning_rate_init=1e-12, tol=None)
    clf.fit(X, Y, WEIGHTS)
    rows = -np.log(clf.predict_proba(X)[np.arange(40), Y])
    assert clf.loss_ == pytest.approx(np.average(rows, weights=WEIGHTS), rel=1e-6)


@pytest.mark.parametrize("size", [1, 8, 128])
def test_balanced_classes_are_balanced_whatever_the_batch(size):
    rng = np.random.default_rng(0)
    noise, rare = rng.random((300, 6, 6)), (rng.random(300) < 0.08).astype(int)
    clf = quick(batch_size=size, class_weight="balanced", max_iter=4, tol=None).fit(noise, rare)
    assert 0.33 < clf.predict_proba(noise)[:, 1].mean() < 0.67


SETTINGS = {
    "batches": {"batch_size": 7},
    "auto": {},
    "dropout": {"dropout": 0.3, "batch_size": 5},
    "balanced": {"class_weight": "balanced"},
    "held out": {"early_stopping": True, "validation_fraction": 0.3},
    "batch norm": {"batch_norm": True, "batch_size": 8},
}


@pytest.mark.parametrize("case", SETTINGS)
@pytest.mark.parametrize("values", [[1.0], [0.5, 2.0, 1.0]], ids=["equal", "unequal"])
def test_rows_of_weight_0_are_as_if_absent(case, values):
    weights = np.resize(values, 40)
    labels = Y.astype(object).astype(str)
    weights[::4] = 0
    labels[::8] = "only in rows of weight 0"
    there = weights > 0
    settings = {"tol": 0.0, **SETTINGS[case]}
    whole = fitted(X, labels, weights, **settings)
    part = fitted(X[there], labels[there], weights[there], **settings)
    assert whole.classes_.tolist() == part.classes_.tolist() == ["0", "1", "2"]
    assert weights_of(whole) == weights_of(part)
    assert whole.loss_curve_ == part.loss_curve_
    assert whole.validation_scores_ == part.validation_scores_
    assert whole.t_ == part.t_


def test_rows_of_weight_0_are_absent_for_partial_fit_and_regression():
    weights = np.ones(40)
    weights[[0, 5, 39]] = 0
    there, labels = weights > 0, Y.copy()
    labels[5] = 77  # no class that will ever come
    one = quick().partial_fit(X, labels, [0, 1, 2], weights)
    assert weights_of(one) == weights_of(quick().partial_fit(X[there], Y[there], [0, 1, 2]))
    settings = {"filters": (2,), "hidden_layer_sizes": (), "max_iter": 2, "random_state": 0}
    settings["tol"] = None
    far = np.where(there, Y, 1e30)
    whole = CNNRegressor(**settings).fit(X, far, weights)
    assert weights_of(whole) == weights_of(CNNRegressor(**settings).fit(X[there], Y[there]))


def test_balanced_weights_count_what_sample_weights_say():
    labels = np.array([0, 0, 0, 1, 1, 2])
    weights = np.array([1, 2, 0, 1, 3, 1])
    repeated = np.repeat(np.arange(6), weights)
    expected = compute_sample_weight("balanced", labels[repeated])
    clf = quick(class_weight="balanced")
    found = clf._target_type.learn(labels).weights(clf, weights, labels)
    np.testing.assert_allclose(np.repeat(found / np.maximum(weights, 1), weights), expected)
    plain = clf._target_type.learn(labels).weights(clf, None, labels)
    np.testing.assert_array_equal(plain, compute_sample_weight("balanced", labels))


def test_a_class_of_weight_0_stays_a_class():
    clf = fitted(X, Y, class_weight={0: 1.0, 1: 1.0, 2: 0.0})
    assert clf.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor])
def test_tiny_weights_are_told(kind):
    model = kind(filters=(2,), hidden_layer_sizes=(), max_iter=1, random_state=0, tol=None)
    words = r"^the mean weight of the rows is 1e-07, so alpha=0\.0001 penalises like alpha=1e\+03 .*: pass"
    with pytest.warns(TrainingWarning, match=words) as told:
        model.fit(X, Y, np.full(40, 1e-7))
    assert len(told) == 1
    keywords = {"classes": np.unique(Y)} if kind is CNNClassifier else {}
    with pytest.warns(TrainingWarning, match=words):
        kind(random_state=0).partial_fit(X, Y, sample_weight=np.full(40, 1e-7), **keywords)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y)
        model.fit(X, Y, WEIGHTS)
        model.fit(X, Y, np.full(40, 1 / 40))
        model.set_params(alpha=0.0).fit(X, Y, np.full(40, 1e-7))
        model.set_params(alpha=10.0).fit(X, Y)


def test_many_weights_that_sum_to_1_are_told():
    many, labels = np.tile(X, (50, 1, 1, 1)), np.tile(Y, 50)
    with pytest.warns(TrainingWarning, match="the mean weight of the rows is 0.0005"):
        quick(tol=None).fit(many, labels, np.full(2000, 1 / 2000))


def test_boosting_works():
    flat = X.reshape(40, -1)
    network = quick(image_shape=(6, 6), max_iter=15, tol=None, learning_rate_init=0.01)
    boosted = AdaBoostClassifier(network, n_estimators=2, random_state=0).fit(flat, Y)
    assert boosted.score(flat, Y) > 0.9
