"""The same bits on any number of threads, on the levels with FMA, in any batch, after a fork."""

import os
import subprocess
import sys
from itertools import pairwise

import joblib
import numpy as np
import pytest
from isa import FUSED, LEVELS, load
from nets import MIXED, RELU, outputs, pictures
from small import fitted, images, quick, weights_of
from threadpoolctl import threadpool_limits

from pyconvx import CNNClassifier, _threads
from pyconvx._ext import cpu
from pyconvx._threads import MAX_THREADS, available_cpus, resolve_threads
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
from pyconvx.schedules import OneCycle
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
    models = [trained(name, dtype, n) for n in (1, 2, 3)]
    for one, other in pairwise(models):
        assert weights_of(one) == weights_of(other)
        assert one.loss_curve_ == other.loss_curve_
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_default_stack_on_bytes_does_not_depend_on_threads():
    data = (np.abs(X) * 60).astype(np.uint8)
    models = [fitted(data, Y, filters=(20, 30), dropout=0.3, n_jobs=n) for n in (1, 2, 3, 7)]
    assert len({weights_of(clf) for clf in models}) == 1


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


def test_levels_agree(tmp_path):
    """Equal bits with FMA; the baseline, which rounds every product, to a tolerance."""
    found = {}
    for level in LEVELS:
        path = tmp_path / f"{level}.npz"
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, level, str(path)],
            env={**os.environ, "PYCONVX_ISA": level, "PYTHONPATH": os.path.dirname(__file__)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        found[level] = dict(np.load(path))
    for one, other in pairwise(FUSED):
        different = [key for key in found[one] if found[one][key].tobytes() != found[other][key].tobytes()]
        assert different == []
    for key, values in found["baseline"].items():
        scale = np.abs(values).max(initial=1e-30)
        rounding = 1e-2 if "float32" in key else 1e-8
        np.testing.assert_allclose(found[LEVELS[-1]][key], values, rtol=0, atol=rounding * scale, err_msg=key)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("module", ["conv", "dense", "pointwise", "pool", "training"])
def test_modules_tell_their_level(module, level):
    assert level == load(module, level).LEVEL


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_rows_outputs_do_not_depend_on_its_batch(dtype):
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


def one_epoch(seed, n_jobs=1):
    clf = quick(random_state=seed, n_jobs=n_jobs)
    return weights_of(clf.partial_fit(X, Y, [0, 1, 2]))


def test_two_trainings_at_the_same_time():
    serial = [one_epoch(seed) for seed in range(6)]
    work = (joblib.delayed(one_epoch)(seed, 2) for seed in range(6))
    assert joblib.Parallel(3, backend="threading")(work) == serial


FORK = """
import multiprocessing, os, sys
import numpy as np
from pyconvx import CNNClassifier
X = np.random.default_rng(0).standard_normal((64, 16, 16, 3)).astype(np.float32)
y = np.arange(64) % 2
def job(seed):
    clf = CNNClassifier((16,), max_iter=1, random_state=seed, n_jobs=2)
    return clf.partial_fit(X, y, [0, 1]).decision_function(X).tobytes()
before = job(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(job, [0, 0, 0]) == [before] * 3
assert job(0) == before
child = os.fork()
if not child:
    os._exit(job(0) != before)
assert os.waitpid(child, 0)[1] == 0
print("done")
"""


def test_a_fork_after_parallel_work_does_not_hang():
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.stdout == "done\n", run.stderr


def test_import_leaves_subnormals_alone():
    script = (
        "import numpy as np; import pyconvx\n"
        "for tiny in (np.float32(1e-45), np.float64(5e-324)): assert (np.array([tiny]) * 1)[0] > 0\n"
        "clf = pyconvx.CNNClassifier((2,), max_iter=1).partial_fit(np.eye(4, 9), [0, 1, 0, 1], [0, 1])\n"
        "for tiny in (np.float32(1e-45), np.float64(5e-324)): assert (np.array([tiny]) / 1)[0] > 0\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_what_n_threads_means():
    assert resolve_threads(1) == 1
    assert resolve_threads(np.int64(3)) == 3
    assert resolve_threads(5) == 5  # also beyond the processors
    assert resolve_threads(MAX_THREADS) == resolve_threads(10**6) == resolve_threads(2**70) == MAX_THREADS
    assert resolve_threads(-1) == min(available_cpus(), MAX_THREADS)
    assert resolve_threads(-(2**70)) == 1
    assert 1 <= resolve_threads(None) <= available_cpus()


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (True, TypeError), (2.0, TypeError), ("2", TypeError)]
)
def test_what_n_threads_may_not_be(value, error):
    with pytest.raises(error, match="n_threads must"):
        resolve_threads(value)


def test_limits_of_openmp_are_obeyed(monkeypatch):
    monkeypatch.setattr(_threads, "available_cpus", lambda: 4)
    with threadpool_limits(1, user_api="openmp"):
        assert resolve_threads(None) == 1
        assert resolve_threads(3) == 3
    with threadpool_limits(3, user_api="openmp"):
        assert resolve_threads(None) == 3
        assert cpu.max_threads() == 3
    with threadpool_limits(9, user_api="openmp"):
        assert resolve_threads(None) == 4


@pytest.mark.parametrize(("limit", "expected"), [("1", "1"), ("2", "2"), ("100", "all")])
def test_the_environments_limit_is_obeyed(limit, expected):
    script = "from pyconvx._threads import *; print(resolve_threads(None), available_cpus())"
    environment = {**os.environ, "OMP_NUM_THREADS": limit}
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    threads, cpus = run.stdout.split()
    assert threads == (cpus if expected == "all" else str(min(int(expected), int(cpus))))


def test_workers_share_the_processors():
    """Loky tells its workers to use their part."""
    shares = joblib.Parallel(2)(joblib.delayed(resolve_threads)(None) for _ in range(4))
    assert set(shares) == {max(1, joblib.cpu_count() // 2)}


def test_huge_counts_train():
    clf = quick(n_jobs=10**6)
    assert weights_of(fitted(X, Y, clf=clf)) == weights_of(fitted(X, Y))


def test_import_leaves_the_environment_alone():
    code = "import os; before = dict(os.environ); import pyconvx; assert dict(os.environ) == before"
    subprocess.run([sys.executable, "-c", code], check=True)
