"""CNNClassifier: what fit, partial_fit and the predictions promise."""

import inspect
import pickle
import re
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.utils.class_weight import compute_class_weight
from small import Cut, cut_at, fitted, images, quick, weights_of

from pyconvx import Checkpoint, CNNClassifier
from pyconvx.layers import Conv2D

X, Y = images()
X_NEW, Y_NEW = images(seed=5)


def test_constructor_follows_scikit_learns():
    """The same names, kinds and defaults wherever MLPClassifier has the parameter; all but the first by name."""
    ours, theirs = (inspect.signature(c).parameters for c in (CNNClassifier, MLPClassifier))
    different = {"max_iter", "hidden_layer_sizes", "n_iter_no_change"}  # they follow the data
    shared = ours.keys() & theirs.keys() - different
    assert len(shared) >= 20
    assert {name: ours[name].default for name in shared} == {name: theirs[name].default for name in shared}
    kinds = [p.kind for p in ours.values()]
    assert kinds[1:] == [inspect.Parameter.KEYWORD_ONLY] * (len(kinds) - 1)
    assert CNNClassifier((8,)).filters == (8,)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("filters", (0,)), ("filters", "ab"), ("kernel_size", 0), ("kernel_size", (3, 3, 3)), ("pool_size", 1.5),
        ("padding", "full"), ("padding", -1), ("hidden_layer_sizes", (-3,)), ("dropout", 1.0), ("dropout", "half"),
        ("batch_norm", 1), ("layers", 3), ("image_shape", (6,)), ("image_shape", (6, 0)), ("data_format", "NCHW"),
        ("dtype", "float16"), ("dtype", "double precision"), ("dtype", 3), ("label_smoothing", 1.0),
        ("alpha", -1e-3), ("alpha", np.nan), ("batch_size", 0), ("batch_size", "all"),
        ("learning_rate_init", 0.0), ("learning_rate_init", np.inf), ("power_t", -1), ("max_iter", 0),
        ("max_iter", "x"), ("max_iter", True), ("max_iter", 2.0), ("shuffle", "yes"), ("tol", -1),
        ("verbose", -1), ("warm_start", 0.5), ("momentum", 1.0), ("nesterovs_momentum", 2),
        ("early_stopping", "no"), ("validation_fraction", 1.0), ("beta_1", 1.0), ("beta_2", -0.1),
        ("epsilon", 0), ("n_iter_no_change", 0), ("scoring", 7), ("class_weight", "heavy"), ("activation", 3),
        ("solver", object()), ("learning_rate", 0.1), ("initializer", None), ("loss", len),
    ],
)  # fmt: skip
def test_bad_parameters(parameter, value):
    clf = quick(**{parameter: value})  # the constructor only assigns
    words = rf"(?s)The '{parameter}' parameter of CNNClassifier must be .* Got {re.escape(repr(value))} instead\."
    for call in (lambda: clf.fit(X, Y), lambda: clf.partial_fit(X, Y, [0, 1, 2])):
        with pytest.raises((ValueError, TypeError), match=words):
            call()
    assert not hasattr(clf, "network_")


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), ("2", TypeError), (True, TypeError), (1.5, TypeError)]
)
def test_bad_n_jobs(value, error):
    with pytest.raises(error, match="n_jobs must"):
        quick(n_jobs=value).fit(X, Y)


@pytest.mark.parametrize("layers", [[3], [Conv2D], [Conv2D(2), None]])
def test_layers_that_are_none(layers):
    with pytest.raises((TypeError, ValueError), match="layer"):
        quick(layers=layers).fit(X, Y)


@pytest.mark.parametrize("seed", ["x", np.random.default_rng(0), -1])
def test_bad_random_state(seed):
    with pytest.raises(ValueError, match="The 'random_state' parameter of CNNClassifier must be an int from 0"):
        quick(random_state=seed).fit(X, Y)


def test_random_state():
    same = [fitted(X, Y, random_state=seed) for seed in (3, np.random.RandomState(3))]
    assert weights_of(same[0]) == weights_of(same[1])
    assert weights_of(fitted(X, Y, random_state=4)) != weights_of(same[0])
    assert weights_of(fitted(X, Y, random_state=None)) != weights_of(fitted(X, Y, random_state=None))
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    fitted(X, Y)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_fitted_attributes_follow_scikit_learns():
    clf, mlp = fitted(X, Y), MLPClassifier((8,), max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(X.reshape(30, -1), Y)
    names = {name for name in vars(mlp) if name.endswith("_") and not name.startswith("_")}
    assert names - {"coefs_", "intercepts_"} <= set(vars(clf))
    assert (clf.n_iter_, clf.t_, clf.n_outputs_, clf.out_activation_) == (2, 60, 3, "softmax")
    assert clf.loss_ == clf.loss_curve_[-1]
    assert clf.best_loss_ == min(clf.loss_curve_)
    assert clf.validation_scores_ is None
    assert clf.best_validation_score_ is None
    assert clf.n_parameters_ == sum(a.size for a in clf.network_.parameters.values())
    assert clf.n_layers_ == len(clf.network_.layers)
    assert clf.n_features_in_ == 6


def test_it_learns():
    clf = fitted(X, Y, max_iter=60, learning_rate_init=0.01)
    assert clf.score(X_NEW, Y_NEW) > 0.9


@pytest.mark.filterwarnings("ignore::pyconvx.InputScaleWarning")
@pytest.mark.parametrize(
    ("data", "dtype", "expected"),
    [
        (np.float64, None, np.float64), (np.float32, None, np.float32), (np.float16, None, np.float32),
        (np.int64, None, np.float32), (np.uint8, None, np.float32), (">f8", None, np.float64),
        (np.float64, "float32", np.float32), (np.float32, "float64", np.float64),
        (np.uint8, np.float64, np.float64),
        (bool, None, np.float32), (np.longdouble, None, np.float32),
    ],
)  # fmt: skip
def test_precision(data, dtype, expected):
    x = (X * 50).astype(data)
    clf = fitted(x, Y, dtype=dtype)
    assert clf.network_.dtype == expected
    assert clf.decision_function(x).dtype == expected
    assert clf.predict_proba(x).dtype == np.float64


def test_probabilities():
    clf = fitted(X, Y)
    proba, logits = clf.predict_proba(X_NEW), clf.decision_function(X_NEW)
    assert logits.shape == proba.shape == (30, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(clf.predict_log_proba(X_NEW), np.log(proba), rtol=1e-9)
    np.testing.assert_array_equal(clf.predict(X_NEW), clf.classes_[logits.argmax(axis=1)])
    assert clf.score(X_NEW, Y_NEW) == (clf.predict(X_NEW) == Y_NEW).mean()


def test_two_classes():
    clf = fitted(X, Y == 0)
    decision, logs = clf.decision_function(X_NEW), clf.predict_log_proba(X_NEW)
    assert decision.shape == (30,)
    np.testing.assert_allclose(decision, logs[:, 1] - logs[:, 0], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(clf.predict(X_NEW), clf.classes_[(decision > 0).astype(int)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logarithms_of_probabilities_that_underflow_are_finite(dtype):
    clf = fitted(X, Y, dtype=dtype)
    far = clf.predict_log_proba(X * 1e6)
    assert np.isfinite(far).all()
    assert far.min() < -800
    assert (clf.predict_proba(X * 1e6) == 0).any()


# Without shuffling, dropout and batch norm a weight is how often a row counts.
WHOLE = {"batch_size": 64, "shuffle": False, "max_iter": 4}


@pytest.mark.filterwarnings("ignore::pyconvx.InputScaleWarning")
def test_weight_zero_is_absence():
    keep = np.arange(30) % 4 != 1
    extra = np.where(keep, 1.0, 0.0)
    wild = np.where(keep[:, None, None, None], X, 1e6)
    for settings in (WHOLE, {"max_iter": 4, "dropout": 0.4, "batch_norm": True, "batch_size": 5}):
        assert weights_of(fitted(wild, Y, extra, **settings)) == weights_of(fitted(X[keep], Y[keep], **settings))


def test_weight_two_is_repetition():
    times = np.arange(30) // 3 % 4
    weighted = fitted(X, Y, times.astype(float), **WHOLE)
    repeated = fitted(X.repeat(times, axis=0), Y.repeat(times), **WHOLE)
    np.testing.assert_allclose(weighted.network_.buffer, repeated.network_.buffer, rtol=1e-7, atol=1e-9)


def test_a_number_is_everybodys_weight():
    assert weights_of(fitted(X, Y, 1.0)) == weights_of(fitted(X, Y)) == weights_of(fitted(X, Y, np.ones(30)))


def test_class_weight_is_sample_weight():
    rows = (Y != 2) | (np.arange(30) < 9)
    x, y = X[rows], Y[rows]
    balanced = compute_class_weight("balanced", classes=np.unique(y), y=y)
    for class_weight, weights in (("balanced", balanced), ({0: 2.0, 2: 0.5}, np.array([2.0, 1.0, 0.5]))):
        assert weights_of(fitted(x, y, class_weight=class_weight)) == weights_of(fitted(x, y, weights[y]))
    both = fitted(x, y, np.full(len(y), 3.0), class_weight={0: 2.0})
    assert weights_of(both) == weights_of(fitted(x, y, np.array([6.0, 3.0, 3.0])[y]))


def test_validation_data_only_watches():
    plain = fitted(X, Y)
    watched = fitted(X, Y, {"X_val": X_NEW, "y_val": Y_NEW})
    assert weights_of(plain) == weights_of(watched)
    logs = watched.predict_log_proba(X_NEW)[np.arange(30), Y_NEW]
    np.testing.assert_allclose(watched.validation_scores_[-1], logs.mean(), rtol=1e-9)
    assert len(watched.validation_scores_) == 2
    weights = np.linspace(0.1, 2, 30)
    weighted = fitted(X, Y, {"X_val": X_NEW, "y_val": Y_NEW, "sample_weight_val": weights})
    np.testing.assert_allclose(weighted.validation_scores_[-1], np.average(logs, weights=weights), rtol=1e-9)


def accuracy(estimator, X, y):
    return estimator.score(X, y)


@pytest.mark.parametrize("scoring", [None, "accuracy", "balanced_accuracy", "neg_log_loss", accuracy])
def test_scoring(scoring):
    clf = fitted(X, Y, {"X_val": X_NEW, "y_val": Y_NEW}, scoring=scoring)
    last = clf.validation_scores_[-1]
    if scoring == "neg_log_loss":
        expected = clf.predict_log_proba(X_NEW)[np.arange(30), Y_NEW].mean()
    else:
        expected = clf.score(X_NEW, Y_NEW)
    np.testing.assert_allclose(last, expected, rtol=1e-9)


def test_unknown_scoring():
    clf = quick(scoring="beauty")
    for validation in ({}, {"X_val": X, "y_val": Y}):
        with pytest.raises(ValueError, match=r"'scoring' parameter .* name of scikit-learn's scorers.*'beauty'"):
            clf.fit(X, Y, **validation)
        assert not hasattr(clf, "network_")


@pytest.mark.parametrize("given", [True, False])
def test_early_stopping_restores_the_best(given):
    """What is learnt of labels by chance is worth nothing elsewhere: the best epoch comes early."""
    labels = np.random.default_rng(0).permutation(Y)
    keywords = {"X_val": X_NEW, "y_val": Y_NEW} if given else {}
    settings = {"early_stopping": True, "learning_rate_init": 0.03, "max_iter": 40, "n_iter_no_change": 4}
    clf = fitted(X, labels, keywords, **settings) if given else fitted(X, labels, **settings)
    scores = clf.validation_scores_
    assert len(scores) == clf.n_iter_ < 40
    assert clf.best_validation_score_ == max(scores) > scores[-1]
    assert clf.best_loss_ is None
    if given:
        logs = clf.predict_log_proba(X_NEW)[np.arange(30), Y_NEW]
        np.testing.assert_allclose(logs.mean(), max(scores), rtol=1e-9)
        same = fitted(
            X, labels, **{**settings, "early_stopping": False, "max_iter": scores.index(max(scores)) + 1}
        )
        assert weights_of(same) == weights_of(clf)


def test_partial_fit_refuses_what_needs_all_data():
    with pytest.raises(ValueError, match="early_stopping"):
        quick(early_stopping=True).partial_fit(X, Y, [0, 1, 2])
    with pytest.raises(ValueError, match="balanced"):
        quick(class_weight="balanced").partial_fit(X, Y, [0, 1, 2])


def test_fit_starts_anew_without_warm_start():
    clf = fitted(X, Y)
    fitted(X[:, :4], Y == 1, clf=clf)
    assert clf.input_shape_ == (4, 6, 1)
    assert len(clf.loss_curve_) == 2
    assert weights_of(clf) == weights_of(fitted(X[:, :4], Y == 1))


def test_warm_start_refuses_other_layers():
    clf = fitted(X, Y, warm_start=True)
    with pytest.raises(ValueError, match="the parameters describe other layers"):
        clf.set_params(filters=(5,)).fit(X, Y)
    with pytest.raises(ValueError, match=r"shape \(4, 6, 1\)"):
        clf.set_params(filters=(4,)).fit(X[:, :4], Y)


def test_a_class_may_be_absent_from_a_batch():
    clf = quick()
    clf.partial_fit(X[Y < 2], Y[Y < 2], classes=[0, 1, 2]).partial_fit(X[Y == 2], Y[Y == 2])
    assert clf.predict_proba(X).shape == (30, 3)


def test_the_warning_points_at_the_caller():
    with pytest.warns(ConvergenceWarning) as caught:
        CNNClassifier((2,), max_iter=1, random_state=0).fit(X, Y)
    assert caught[0].filename == __file__


class Shallow(CNNClassifier):
    """Has parameters of its own, and gives the others."""

    def __init__(self, width=2):
        super().__init__(filters=(width,), hidden_layer_sizes=(), max_iter=2, tol=None, random_state=0)
        self.width = width

    def fit_with(self, checkpoint, resume=False):
        self.checkpoint, self.resume = checkpoint, resume
        return self.fit(X, Y)


def test_a_subclass_with_a_constructor_of_its_own(tmp_path):
    clf = Shallow(3).fit(X, Y)
    assert clf.get_params() == {"width": 3}
    same = CNNClassifier((3,), hidden_layer_sizes=(), max_iter=2, tol=None, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(clf.predict_proba(X), same.predict_proba(X))
    assert clf.partial_fit(X, Y).n_iter_ == 3
    search = GridSearchCV(Shallow(), {"width": [1, 2]}, cv=2).fit(X, Y)
    assert search.best_params_["width"] in (1, 2)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict(X), clf.predict(X))
    with pytest.raises(TypeError, match=r"a model file holds .* Shallow is a class of test_"):
        clf.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_subclass_resumes_from_its_checkpoint(tmp_path, monkeypatch):
    whole, checkpoint = Shallow().fit(X, Y), Checkpoint(tmp_path / "fit")
    with monkeypatch.context() as patch:
        cut_at(1, patch)
        with pytest.raises(Cut):
            Shallow().fit_with(checkpoint)
    resumed = Shallow().fit_with(checkpoint, resume=True)
    assert weights_of(resumed) == weights_of(whole)
