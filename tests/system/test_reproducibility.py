"""The promises of docs/guide/reproducibility.md: each is the docstring of a test here."""

import ast
import copy
import importlib.util
import os
import pickle
import re
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import joblib
import numpy as np
import pytest
from isa import FUSED, LEVELS, load
from layouts import unusual
from nets import MIXED, RELU, outputs, pictures
from places import PYTHONPATH, TESTS
from small import Cut, cut_at, fitted, images, quick, weights_of

import pyconvx
from pyconvx import Checkpoint, CNNClassifier
from pyconvx.layers import (
    Activation,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    Residual,
    SeparableConv2D,
)
from pyconvx.network import Network
from pyconvx.schedules import Exponential, OneCycle
from pyconvx.solvers import AdamW, RMSprop

SHAPE = (18, 17, 3)
NETS = {
    "same, valid": [
        Conv2D(16, padding="same"), RELU, MaxPool2D(2), Conv2D(24), RELU, MaxPool2D(2), Dense(33), RELU,
    ],
    "stride, groups": [
        Conv2D(20, 5, stride=2, padding=2), Activation("gelu"), Conv2D(20, stride=(1, 2), groups=4),
        Activation("silu"), MaxPool2D(3, stride=2, padding=1, ceil_mode=True), Dropout(0.3),
    ],
    "depthwise, norm": [
        Conv2D(8, bias=False), BatchNorm(), Activation("tanh"), DepthwiseConv2D(multiplier=2, padding="same"),
        BatchNorm(), Activation("sigmoid"), AvgPool2D(2), SeparableConv2D(9, dilation=2, padding="same"),
        Activation("mish"),
    ],
    "residual": [
        Conv2D(12, padding="same"), Activation("elu"), AvgPool2D(3, stride=1, padding=1, count_include_pad=True),
        Residual((Conv2D(12, padding="same"), BatchNorm(), RELU, Dropout(0.2), Conv2D(12, padding="same"))),
        Residual((Conv2D(16, stride=2, padding=1),), (Conv2D(16, 1, stride=2),)), Activation("softplus"),
        GlobalAvgPool2D(),
    ],
}  # fmt: skip
SOLVERS = {"same, valid": "adam", "stride, groups": "sgd", "depthwise, norm": RMSprop(), "residual": AdamW()}
X, Y = pictures(50, SHAPE)


def trained(name, dtype, n_jobs, epochs=2):
    """Epochs in batches that divide neither the data nor the threads' shares."""
    clf = CNNClassifier(
        layers=NETS[name], solver=SOLVERS[name], batch_size=29, max_iter=epochs, dtype=dtype, random_state=0,
        n_jobs=n_jobs, learning_rate=OneCycle(), label_smoothing=0.1,
    )  # fmt: skip
    return fitted(X, Y, clf=clf)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_trainings_do_not_depend_on_threads(name, dtype):
    """Training gives the same bits on 1, 2, 3, 4 and 8 threads, in float32 and float64."""
    models = [trained(name, dtype, n) for n in (1, 2, 3, 4, 8)]
    for one, other in pairwise(models):
        assert weights_of(one) == weights_of(other)
        assert one.loss_curve_ == other.loss_curve_
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_default_stack_on_bytes_does_not_depend_on_threads():
    """Training on uint8 images gives the same bits on 1, 2, 3, 4 and 8 threads."""
    data = (np.abs(X) * 60).astype(np.uint8)
    models = [fitted(data, Y, filters=(20, 30), dropout=0.3, n_jobs=n) for n in (1, 2, 3, 4, 8)]
    assert len({weights_of(clf) for clf in models}) == 1


def bits_of_a_fit(seed, n_jobs=None):
    clf = quick(random_state=seed, n_jobs=n_jobs, batch_norm=True, dropout=0.3)
    return weights_of(clf.partial_fit(X, Y, [0, 1, 2]))


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_workers(backend):
    """Worker processes train to the same bits as the process that starts them."""
    work = (joblib.delayed(bits_of_a_fit)(seed) for seed in range(4))
    assert joblib.Parallel(2, backend=backend)(work) == [bits_of_a_fit(seed) for seed in range(4)]


def test_trainings_at_the_same_time():
    """Trainings that run at the same time, in threads of one process, do not disturb one another."""
    work = (joblib.delayed(bits_of_a_fit)(seed, 2) for seed in range(6))
    assert joblib.Parallel(3, backend="threading")(work) == [bits_of_a_fit(seed) for seed in range(6)]


CONTINUED = {
    "plain": {},
    "all": {"dropout": 0.3, "batch_norm": True, "solver": "sgd", "batch_size": 7},
    "schedule": {"learning_rate": "invscaling", "solver": "rmsprop", "batch_size": 11},
    "objects": {"learning_rate": Exponential(0.7), "solver": AdamW(beta_1=0.5)},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", CONTINUED.values(), ids=CONTINUED)
def test_training_in_parts_is_training_at_once(settings, dtype, tmp_path, monkeypatch):
    """Training ends with the same bits in one fit, in two fits with warm_start, epoch by epoch with partial_fit,
    and after a cut and a resume, if the schedule does not look at max_iter and nothing is held out.
    """
    settings = {**settings, "dtype": dtype}
    whole = fitted(X, Y, max_iter=4, **settings)
    twice = fitted(X, Y, max_iter=2, warm_start=True, **settings)
    fitted(X, Y, clf=twice)
    parts = quick(**settings)
    for _ in range(4):
        parts.partial_fit(X, Y, [0, 1, 2])
    checkpoint = {"checkpoint": Checkpoint(tmp_path / "fit"), "resume": True}
    with monkeypatch.context() as patch:
        cut_at(2, patch)
        with pytest.raises(Cut):
            fitted(X, Y, max_iter=4, **settings, **checkpoint)
    resumed = fitted(X, Y, max_iter=4, **settings, **checkpoint)
    mixed = pickle.loads(pickle.dumps(fitted(X, Y, max_iter=3, **settings))).partial_fit(X, Y)
    for other in (twice, parts, resumed, mixed):
        assert weights_of(other) == weights_of(whole)
        assert other.loss_curve_ == whole.loss_curve_
        assert other.t_ == whole.t_
    assert (whole.n_iter_, twice.n_iter_, parts.n_iter_, mixed.n_iter_) == (4, 2, 4, 4)


def test_what_only_watches():
    """n_jobs, verbose, callbacks, checkpoints and validation data change no bit if nothing stops early."""
    with tempfile.TemporaryDirectory() as folder:
        models = [
            fitted(X, Y),
            fitted(X, Y, n_jobs=2),
            fitted(X, Y, verbose=True),
            fitted(X, Y, {"X_val": X[:9], "y_val": Y[:9]}, scoring="accuracy"),
            fitted(X, Y, checkpoint=Checkpoint(f"{folder}/fit")),
        ]
    if hasattr(CNNClassifier, "set_callbacks") and importlib.util.find_spec("sklearn.callback"):
        from sklearn.callback import ScoringMonitor

        models.append(fitted(X, Y, clf=quick().set_callbacks(ScoringMonitor(scoring="accuracy"))))
    assert len({weights_of(clf) for clf in models}) == 1


def test_the_global_generator_plays_no_part():
    """The seed alone decides: NumPy's global generator is neither read nor advanced."""
    found = set()
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002
        before = str(np.random.get_state())  # noqa: NPY002
        found.add(bits_of_a_fit(3))
        assert str(np.random.get_state()) == before  # noqa: NPY002
    assert len(found) == 1
    assert bits_of_a_fit(4) not in found
    drawn = [bits_of_a_fit(state) for state in (np.random.RandomState(3), np.random.RandomState(3))]
    assert drawn[0] == drawn[1]
    state = np.random.RandomState(3)
    assert bits_of_a_fit(state) != bits_of_a_fit(state)
    assert bits_of_a_fit(None) != bits_of_a_fit(None)


@pytest.mark.filterwarnings("ignore::pyconvx.InputScaleWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_memory(dtype, tmp_path):
    """How X is stored in memory changes no bit: order, strides, byte order, a read-only or a mapped file."""
    data = np.ascontiguousarray((np.abs(X) * 60).astype(dtype))
    expected = fitted(data, Y, batch_norm=True)
    np.save(tmp_path / "X.npy", data)
    for other in (*unusual(data), np.load(tmp_path / "X.npy", mmap_mode="r")):
        clf = fitted(other, Y, batch_norm=True)
        assert weights_of(clf) == weights_of(expected)
        assert clf.predict_proba(other).tobytes() == expected.predict_proba(data).tobytes()


SCRIPT = """
import sys
import numpy as np
from pyconvx import _ext
from test_reproducibility import NETS, X, trained
assert _ext.LEVEL == sys.argv[1]
found = {}
for name in NETS:
    for dtype in ("float32", "float64"):
        clf = trained(name, dtype, 1, epochs=1)
        found[f"{name} {dtype} weights"] = clf.network_.buffer
        found[f"{name} {dtype} statistics"] = clf.network_.state_buffer
        found[f"{name} {dtype} losses"] = np.array(clf.loss_curve_)
        found[f"{name} {dtype} outputs"] = clf.decision_function(X)
np.savez(sys.argv[2], **found)
"""


@pytest.fixture(scope="module")
def by_level(tmp_path_factory):
    """Weights, statistics, losses and outputs of trainings, by level."""
    found = {}
    for level in LEVELS:
        path = tmp_path_factory.mktemp("levels") / f"{level}.npz"
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, level, str(path)],
            env={**os.environ, "PYCONVX_ISA": level, "PYTHONPATH": PYTHONPATH},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        found[level] = dict(np.load(path))
    return found


def test_levels_with_fma_agree(by_level):
    """One build gives the same bits with AVX2 and with AVX-512, in float32 and float64."""
    for one, other in pairwise(FUSED):
        found, expected = by_level[one], by_level[other]
        assert [key for key in found if found[key].tobytes() != expected[key].tobytes()] == []


def test_the_baseline_is_near(by_level):
    """The baseline for older processors, which rounds every product, stays within 1 % in float32 and 1e-8 in
    float64 of the largest number after an epoch.
    """
    for key, values in by_level["baseline"].items():
        scale = np.abs(values).max(initial=1e-30)
        rounding = 1e-2 if "float32" in key else 1e-8
        np.testing.assert_allclose(by_level[LEVELS[-1]][key], values, rtol=0, atol=rounding * scale, err_msg=key)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "module", ["activations", "avg_pool", "batch_norm", "conv", "dense", "max_pool", "random", "solver_steps"]
)
def test_modules_tell_their_level(module, level):
    assert level == load(module, level).LEVEL


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_rows_outputs_do_not_depend_on_its_batch(dtype):
    """A row's outputs do not depend on the rows that are predicted with it, nor on their order."""
    for layers in (MIXED, *NETS.values()):
        flat = [] if isinstance(layers[-1], (GlobalAvgPool2D, Dense)) else [Flatten()]
        if layers is NETS["same, valid"]:
            layers = [*layers[:6], Flatten(), *layers[6:]]
        network = Network((*layers, *flat), SHAPE, dtype=dtype)
        x = X.astype(dtype)
        whole = outputs(network, x, n_threads=2)
        for rows in (slice(0, 1), slice(3, 4), slice(5, 12), slice(20, 50), slice(None, None, 5)):
            np.testing.assert_array_equal(outputs(network, np.ascontiguousarray(x[rows])), whole[rows])


def test_predictions_of_large_data_are_those_of_their_rows():
    data, y = images(1500)
    clf = fitted(data[:30], y[:30], batch_norm=True)
    whole = clf.predict_proba(data)
    np.testing.assert_array_equal(np.concatenate([clf.predict_proba(part) for part in np.split(data, 20)]), whole)
    np.testing.assert_array_equal(clf.predict_proba(data[::-1])[::-1], whole)


@pytest.mark.parametrize("way", ["saved", "pickled", "copied"])
def test_copies(way, tmp_path):
    """Models that are saved for training and loaded, pickled or copied predict and train on with the same bits."""
    clf = fitted(X, Y, batch_norm=True, dropout=0.3, solver="adamw")
    clf.save(tmp_path / "model", for_training=True)
    copied = {
        "saved": lambda: pyconvx.load(tmp_path / "model"),
        "pickled": lambda: pickle.loads(pickle.dumps(clf)),
        "copied": lambda: copy.deepcopy(clf),
    }[way]()
    for _ in range(2):
        assert weights_of(copied) == weights_of(clf)
        assert copied.predict_proba(X).tobytes() == clf.predict_proba(X).tobytes()
        for model in (clf, copied):
            model.partial_fit(X, Y)


def promises():
    """The sentences of the document, one for each entry of its lists but the last."""
    text = (Path(__file__).parents[2] / "docs" / "guide" / "reproducibility.md").read_text()
    promised = text.partition("## What is not promised")[0]
    entries = re.findall(r"^- (.+?)(?=\n\n|\n- )", promised, re.MULTILINE | re.DOTALL)
    return [" ".join(entry.split()) for entry in entries]


def test_every_promise_has_a_test():
    tests = []
    for path in TESTS.rglob("test_*.py"):
        functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        tests += [ast.get_docstring(f) or "" for f in functions if f.name.startswith("test_")]
    tested = {" ".join(text.split()) for text in tests}
    assert len(promises()) > 10
    assert [promise for promise in promises() if promise not in tested] == []


def test_import_leaves_subnormals_alone():
    script = (
        "import numpy as np; import pyconvx\n"
        "for tiny in (np.float32(1e-45), np.float64(5e-324)): assert (np.array([tiny]) * 1)[0] > 0\n"
        "clf = pyconvx.CNNClassifier((2,), max_iter=1).partial_fit(np.eye(4, 9), [0, 1, 0, 1], [0, 1])\n"
        "for tiny in (np.float32(1e-45), np.float64(5e-324)): assert (np.array([tiny]) / 1)[0] > 0\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


LEFT_ALONE = """
import importlib, locale, os, signal, sys, tempfile, warnings
import numpy as np, scipy.special, joblib, sklearn.model_selection, sklearn.utils.estimator_checks
from sklearn.datasets import load_digits

def seen():
    return {
        "signals": [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        "locale": locale.setlocale(locale.LC_ALL),
        "filters": list(warnings.filters),
        "generator": [str(part) for part in np.random.get_state()],
        "errors": np.geterr(),
        "printing": np.get_printoptions(),
        "recursion": sys.getrecursionlimit(),
        "switching": sys.getswitchinterval(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "umask": os.umask(os.umask(0)),
        "hooks": (sys.excepthook, sys.unraisablehook, sys.displayhook),
    }

before = seen()
import pyconvx
assert seen() == before
X, y = load_digits(return_X_y=True)
clf = pyconvx.CNNClassifier((4,), image_shape=(8, 8), max_iter=99, n_iter_no_change=1, tol=9.0, random_state=0)
clf.fit(X[:50] / 16, y[:50]).predict(X)
path = os.path.join(tempfile.mkdtemp(), "clf")
clf.save(path)
pyconvx.load(path).compile_predictor()
after = seen()
assert after == before, [name for name in before if after[name] != before[name]]
"""


def test_process_is_left_alone():
    """Import, fit, predict, save and load change nothing that other code in the process relies on."""
    run = subprocess.run([sys.executable, "-c", LEFT_ALONE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_import_leaves_the_environment_alone():
    code = "import os; before = dict(os.environ); import pyconvx; assert dict(os.environ) == before"
    subprocess.run([sys.executable, "-c", code], check=True)
