"""CNNClassifier: copies, parameters that are objects, other layers, interruptions, calls that fail."""

import copy
import pickle
import re
import subprocess
import sys
from dataclasses import dataclass

import joblib
import numpy as np
import pytest
from places import SUPPORT
from sklearn.base import clone
from small import fitted, images, quick, weights_of

from pyconvx import CNNClassifier, ModelFileError
from pyconvx.layers import Activation, BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D
from pyconvx.schedules import Cosine
from pyconvx.solvers import SGD, RMSprop

X, Y = images()
X_NEW, Y_NEW = images(seed=5)


COPIES = {
    "pickle": lambda clf, path: pickle.loads(pickle.dumps(clf)),
    "deepcopy": lambda clf, path: copy.deepcopy(clf),
    "joblib": lambda clf, path: joblib.load(joblib.dump(clf, path / "clf.joblib")[0]),
    "memory map": lambda clf, path: joblib.load(joblib.dump(clf, path / "clf.joblib")[0], mmap_mode="r"),
}


@pytest.mark.parametrize("way", COPIES)
def test_copies_predict_and_train_alike(way, tmp_path):
    clf = fitted(X, Y, batch_norm=True, dropout=0.2)
    other = COPIES[way](clf, tmp_path)
    np.testing.assert_array_equal(other.predict_proba(X_NEW), clf.predict_proba(X_NEW))
    before = weights_of(clf)
    other.partial_fit(X, Y)
    assert weights_of(clf) == before != weights_of(other)
    assert weights_of(clf.partial_fit(X, Y)) == weights_of(other)


def test_newer_pickles_are_refused():
    clf = fitted(X, Y)
    state = clf.__getstate__()
    for version in (99, "1", None):
        with pytest.raises(ModelFileError, match=rf"pickled in format {version}, .*install a newer pyconvx"):
            CNNClassifier.__new__(CNNClassifier).__setstate__(state | {"_pyconvx_format": version})


OBJECTS = {
    "layers": [Conv2D(3), Activation("gelu"), Dropout(0.1), BatchNorm(), MaxPool2D(2), Flatten(), Dense(4)],
    "solver": SGD(momentum=0.5),
    "learning_rate": Cosine(),
}


def test_clone_keeps_objects():
    clf = fitted(X, Y, **OBJECTS)
    other = clone(clf)
    assert not hasattr(other, "network_")
    assert weights_of(fitted(X, Y, clf=other)) == weights_of(clf)
    assert clone(quick(solver=SGD())).set_params(solver__momentum=0.1).solver.momentum == 0.1


def test_parameters_are_not_changed_by_fit():
    clf = quick(**OBJECTS, filters=[4], hidden_layer_sizes=[8])
    before = copy.deepcopy(clf.get_params())
    fitted(X, Y, clf=clf)
    assert clf.get_params() == before


def test_scalars_apply_to_names_only():
    sgd = fitted(X, Y, solver="sgd", momentum=0.5)
    assert weights_of(sgd) == weights_of(fitted(X, Y, solver=SGD(momentum=0.5)))
    assert weights_of(sgd) != weights_of(fitted(X, Y, solver=SGD(), momentum=0.5))


def test_layers_replace_the_stack():
    clf = fitted(X, Y, layers=["flatten", Dense(5), "activation"])
    assert [type(layer).__name__ for layer in clf.network_.layers] == ["Flatten", "Dense", "Activation", "Dense"]
    added = fitted(X, Y, layers=[Conv2D(2), Dense(5)])
    assert [type(layer).__name__ for layer in added.network_.layers] == ["Conv2D", "Flatten", "Dense", "Dense"]
    assert [type(layer).__name__ for layer in fitted(X, Y, layers=[]).network_.layers] == ["Flatten", "Dense"]


def test_one_size_needs_no_sequence():
    one = fitted(X, Y, filters=5, hidden_layer_sizes=6)
    assert weights_of(one) == weights_of(fitted(X, Y, filters=[5], hidden_layer_sizes=np.array([6])))
    assert weights_of(one) != weights_of(fitted(X, Y, filters=(), hidden_layer_sizes=()))


def test_windows_are_clipped_to_the_axis():
    clf = fitted(X[:, :1, :2], Y, kernel_size=5, pool_size=3, padding=1, filters=(3, 3))
    assert clf.predict(X[:, :1, :2]).shape == (30,)


def test_interrupt_leaves_the_last_whole_epoch():
    """Ctrl-C while it trains: KeyboardInterrupt arrives, and the estimator predicts."""
    script = """
import io, signal, sys, threading, numpy as np, os
from pyconvx import CNNClassifier
class Lines(io.StringIO):  # one is written after each epoch
    def write(self, text):
        if "Iteration 2 " in text:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
X = np.random.default_rng(0).standard_normal((200, 16, 16, 3)).astype(np.float32)
y = np.arange(200) % 2
clf = CNNClassifier(max_iter=10**6, tol=0.0, n_iter_no_change=10**6, random_state=0, n_jobs=1, verbose=1)
sys.stdout = Lines()
try:
    clf.fit(X, y)
except KeyboardInterrupt:
    other = CNNClassifier(tol=0.0, random_state=0, n_jobs=1)
    for _ in range(clf.n_iter_):
        other.partial_fit(X, y, [0, 1])
    same = clf.n_iter_ and (other.network_.buffer == clf.network_.buffer).all() and len(clf.predict(X)) == 200
    print("interrupted", bool(same), file=sys.__stdout__)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout.split() == ["interrupted", "True"], run.stderr


def test_interrupted_at_random_moments():
    script = SUPPORT / "interrupted_fits.py"
    run = subprocess.run([sys.executable, script, "100"], capture_output=True, text=True, timeout=300, check=False)
    assert run.stdout.startswith("done"), run.stdout + run.stderr


def test_verbose_shows_a_line_per_epoch(capsys):
    clf = fitted(X, Y, {"X_val": X_NEW, "y_val": Y_NEW}, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{clf.n_parameters_:,} parameters, float64, 1 thread(s)"
    assert [line.split()[:2] for line in lines[1:]] == [["Iteration", "1"], ["Iteration", "2"]]
    assert all(
        re.search(r" of 2, loss = \d+\.\d+, score = -\d+\.\d+, [\d,]+ samples/s", line) for line in lines[1:]
    )


def test_verbose_calls_of_partial_fit_count_on(capsys):
    clf = quick(verbose=1)
    for _ in range(3):
        clf.partial_fit(X, Y, [0, 1, 2])
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"{clf.n_parameters_:,} parameters, float64, 1 thread(s)"
    assert [line.split(",")[0] for line in lines] == ["Iteration 1", "Iteration 2", "Iteration 3"]


@pytest.mark.parametrize(
    ("data", "labels", "keywords"),
    [
        (X[:, :4], Y + 0.5, {}),
        (np.concatenate([X, X], axis=3), Y[:-1], {}),
        (X.repeat(2, axis=1), Y, {"sample_weight": -np.ones(30)}),
        (X[:, :4], Y, {"X_val": X, "y_val": Y}),
        (X[:, :1].repeat(3, axis=3), Y, {"X_val": X[:, :1].repeat(3, axis=3), "y_val": Y + 9}),
        ((X * 20).astype(np.uint8), None, {}),
    ],
)
def test_a_refused_fit_changes_nothing(data, labels, keywords):
    clf = fitted(X, Y)
    before = pickle.dumps(clf)
    for method in (
        clf.fit,
        lambda *data, **_: clf.partial_fit(*data, sample_weight=keywords.get("sample_weight")),
    ):
        with pytest.raises(ValueError, match=r"."):
            method(data, labels, **keywords)
        assert pickle.dumps(clf) == before
    with pytest.raises(ValueError, match=r"shape|uint8"):
        clf.predict(data)


@pytest.mark.parametrize("settings", [{"validation_fraction": 0.01}, {"filters": (5,), "layers": [Conv2D(3, 9)]}])
def test_a_refused_first_fit_fits_nothing(settings):
    clf = quick(early_stopping=True, **settings)
    with pytest.raises(ValueError, match=r"."):
        clf.fit(X, Y)
    assert [name for name in vars(clf) if name.endswith("_") and not name.startswith("_")] == []


@pytest.mark.parametrize(
    "change", [{"input_shape_": (6, 6, 2)}, {"input_shape_": (4, 6, 1)}, {"n_features_in_": 72}]
)
def test_attributes_that_were_tampered_with(change):
    """No kernel is called with arrays of other sizes than its network's."""
    clf = fitted(X, Y)
    vars(clf).update(change)
    shape = change.get("input_shape_", (6, 6, 2))
    for data in (np.ones((3, *shape)), np.ones((3, change.get("n_features_in_", 35)))):
        with pytest.raises(ValueError, match=r"shape|features"):
            clf.predict(data)


@pytest.mark.parametrize("solver", ["sgd", "rmsprop", RMSprop(), "adamw"])
def test_another_solver_begins_with_a_memory_of_its_own(solver):
    clf, other = fitted(X, Y), fitted(X, Y)
    clf.set_params(solver=solver).partial_fit(X, Y)
    other._state.slots, other._state.step, other._state.solver = np.zeros_like(clf._state.slots), 0, ""
    assert weights_of(other.set_params(solver=solver).partial_fit(X, Y)) == weights_of(clf)
    assert np.isfinite(clf.network_.buffer).all()


def test_warm_start_in_another_precision_is_refused():
    clf = fitted(X, Y, warm_start=True, dtype="float64")
    with pytest.raises(ValueError, match="dtype='float32', but this estimator was fitted in float64"):
        clf.set_params(dtype="float32").fit(X, Y)


@dataclass
class Gaussian:
    """An initializer that compares by value and so cannot be hashed."""

    scale: float = 0.1

    def __call__(self, shape, fan_in, fan_out, rng):
        return self.scale * rng.standard_normal(shape)


def test_objects_that_cannot_be_hashed():
    for settings in ({"initializer": Gaussian()}, {"layers": [Conv2D(3, initializer=Gaussian()), MaxPool2D(2)]}):
        assert fitted(X, Y, **settings).predict(X).shape == (30,)


def test_dates_are_no_images():
    with pytest.raises(ValueError, match=r"X must hold real numbers, got datetime64\[s\]"):
        quick().fit(np.zeros((6, 4), "datetime64[s]"), [0, 1] * 3)
