"""CNNClassifier inside scikit-learn's tools: those that hand 4-D images on, and those that need flat rows."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import SelectKBest
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from small import fitted, images, printed_by, quick, weights_of

from pyconvx import CNNClassifier, activations
from pyconvx.activations import CompiledActivation
from pyconvx.initializers import Constant, Orthogonal
from pyconvx.layers import Conv2D, GlobalAvgPool2D
from pyconvx.solvers import SGD

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = images(36)
FLAT = X.reshape(len(X), -1)
NAMES = np.array(["north", "middle", "south"])[Y]
GOOD = {"max_iter": 25, "learning_rate_init": 0.02, "filters": (4,)}


def good(**parameters):
    return quick(**{**GOOD, **parameters})


def flat(**parameters):
    return good(image_shape=(6, 6), **parameters)


def halves(images):
    """A transformer's function: images in, images out."""
    return images * 0.5


class Bent:
    """A plugin object, as another package would bring it."""

    initializer = "xavier_uniform"

    def forward(self, x):
        return np.arctan(x)

    def backward(self, dy, x, y):
        return dy / (1 + x * x)

    def __eq__(self, other):
        return type(self) is type(other)

    def __hash__(self):
        return 1


WITH_IMAGES = {
    "pipeline": lambda: make_pipeline(FunctionTransformer(halves), good()),
    "calibrated": lambda: CalibratedClassifierCV(good(), cv=2),
    "voting": lambda: VotingClassifier([("a", good()), ("b", good(random_state=1))], voting="soft"),
    "stacking": lambda: StackingClassifier([("a", good()), ("b", good(random_state=1))], cv=2),
    "one against the rest": lambda: OneVsRestClassifier(good()),
    "grid": lambda: GridSearchCV(good(), {"alpha": [1e-4, 1e-2]}, cv=2),
}
WITH_ROWS = {
    "scaled": lambda: make_pipeline(StandardScaler(), flat()),
    "min max": lambda: make_pipeline(MinMaxScaler(), flat(dtype="float32")),
    "bagging": lambda: BaggingClassifier(flat(), n_estimators=2, random_state=0),
    "one against one": lambda: OneVsOneClassifier(flat()),
    "one against the rest": lambda: OneVsRestClassifier(flat()),
    "calibrated": lambda: CalibratedClassifierCV(flat(), cv=2, method="isotonic"),
    "voting": lambda: VotingClassifier([("a", flat()), ("b", LogisticRegression())]),
    "stacking": lambda: StackingClassifier([("a", flat()), ("b", LogisticRegression())], cv=2),
}


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_tools_that_hand_images_on(name):
    model = WITH_IMAGES[name]().fit(X, NAMES)
    assert model.predict(X).shape == (36,)
    assert model.score(X, NAMES) > 0.8


@pytest.mark.parametrize("name", WITH_ROWS)
def test_tools_that_need_flat_rows(name):
    model = WITH_ROWS[name]().fit(FLAT, NAMES)
    assert model.score(FLAT, NAMES) > 0.8


def test_self_training():
    labels = np.where(np.arange(36) % 4 == 0, -1, Y)
    model = SelfTrainingClassifier(flat(), max_iter=3).fit(FLAT, labels)
    assert model.score(FLAT, Y) > 0.8


def test_permutation_importance():
    model = flat().fit(FLAT, Y)
    scoring = "neg_log_loss"  # one pixel is not enough to change a class
    found = permutation_importance(model, FLAT, Y, n_repeats=2, random_state=0, scoring=scoring).importances_mean
    assert found.shape == (36,)
    assert found.max() > 0


@pytest.mark.parametrize("data", [X, FLAT], ids=["4-D", "2-D"])
def test_cross_validation(data):
    clf = flat()
    assert cross_val_score(clf, data, NAMES, cv=3).mean() > 0.8
    scores = cross_validate(clf, data, NAMES, cv=2, scoring=["accuracy", "neg_log_loss"], return_train_score=True)
    assert np.isfinite(scores["test_neg_log_loss"]).all()
    assert cross_val_predict(clf, data, NAMES, cv=2, method="predict_proba").shape == (36, 3)


def test_curves():
    _, train, test = learning_curve(good(), X, Y, cv=2, train_sizes=[9, 18])
    assert train.shape == test.shape == (2, 2)
    train, _ = validation_curve(good(), X, Y, param_name="max_iter", param_range=[1, 20], cv=2)
    assert train[1].mean() > train[0].mean()


def test_grid_over_names_and_objects_in_worker_processes():
    grid = {
        "clf__activation": ["relu", "tanh", CompiledActivation("silu"), Bent()],
        "clf__initializer": ["auto", "orthogonal", Orthogonal(gain=0.5)],
    }
    pipe = Pipeline([("scale", FunctionTransformer(halves)), ("clf", quick(max_iter=3, n_jobs=None))])
    alone = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, NAMES)
    shared = GridSearchCV(pipe, grid, cv=2, n_jobs=2, error_score="raise").fit(X, NAMES)
    for key in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(alone.cv_results_[key], shared.cv_results_[key])
    assert weights_of(alone.best_estimator_["clf"]) == weights_of(shared.best_estimator_["clf"])
    assert len(shared.cv_results_["params"]) == 12


def test_names_of_this_process_say_so_in_workers():
    activations.registry.register("bent_here", Bent())
    good(activation="bent_here").fit(X, Y)
    search = GridSearchCV(quick(), {"activation": ["bent_here"]}, cv=2, n_jobs=2, error_score="raise")
    with pytest.raises(ValueError, match="does not exist in worker processes"):
        search.fit(X, Y)
    object_search = GridSearchCV(quick(), {"activation": [Bent()]}, cv=2, n_jobs=2, error_score="raise")
    assert object_search.fit(X, Y).best_score_ > 0


DASK = """
from distributed import Client, LocalCluster
from pyconvx import activations
from test_integration import X, Y, Bent, quick
if __name__ == "__main__":
    activations.registry.register("bent_here", Bent())
    with LocalCluster(1, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        for activation in ("bent_here", Bent()):
            print(repr(client.submit(quick(activation=activation).fit, X, Y).exception()))
"""


def test_names_of_this_process_say_so_in_workers_of_dask(tmp_path):
    unknown, known = printed_by(DASK, tmp_path).splitlines()
    assert "PluginError" in unknown
    assert "does not exist in worker processes" in unknown
    assert known == "None"


def test_grid_over_layers_and_nested_parameters():
    grid = {
        "layers": [None, [Conv2D(3), "activation", GlobalAvgPool2D()]],
        "solver__momentum": [0.5, 0.9],
    }
    search = GridSearchCV(quick(solver=SGD()), grid, cv=2, error_score="raise").fit(X, Y)
    assert len(search.cv_results_["params"]) == 4
    assert clone(search.best_estimator_).get_params()["solver__momentum"] in {0.5, 0.9}


def test_candidates_that_fail_get_the_error_score():
    grid = {"initializer": ["auto", "zeros", Constant(1.0)]}
    search = GridSearchCV(quick(), grid, cv=2, error_score=-1)
    with pytest.warns(sklearn.exceptions.FitFailedWarning, match="starts the kernel all zero"):
        search.fit(X, Y)
    assert search.best_params_ == {"initializer": "auto"}


def test_halving_over_epochs():
    search = HalvingGridSearchCV(
        good(), {"learning_rate_init": [1e-5, 0.02]}, resource="max_iter", max_resources=16, min_resources=8, cv=2,
        factor=2, random_state=0,
    ).fit(X, Y)  # fmt: skip
    assert search.best_params_["learning_rate_init"] == 0.02
    assert search.best_estimator_.max_iter == 16


def test_random_search():
    space = {"alpha": [1e-5, 1e-3], "filters": [(2,), (2, 3)], "batch_norm": [True, False]}
    search = RandomizedSearchCV(quick(), space, n_iter=3, cv=2, random_state=0).fit(X, Y)
    assert search.best_score_ > 0


@pytest.mark.parametrize("api", ["default", "pandas", "polars"])
def test_set_output(api):
    pipe = make_pipeline(StandardScaler(), SelectKBest(k=36), flat()).set_output(transform=api)
    plain = make_pipeline(StandardScaler(), SelectKBest(k=36), flat())
    pipe.fit(FLAT, Y)
    np.testing.assert_array_equal(pipe.predict(FLAT), plain.fit(FLAT, Y).predict(FLAT))
    # scikit-learn 1.6 knows no names of polars' frames: its own selector tells
    named = {"default": False, "pandas": True}.get(api, hasattr(pipe[1], "feature_names_in_"))
    assert hasattr(pipe[-1], "feature_names_in_") == named


def test_feature_names_are_checked():
    import pandas as pd

    frame = pd.DataFrame(FLAT, columns=[f"p{i}" for i in range(36)])
    clf = flat().fit(frame, Y)
    with pytest.raises(ValueError, match="feature names should match those that were passed during fit"):
        clf.predict(frame.rename(columns={"p0": "q0"}))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        clf.predict(FLAT)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_weights_are_routed():
    weights = np.linspace(0.5, 2, 36)
    clf = quick().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    pipe = make_pipeline(FunctionTransformer(halves), clf).fit(X, Y, sample_weight=weights)
    assert weights_of(pipe[-1]) == weights_of(fitted(halves(X), Y, weights))
    found = cross_validate(clf, X, Y, params={"sample_weight": weights}, cv=2)
    assert np.isfinite(found["test_score"]).all()


@pytest.mark.usefixtures("routing")
def test_validation_data_go_through_the_pipelines_steps():
    clf = quick().set_fit_request(X_val=True, y_val=True)
    scaled = Pipeline([("half", FunctionTransformer(halves)), ("clf", clf)], transform_input=["X_val"])
    scaled.fit(X, Y, X_val=X[:12], y_val=Y[:12])
    expected = fitted(halves(X), Y, {"X_val": halves(X[:12]), "y_val": Y[:12]})
    assert scaled[-1].validation_scores_ == expected.validation_scores_
    rows = flat().set_fit_request(X_val=True, y_val=True)
    pipe = Pipeline([("scale", StandardScaler()), ("clf", rows)], transform_input=["X_val"])
    pipe.fit(FLAT, Y, X_val=FLAT[:12], y_val=Y[:12])
    assert len(pipe[-1].validation_scores_) == pipe[-1].n_iter_


def test_partial_fit_through_one_against_the_rest():
    model = OneVsRestClassifier(quick())
    for _ in range(3):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    assert model.predict(X).shape == (36,)


def test_a_scorer_of_probabilities():
    scorer = make_scorer(log_loss, response_method="predict_proba", greater_is_better=False)
    clf = good(scoring=scorer).fit(X, Y, X_val=X, y_val=Y)
    np.testing.assert_allclose(clf.validation_scores_[-1], -log_loss(Y, clf.predict_proba(X)), rtol=1e-9)


def test_digits():
    x, y = load_digits(return_X_y=True)
    x = (x / 16).reshape(-1, 8, 8)
    clf = CNNClassifier(max_iter=10, random_state=0, dtype="float32").fit(x[:1200], y[:1200])
    assert clf.score(x[1200:], y[1200:]) > 0.93
