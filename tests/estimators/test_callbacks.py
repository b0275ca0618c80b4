"""scikit-learn's callbacks, and what is said if this version has none."""

import importlib.util

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from small import fitted, images, printed_by, quick, weights_of

from pyconvx import CNNClassifier, CNNRegressor, DivergenceError
from pyconvx.estimators.callbacks import FitTask
from pyconvx.estimators.examples import Examples

X, Y = images()
THERE = importlib.util.find_spec("sklearn.callback") is not None
PUBLIC = ["with them"] if THERE else []
BARS = PUBLIC


class Counts:
    """A callback that records what is reported, and may ask to stop."""

    def __init__(self, stop_after=None):
        self.stop_after, self.events = stop_after, []

    def setup(self, estimator, context):
        self.events.append("setup")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None, metadata=None):
        self.events.append(("end", context.task_name))
        ends = sum(entry == ("end", "epoch") for entry in self.events)
        return self.stop_after is not None and ends >= self.stop_after

    def teardown(self, estimator, context):
        self.events.append("teardown")


@pytest.mark.parametrize("_", PUBLIC)
def test_every_epoch_is_a_task(_):
    callback = Counts()
    clf = fitted(X, Y, clf=quick(max_iter=3).set_callbacks(callback))
    epochs = [entry for entry in callback.events if entry[1] == "epoch"]
    assert epochs == [("begin", "epoch"), ("end", "epoch")] * 3
    assert (callback.events[0], callback.events[-1]) == ("setup", "teardown")
    begun = sum(entry[0] == "begin" for entry in callback.events)
    assert begun == sum(entry[0] == "end" for entry in callback.events) == 4
    assert weights_of(clf) == weights_of(fitted(X, Y, max_iter=3))


@pytest.mark.parametrize("_", PUBLIC)
def test_a_callback_may_stop(_):
    clf = quick(max_iter=9).set_callbacks(Counts(stop_after=2))
    clf.fit(X, Y)  # stopped on purpose: no ConvergenceWarning
    assert clf.n_iter_ == 2
    assert weights_of(clf) == weights_of(fitted(X, Y, max_iter=2))


@pytest.mark.parametrize("_", PUBLIC)
def test_callbacks_end_where_training_fails(_):
    callback = Counts()
    clf = quick(solver="sgd", learning_rate_init=1e30, max_iter=50, tol=0.0).set_callbacks(callback)
    with np.errstate(all="ignore"), pytest.raises(DivergenceError):
        clf.fit(X.astype(np.float32), Y)
    assert callback.events[-1] == "teardown"


@pytest.mark.parametrize("_", PUBLIC)
@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor])
def test_partial_fit_ends_its_callbacks(kind, _):
    callback = Counts()
    model = kind(filters=(2,), hidden_layer_sizes=(), random_state=0).set_callbacks(callback)
    keywords = {"classes": np.unique(Y)} if kind is CNNClassifier else {}
    for _ in range(2):
        model.partial_fit(X, Y, **keywords)
        assert (callback.events[0], callback.events[-1]) == ("setup", "teardown")
        assert sum(entry[0] == "begin" for entry in callback.events) == 2
        callback.events.clear()
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(np.full_like(X, np.nan), Y)
    model.set_params(solver="sgd", learning_rate_init=1e300)
    with np.errstate(all="ignore"), pytest.raises(DivergenceError):
        model.partial_fit(X, Y)
    assert callback.events[-1] == "teardown"
    assert not [name for name in vars(model) if name.startswith("_callback") or name.endswith("teardown")]


class Raising(Counts):
    def on_fit_task_end(self, *arguments, **keywords):
        raise KeyboardInterrupt


@pytest.mark.parametrize("_", PUBLIC)
def test_callbacks_end_where_one_of_them_is_interrupted(_):
    for method in ("fit", "partial_fit"):
        callback, raising = Counts(), Raising()
        clf = quick().set_callbacks(callback, raising)
        with pytest.raises(KeyboardInterrupt):
            getattr(clf, method)(X, Y, *([np.unique(Y)] if method == "partial_fit" else []))
        assert callback.events[-1] == raising.events[-1] == "teardown"


LOOP = """
import threading, warnings
import numpy as np
from sklearn.callback import ProgressBar
from pyconvx import CNNClassifier, CNNRegressor
from small import images

X, y = images()
for kind, keywords in ((CNNClassifier, {"classes": [0, 1, 2]}), (CNNRegressor, {})):
    model = kind(filters=(2,), hidden_layer_sizes=()).set_callbacks(ProgressBar())
    for _ in range(3):
        model.partial_fit(X, y, **keywords)
    try:
        model.set_params(solver="sgd", learning_rate_init=1e300).partial_fit(X, y)
    except ValueError:
        pass
# a listener of scikit-learn's own stays behind as a daemon, which keeps no process alive
print("threads:", sum(not thread.daemon for thread in threading.enumerate()))
"""


@pytest.mark.parametrize("_", BARS)
def test_a_loop_with_a_progress_bar_leaves_no_thread_and_ends(_, tmp_path):
    assert printed_by(LOOP, tmp_path).rstrip().endswith("threads: 1")


@pytest.mark.parametrize("_", PUBLIC)
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_callbacks_get_frames_where_frames_were_given(frame, _):
    from sklearn.callback import ScoringMonitor

    rows = frame({f"p{i}": column for i, column in enumerate(X.reshape(len(X), -1).T)})
    clf = quick(image_shape=(6, 6), tol=None).set_callbacks(ScoringMonitor(scoring="accuracy"))
    assert clf.fit(rows, Y).n_iter_ == 2  # a warning about names would be an error


@pytest.mark.parametrize("_", PUBLIC)
def test_scoring_monitor_scores_every_epoch(_):
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    clf = fitted(X, Y, clf=quick(max_iter=3, learning_rate_init=0.05).set_callbacks(monitor))
    scores = [row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    expected = [fitted(X, Y, max_iter=n, learning_rate_init=0.05).score(X, Y) for n in (1, 2, 3)]
    assert scores == expected
    assert clf.n_iter_ == 3


@pytest.mark.parametrize("_", BARS)
def test_progress_bar(_, capsys):
    from sklearn.callback import ProgressBar

    fitted(X, Y, clf=quick(max_iter=3).set_callbacks(ProgressBar()))
    assert "CNNClassifier" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("_", BARS)
def test_progress_bar_over_a_grid(_):
    from sklearn.callback import ProgressBar

    grid = GridSearchCV(
        make_pipeline(FunctionTransformer(), quick()), {"cnnclassifier__filters": [(2,), (3,)]}, cv=2
    )
    grid.set_callbacks(ProgressBar())
    grid.fit(X, Y)
    assert grid.best_params_["cnnclassifier__filters"] in {(2,), (3,)}


class Bare:
    """An estimator of a scikit-learn without callbacks."""


def test_without_callbacks_tasks_do_nothing():
    task = FitTask(Bare(), 3, Examples(X, Y, Y, np.ones(len(Y)), np.ones(len(Y)), X))
    task.begin_epoch()
    assert task.end_epoch(dict, {}) is False
    task.end(dict)
