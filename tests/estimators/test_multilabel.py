"""Labels that do not exclude one another: y is a matrix of 0 and 1."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.multioutput import ClassifierChain
from sklearn.neural_network import MLPClassifier
from small import Cut, cut_at, fitted, images, quick, weights_of

import pyconvx
from pyconvx import Checkpoint, CNNClassifier
from pyconvx.losses import BinaryCrossEntropy

X, _ = images(40)
Y = (np.random.default_rng(0).random((40, 4)) < 0.4).astype(int)
X = X + Y[:, :1, None, None]


def test_what_it_gives():
    clf = fitted(X, Y)
    assert clf.classes_.tolist() == [0, 1, 2, 3]
    assert (clf.out_activation_, clf.n_outputs_, clf.multilabel_) == ("logistic", 4, True)
    probabilities = clf.predict_proba(X)
    assert probabilities.shape == (40, 4)
    assert probabilities.dtype == np.float64
    assert abs(probabilities.sum(1) - 1).max() > 0.1
    found = clf.predict(X)
    assert found.dtype.kind == "i"
    np.testing.assert_array_equal(found, probabilities > 0.5)
    np.testing.assert_allclose(clf.predict_log_proba(X), np.log(probabilities))
    np.testing.assert_allclose(1 / (1 + np.exp(-clf.decision_function(X))), probabilities)
    assert clf.score(X, Y) == accuracy_score(Y, found)  # of whole rows
    np.testing.assert_allclose(clf.compile_predictor()(X), probabilities)


def test_it_learns_as_scikit_learns_mlp_does():
    flat, labels = make_multilabel_classification(n_samples=60, random_state=0)
    settings = {"alpha": 1e-5, "max_iter": 150, "random_state": 0, "activation": "logistic", "solver": "lbfgs"}
    ours = CNNClassifier((), hidden_layer_sizes=50, input_scale=1.0, **settings)
    assert fitted(flat, labels, clf=ours).score(flat, labels) > 0.97
    theirs = MLPClassifier(50, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(flat, labels)
    assert ours.predict(flat).dtype.kind == theirs.predict(flat).dtype.kind
    assert ours.classes_.tolist() == list(theirs.classes_)


@pytest.mark.parametrize("form", [bool, np.uint8, np.float64, list, sp.csr_matrix, sp.coo_array])
def test_forms_of_the_matrix(form):
    given = Y.tolist() if form is list else form(Y) if form in (sp.csr_matrix, sp.coo_array) else Y.astype(form)
    assert weights_of(fitted(X, given)) == weights_of(fitted(X, Y))
    assert fitted(X, Y).score(X, Y) == fitted(X, given).score(X, given)


def test_the_loss_is_the_sum_over_labels():
    clf = fitted(X, Y, max_iter=1, learning_rate_init=1e-12, alpha=0.0)
    p = clf.predict_proba(X)
    assert clf.loss_ == pytest.approx(-(Y * np.log(p) + (1 - Y) * np.log(1 - p)).sum(1).mean(), rel=1e-6)
    named, given = (fitted(X, Y, loss=loss) for loss in ("binary_cross_entropy", BinaryCrossEntropy()))
    assert weights_of(fitted(X, Y)) == weights_of(named) == weights_of(given)
    smooth = fitted(X, Y, label_smoothing=0.2)
    assert weights_of(smooth) == weights_of(fitted(X, Y, loss=BinaryCrossEntropy(0.2))) != weights_of(named)


def test_weights_and_absence():
    weights = np.ones(40)
    weights[::3] = 0
    assert weights_of(fitted(X, Y, weights)) == weights_of(fitted(X[weights > 0], Y[weights > 0]))
    with pytest.raises(ValueError, match="class_weight='balanced' is for classes that exclude one another: pass"):
        quick(class_weight="balanced").fit(X, Y)


def test_validation():
    held = fitted(X, Y, early_stopping=True, validation_fraction=0.3)
    watched = fitted(X, Y, {"X_val": X, "y_val": Y}, scoring="f1_macro")
    assert len(held.validation_scores_) == len(watched.validation_scores_) == 2
    with pytest.raises(ValueError, match=r"y_val has the shape \(40, 3\), expected a matrix with 4 labels"):
        quick().fit(X, Y, X_val=X, y_val=Y[:, :3])


@pytest.mark.parametrize("n_jobs", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_going_on(n_jobs, dtype, tmp_path, monkeypatch):
    settings = {"n_jobs": n_jobs, "dtype": dtype, "max_iter": 3}
    whole = fitted(X, Y, dtype=dtype, max_iter=3)
    steps = quick(**settings)
    for _ in range(3):
        steps.partial_fit(X, Y, classes=[0, 1, 2, 3])
    assert weights_of(steps) == weights_of(whole)
    checkpoint = Checkpoint(tmp_path / "fit")
    with monkeypatch.context() as patch:
        cut_at(1, patch)
        with pytest.raises(Cut):
            fitted(X, Y, **settings, checkpoint=checkpoint)
    assert weights_of(fitted(X, Y, **settings, checkpoint=checkpoint, resume=True)) == weights_of(whole)
    whole.save(tmp_path / "model", for_training=True)
    for copy in (pyconvx.load(tmp_path / "model"), pickle.loads(pickle.dumps(whole))):
        np.testing.assert_array_equal(copy.predict(X), whole.predict(X))
        assert weights_of(copy.partial_fit(X, Y)) == weights_of(steps.partial_fit(X, Y))
        steps = quick(**settings)
        for _ in range(3):
            steps.partial_fit(X, Y, classes=[0, 1, 2, 3])


def test_other_labels_are_refused():
    clf = fitted(X, Y, warm_start=True)
    with pytest.raises(
        ValueError, match=r"same labels as in the previous call to fit\. Previously got 4 columns, `y` has 3"
    ):
        clf.fit(X, Y[:, :3])
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same"):
        clf.fit(X, Y[:, 0])
    for y in (Y[:, 0], Y[:, :3]):
        with pytest.raises(ValueError, match=r"y has the shape .*, expected a matrix with 4 labels"):
            fitted(X, Y).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"y has the shape .* a matrix, expected one label per row"):
        fitted(X, Y[:, 0]).partial_fit(X, Y)
    with pytest.raises(ValueError, match="y should be a 1d array"):
        quick().fit(X, Y + np.arange(4))
    with pytest.raises(ValueError, match=r"y is a matrix of labels, which must hold 0 and 1, got \[0 2\]"):
        quick().fit(X, 2 * Y)
    with pytest.raises(ValueError, match="loss='binary_cross_entropy' compares outputs with indicators, this"):
        quick(loss="binary_cross_entropy").fit(X, Y[:, 0])


def test_in_scikit_learns_tools():
    clf = quick(tol=None)
    grid = GridSearchCV(clf, {"alpha": [1e-4, 1.0]}, cv=2).fit(X, Y)
    assert np.isfinite(grid.best_score_)
    assert cross_val_predict(clf, X, Y, cv=2, method="predict_proba").shape == (40, 4)
    chain = ClassifierChain(quick(tol=None, image_shape=None), order=[0, 1])
    assert chain.fit(X.reshape(40, -1)[:, :20], Y[:, :2]).predict(X.reshape(40, -1)[:, :20]).shape == (40, 2)
    assert weights_of(fitted(X, Y, clf=clone(fitted(X, Y[:, 0])))) == weights_of(fitted(X, Y))
