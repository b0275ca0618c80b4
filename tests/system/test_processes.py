"""Forks after and during parallel work, many threads on one model, kernels that release the interpreter's lock."""

import ast
import importlib
import inspect
import os
import pkgutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from multiprocessing import parent_process
from pathlib import Path
from types import ModuleType, SimpleNamespace

import joblib
import numpy as np
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError
from nets import RELU
from references import public_methods, references
from sklearn.model_selection import GridSearchCV
from small import fitted, images

import pyconvx
from pyconvx import CNNClassifier, _ext, activations, ops
from pyconvx._ext import cpu
from pyconvx.layers import (
    Activation,
    AvgPool2D,
    BatchNorm,
    Concat,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    Residual,
    SqueezeExcite,
)
from pyconvx.losses import CrossEntropy
from pyconvx.registry import Registry
from pyconvx.solvers import RMSprop

X, Y = images(50, (18, 17, 3))

WORK = """
import multiprocessing, os, sys, threading
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from pyconvx import CNNClassifier
X = np.random.default_rng(0).standard_normal((64, 16, 16, 3)).astype(np.float32)
y = np.arange(64) % 2
def job(n_jobs):
    clf = CNNClassifier((16,), max_iter=1, random_state=0, n_jobs=n_jobs)
    return clf.partial_fit(X, y, [0, 1]).decision_function(X).tobytes()
def child_is_right():
    child = os.fork()
    if not child:
        os._exit(job(2) != before)
    assert os.waitpid(child, 0)[1] == 0
before = job(2)
"""
AFTER = """
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(job, [2, 2, 3]) == [before] * 3
assert job(2) == before
child_is_right()
"""
# scikit-learn's wheel brings an OpenMP of its own
ANOTHER = """
HistGradientBoostingClassifier(max_iter=2).fit(X.reshape(64, -1), y)
child_is_right()
"""
AMID = """
stop = threading.Event()
def work():
    while not stop.is_set():
        assert job(2) == before
thread = threading.Thread(target=work)
thread.start()
for _ in range(10):
    child_is_right()
stop.set()
thread.join()
"""
# a fork within a parallel loop, in which OpenMP cannot end its threads: the child uses one thread
WITHIN = """
import ctypes
from pathlib import Path
paths = {p for line in open("/proc/self/maps") for p in line.split()[5:] if "libgomp" in p or "libomp" in p}
(path,) = {p for p in paths if "sklearn" not in p and "scikit_learn" not in p}  # clang's has gcc's names too
gomp = ctypes.CDLL(path)
statuses = []
@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def body(_):
    if threading.current_thread() is threading.main_thread():
        child = os.fork()
        if not child:
            stop, most = threading.Event(), [0]
            def count():
                while not stop.is_set():
                    most.append(len(os.listdir("/proc/self/task")))
            counter = threading.Thread(target=count)
            counter.start()
            right = all(job(2) == before for _ in range(20))
            stop.set()
            counter.join()
            os._exit(not right or max(most) != 2)
        statuses.append(os.waitpid(child, 0)[1])
gomp.GOMP_parallel(body, None, 2, 0)
assert statuses == [0], statuses
assert job(2) == before
"""


@pytest.mark.skipif(not hasattr(os, "fork") or not cpu.openmp(), reason="no fork, or no OpenMP")
@pytest.mark.parametrize("case", [AFTER, ANOTHER, AMID, WITHIN], ids=["after", "another", "amid", "within"])
def test_forks_do_not_hang(case):
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", f"{WORK}{case}print('done')"],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "OMP_MAX_ACTIVE_LEVELS": "2"},
    )  # fmt: skip
    assert run.stdout == "done\n", run.stderr


def test_sixteen_threads_predict_with_one_model():
    clf = fitted(X, Y, batch_norm=True, n_jobs=2)
    compiled = clf.compile_predictor()
    asked = {
        "proba": lambda rows: clf.predict_proba(X[rows]),
        "maps": lambda rows: clf.feature_maps(X[rows], 0),
        "compiled": lambda rows: compiled(X[rows]),
    }
    parts = [slice(i, i + 1 + i % 7) for i in range(40)]
    for ask in asked.values():
        serial = [ask(part).tobytes() for part in parts]
        work = (joblib.delayed(lambda part, ask=ask: ask(part).tobytes())(part) for part in parts * 4)
        assert joblib.Parallel(16, backend="threading")(work) == serial * 4


def test_predictions_while_another_thread_trains():
    """Not supported, as everywhere in scikit-learn, but harmless: each result has the right shape."""
    clf = fitted(X, Y, batch_norm=True)
    stop = threading.Event()

    def training():
        while not stop.is_set():
            clf.partial_fit(X, Y)

    thread = threading.Thread(target=training)
    thread.start()
    try:
        for _ in range(60):
            assert clf.predict_proba(X).shape == (50, 3)
            assert np.isfinite(clf.feature_maps(X[:5], 0)).all()
    finally:
        stop.set()
        thread.join()


class Dies(CNNClassifier):
    """Kills its process, as the system does if memory runs out."""

    def fit(self, X, y):
        if self.alpha == 1.0 and parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


def test_a_worker_that_is_killed_ends_the_search_with_an_error():
    """Nothing hangs, and the next search works normally."""
    search = GridSearchCV(Dies((2,), max_iter=1, random_state=0), {"alpha": [0.1, 1.0]}, cv=2, n_jobs=2)
    with pytest.raises(TerminatedWorkerError, match="SIGKILL"):
        search.fit(X, Y)
    search.set_params(param_grid={"alpha": [0.1, 0.2]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert search.fit(X, Y).best_estimator_.predict(X).shape == (50,)


# --- the interpreter's lock: a thread that counts advances while a kernel runs ---------------------

WIDE = np.random.default_rng(0).standard_normal((64, 24, 24, 16)).astype(np.float32)
DEEP = WIDE.reshape(64, 12, 12, 64)  # many channels: the kernel's transform lasts long enough to be seen
LABELS = np.arange(64) % 3


def layers():
    """Return new layers, which have no plans yet."""
    return [
        Conv2D(16, padding="same", bias=False), BatchNorm(), RELU, Dropout(0.5), MaxPool2D(2),
        Residual((Conv2D(16, padding="same"), Activation("tanh"))), DepthwiseConv2D(3), Activation("gelu"),
        Conv2D(24, stride=2), AvgPool2D(2), Flatten(), Dense(512), Activation("relu"), Dense(64),
    ]  # fmt: skip


def whole_trainings(n):
    for solver in ("sgd", "adam", RMSprop()):
        clf = fitted(WIDE, LABELS, layers=layers(), solver=solver, max_iter=1, n_jobs=n, batch_size=64)
        clf.predict(WIDE)
    fitted(WIDE, LABELS, layers=[Conv2D(16), RELU, GlobalAvgPool2D()], max_iter=1, n_jobs=n)
    paths = Concat([Conv2D(48, 1), RELU], [Conv2D(48, 1)])
    fitted(WIDE, LABELS, layers=[paths, SqueezeExcite(4), GlobalAvgPool2D()], max_iter=1, n_jobs=n)
    fitted(DEEP, LABELS, layers=[Conv2D(128), Conv2D(128), GlobalAvgPool2D()], max_iter=1, n_jobs=n).predict(DEEP)


def array_functions(n):
    y, argmax = ops.max_pool2d(WIDE, 2, n_threads=n)
    ops.max_pool2d_backward(y, argmax, WIDE.shape, n_threads=n)
    rows = WIDE.reshape(-1, 64)
    for activation in (activations.softmax, activations.log_softmax, activations.gelu):
        activation.backward(rows, rows, activation.forward(rows, n_threads=n), n_threads=n)
    ops.conv2d_backward(WIDE[:, ::-1], WIDE, np.ones((1, 1, 16, 16), np.float32), n_threads=n)
    CrossEntropy().value_and_gradient(
        rows, np.arange(len(rows)) % 64, np.ones(len(rows), np.float32), np.empty_like(rows), n_threads=n
    )


def kernels():
    """Return every compiled function with a thread count that does not only return sizes, and every plan."""
    for source in Path(_ext.__file__).parent.glob("*.pyi"):
        module = importlib.import_module(f"pyconvx._ext.{source.stem}")
        for node in ast.parse(source.read_text()).body:
            if isinstance(node, ast.ClassDef):
                yield module, node.name
            if isinstance(node, ast.FunctionDef) and not node.name.endswith("_scratch"):
                arguments = {argument.arg for argument in (*node.args.posonlyargs, *node.args.args)}
                yield from [(module, node.name)] if "n_threads" in arguments else []


@pytest.mark.parametrize("n_threads", [1, 2])
def test_kernels_let_other_threads_run(n_threads, monkeypatch):
    count, stop, held = 0, threading.Event(), set()

    def counting():
        nonlocal count
        while not stop.is_set():
            count += 1
            time.sleep(0)  # releases the lock

    def watched(kernel, name):
        def call(*arguments, **keywords):
            before = count
            result = kernel(*arguments, **keywords)
            if count != before:
                held.discard(name)
            return result

        return call

    def watched_plan(plan, name):
        methods = public_methods(plan)
        held.update(f"{name}.{method}" for method in methods)

        def make(*sizes):
            made = plan(*sizes)
            attributes = {key: getattr(made, key) for key in dir(made) if not key.startswith("_")}
            runs = {method: watched(attributes[method], f"{name}.{method}") for method in methods}
            return SimpleNamespace(**attributes | runs)

        return make

    for module, name in kernels():
        kernel, full_name = getattr(module, name), f"{module.__name__}.{name}"
        if isinstance(kernel, type):
            replacement = watched_plan(kernel, full_name)
        else:
            replacement = watched(kernel, full_name)
            held.add(full_name)
        for place, key in references(kernel):
            monkeypatch.setattr(place, key, replacement)
    assert len(held) > 34
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)  # nobody takes the lock from a thread that does not release it
    thread = threading.Thread(target=counting)
    thread.start()
    try:
        started = time.monotonic()
        while held and time.monotonic() < started + 60:
            whole_trainings(n_threads)
            array_functions(n_threads)
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        thread.join()
    assert not held


def remembered():
    """Return the contents of the modules: names, their objects, and what is in containers and instances."""
    found = {}
    for module in [module for name, module in sys.modules.items() if name.partition(".")[0] == "pyconvx"]:
        for name, value in vars(module).items():
            if isinstance(value, (Registry, ModuleType)) or name.startswith("__"):
                continue
            inside = value if isinstance(value, (list, dict, set)) else getattr(value, "__dict__", None)
            owned = inspect.isclass(value) or getattr(value, "__module__", "").startswith("pyconvx")
            found[module.__name__, name] = id(value), repr(inside) if owned or inside is value else None
    return found


def test_nothing_is_kept_outside_of_estimators(tmp_path):
    """Only registries change while models are made, used, saved and loaded; no other module does."""
    for module in pkgutil.walk_packages(pyconvx.__path__, "pyconvx."):
        importlib.import_module(module.name)
    before = remembered()
    whole_trainings(2)
    array_functions(2)
    clf = fitted(X, Y, checkpoint=pyconvx.Checkpoint(tmp_path / "checkpoint"), dropout=0.2)
    clf.save(tmp_path / "model")
    pyconvx.load(tmp_path / "model").compile_predictor()(X)
    assert remembered() == before
