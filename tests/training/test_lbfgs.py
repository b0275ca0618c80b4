"""solver="lbfgs": SciPy's minimiser on the objective of all rows."""

import re
import warnings

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from small import fitted, images, quick, weights_of

import pyconvx
from pyconvx import Checkpoint, CNNClassifier, CNNRegressor
from pyconvx.layers import BatchNorm, Conv2D, Dropout

X, Y = images()
FLOWERS, KINDS = load_iris(return_X_y=True)
FLOWERS = (FLOWERS - FLOWERS.mean(0)) / FLOWERS.std(0)
DENSE = {"filters": (), "solver": "lbfgs", "random_state": 0, "max_iter": 200}


def lbfgs(**parameters):
    return quick(solver="lbfgs", **{"max_iter": 30, **parameters})


def test_it_learns_what_scikit_learns_mlp_learns():
    ours = CNNClassifier(hidden_layer_sizes=(8,), activation="tanh", **DENSE).fit(FLOWERS, KINDS)
    theirs = MLPClassifier(8, activation="tanh", solver="lbfgs", random_state=0, max_iter=200).fit(FLOWERS, KINDS)
    assert ours.loss_ < 1.2 * theirs.loss_ + 1e-3
    assert ours.score(FLOWERS, KINDS) >= 0.98


def test_without_hidden_layers_it_finds_the_exact_minimum():
    """A convex objective: weighted least squares with a penalty on all but the intercept."""
    y = FLOWERS @ [1.0, -2.0, 0.5, 0.0] + 0.3
    weights = np.linspace(0.2, 2.0, 150)
    ours = CNNRegressor(hidden_layer_sizes=(), alpha=3.0, tol=1e-9, **DENSE).fit(FLOWERS, y, weights)
    design = np.hstack([FLOWERS, np.ones((150, 1))])
    normal = design.T @ (weights[:, None] * design) + 3.0 * np.diag([1, 1, 1, 1, 0])
    exact = np.linalg.solve(normal, design.T @ (weights * y))
    np.testing.assert_allclose(ours.network_.buffer, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_on_any_number_of_threads(dtype):
    one, three = (fitted(X, Y, clf=lbfgs(dtype=dtype, n_jobs=n, max_iter=5)) for n in (1, 3))
    assert weights_of(one) == weights_of(three)
    assert one.network_.dtype == dtype


def test_its_gradient_is_that_of_its_objective():
    clf = fitted(X, Y, clf=lbfgs(max_iter=1, alpha=0.1))
    data, _ = clf._training_data(X, Y, np.linspace(0.5, 2, len(X)), True)
    trainer = clf._trainer(data, np.arange(len(X)))
    start = clf.network_.buffer.copy()
    error = check_grad(lambda p: trainer._objective(p)[0], lambda p: trainer._objective(p)[1], start)
    assert error < 1e-5


def test_attributes_and_curves():
    clf = lbfgs(max_iter=100).fit(X, Y)  # it converges: no warning
    assert 3 < clf.n_iter_ < 100
    assert len(clf.loss_curve_) == clf.n_iter_
    assert clf.loss_curve_ == sorted(clf.loss_curve_, reverse=True)
    assert clf.loss_ == clf.loss_curve_[-1]
    assert clf.t_ == clf.n_iter_ * len(X)
    assert clf.score(X, Y) == 1.0


def test_convergence_warnings():
    with pytest.warns(ConvergenceWarning, match=r"^Maximum iterations \(2\) reached"):
        lbfgs(max_iter=2).fit(X, Y)
    with pytest.warns(
        ConvergenceWarning, match=r"^lbfgs ended before it converged \(.*EXCEEDS.*\): scale X, or raise"
    ):
        assert lbfgs(max_fun=3).fit(X, Y).n_iter_ <= 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lbfgs(max_iter=2, tol=None).fit(X, Y)
        lbfgs(max_iter=200, learning_rate="cosine").fit(X, Y)  # a schedule has no effect


def test_what_has_no_effect():
    expected = weights_of(fitted(X, Y, clf=lbfgs(max_iter=4)))
    for parameters in (
        {"batch_size": 3},
        {"shuffle": False},
        {"learning_rate_init": 9.0},
        {"learning_rate": "cosine"},
    ):
        assert weights_of(fitted(X, Y, clf=lbfgs(max_iter=4, **parameters))) == expected


@pytest.mark.parametrize(
    "parameters",
    [{"dropout": 0.2}, {"batch_norm": True}, {"layers": [Conv2D(2), BatchNorm()]}, {"layers": [Dropout(0.1)]}],
)
def test_networks_that_change_from_pass_to_pass_are_refused(parameters):
    clf = lbfgs(**parameters)
    with pytest.raises(ValueError, match=r"solver='lbfgs' minimises one function .* dropout and batch"):
        clf.fit(X, Y)
    assert not hasattr(clf, "network_")


def test_there_is_no_partial_fit():
    for model in (lbfgs(), CNNRegressor(solver="lbfgs")):
        assert not hasattr(model, "partial_fit")
        with pytest.raises(AttributeError, match="partial_fit"):
            model.partial_fit(X, Y)
        assert hasattr(model.set_params(solver="adam"), "partial_fit")


def test_no_checkpoints(tmp_path):
    with pytest.raises(ValueError, match=re.escape("solver='lbfgs' keeps no checkpoints")):
        lbfgs(checkpoint=Checkpoint(tmp_path / "fit")).fit(X, Y)


def test_warm_starts_files_and_other_solvers(tmp_path):
    clf = fitted(X, Y, clf=lbfgs(max_iter=3, warm_start=True))
    first = clf.loss_
    fitted(X, Y, clf=clf)
    assert clf.loss_ < first
    assert clf.n_iter_ == 3
    assert len(clf.loss_curve_) == 6
    for training in (True, False):
        clf.save(tmp_path / "model", for_training=training)
        loaded = pyconvx.load(tmp_path / "model")
        assert loaded.solver == "lbfgs"
        np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
        assert weights_of(fitted(X, Y, clf=loaded)) == weights_of(
            fitted(X, Y, clf=pyconvx.load(tmp_path / "model"))
        )
    clf.set_params(solver="adam").partial_fit(X, Y)
    assert np.isfinite(fitted(X, Y, clf=clf.set_params(solver="lbfgs")).loss_)


def test_early_stopping_and_validation():
    clf = lbfgs(early_stopping=True, validation_fraction=0.3, n_iter_no_change=2, max_iter=100).fit(X, Y)
    assert len(clf.validation_scores_) == clf.n_iter_ < 100
    watched = fitted(X, Y, {"X_val": X, "y_val": Y}, clf=lbfgs(scoring="accuracy", max_iter=3))
    assert len(watched.validation_scores_) == 3


def test_ctrl_c_keeps_the_last_whole_iteration():
    stopped = []

    def interrupted(estimator, rows, labels):
        stopped.append(weights_of(estimator))
        if len(stopped) == 3:
            raise KeyboardInterrupt
        return 1.0

    clf = lbfgs(scoring=interrupted)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y, X_val=X, y_val=Y)
    assert weights_of(clf) == stopped[1] == weights_of(fitted(X, Y, clf=lbfgs(max_iter=2)))


def test_lines_and_searches(capsys):
    fitted(X, Y, clf=lbfgs(verbose=1, max_iter=2))
    assert re.search(
        r"^Iteration 2 of 2, loss = \d\.\d+, [\d,]+ samples/s$", capsys.readouterr().out, re.MULTILINE
    )
    grid = GridSearchCV(lbfgs(tol=None, max_iter=3), {"alpha": [1e-4, 1.0]}, cv=2).fit(X, Y)
    assert grid.best_score_ > 0.4
