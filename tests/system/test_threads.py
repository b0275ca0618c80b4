"""Counts of threads: what they mean, that none reaches OpenMP unchecked, whose limits are obeyed.

OpenMP ends the process on -1 and crashes on 100,000; so a count that slips through ends this file's run.
"""

import importlib
import inspect
import os
import subprocess
import sys

import joblib
import numpy as np
import pytest
from nets import MIXED, outputs, pictures, trainer
from small import fitted, images, printed_by, quick, weights_of
from threadpoolctl import threadpool_info, threadpool_limits

from pyconvx import CNNRegressor, activations, ops
from pyconvx._core import threads as _threads
from pyconvx._core.threads import resolve_threads
from pyconvx._core.workspace import Workspace
from pyconvx._ext import cpu
from pyconvx.estimators.predictor import network_outputs
from pyconvx.filters import FilterBank
from pyconvx.layers import Context, Conv2D, Epilogue
from pyconvx.losses import BinaryCrossEntropy, CrossEntropy, Huber, SquaredError
from pyconvx.network import CompiledNetwork, Network
from pyconvx.schedules import Constant
from pyconvx.solvers import SGD, Adam, AdamW, RMSprop
from pyconvx.training import ArraySource

X, Y = images()
IMAGES = np.random.default_rng(0).standard_normal((40, 20, 18, 8)).astype(np.float32)
KERNELS = np.random.default_rng(1).standard_normal((3, 3, 8, 16)).astype(np.float32)


@pytest.mark.skipif(not cpu.openmp(), reason="no OpenMP")
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


@pytest.mark.skipif(not cpu.openmp(), reason="no OpenMP")
@pytest.mark.parametrize(("limit", "expected"), [("1", "1"), ("2", "2"), ("100", "all")])
def test_the_environments_limit_is_obeyed(limit, expected):
    script = "from pyconvx._core.threads import *; print(resolve_threads(None), available_cpus())"
    environment = {**os.environ, "OMP_NUM_THREADS": limit}
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    threads, cpus = run.stdout.split()
    assert threads == (cpus if expected == "all" else str(min(int(expected), int(cpus))))


def test_workers_share_the_processors():
    """Loky limits its workers to their part of the processors."""
    shares = joblib.Parallel(2)(joblib.delayed(resolve_threads)(None) for _ in range(4))
    assert set(shares) == {max(1, joblib.cpu_count() // 2)}


def test_huge_counts_train():
    clf = quick(n_jobs=10**6)
    assert weights_of(fitted(X, Y, clf=clf)) == weights_of(fitted(X, Y))


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in /proc")
def test_search_workers_start_no_more_threads_than_their_share():
    """Two workers on two processors train on one thread each; with n_jobs they use that number."""
    cpus = joblib.cpu_count()
    for n_jobs, expected in ((None, max(1, cpus // 2)), (3, 3)):
        counts = joblib.Parallel(2)(joblib.delayed(_threads_of_a_fit)(n_jobs) for _ in range(4))
        assert {started for started, _ in counts} <= {expected - 1, 0}
        assert {limit for _, limit in counts} == {max(1, cpus // 2)}


class _Counting(Constant):
    """A schedule that notes how many trainings run when it is asked."""

    def factor(self, progress):
        counts.append(_threads._trainings)
        return super().factor(progress)


counts = []


def test_a_training_counts_for_as_long_as_it_runs():
    counts.clear()
    fitted(*images(), learning_rate=_Counting(), max_iter=1).partial_fit(*images())
    assert set(counts) == {1}
    assert _threads._trainings == 0


def test_a_forked_process_counts_its_own_trainings():
    with _threads.one_more_training():
        child = os.fork()
        if not child:
            os._exit(_threads._trainings)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert _threads._trainings == 1


def _threads_of_a_fit(n_jobs):
    """Return how many threads a fit starts in this process, and the limit that threadpoolctl sees."""
    before = set(os.listdir("/proc/self/task"))
    fitted(IMAGES, np.arange(40) % 2, filters=(32,), n_jobs=n_jobs)
    ours = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]
    return len(set(os.listdir("/proc/self/task")) - before), min(ours)


DASK = """
import os, sys
import numpy as np
from distributed import Client, LocalCluster
from test_threads import _threads_of_a_fit
if __name__ == "__main__":
    with LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        print([client.submit(_threads_of_a_fit, None, pure=False).result() for _ in range(4)])
"""


def test_dask_workers_start_no_threads(tmp_path):
    """A worker process of dask is limited to one thread."""
    assert printed_by(DASK, tmp_path) == f"{[(0, 1)] * 4}\n"


def step(solver, n):
    parameters, gradients = np.linspace(-1, 1, 50_000), np.linspace(2, -3, 50_000)
    slots = np.zeros((solver.slots, 50_000))
    solver.step(parameters, gradients, slots, 0.1, 1, n_weights=40_000, n_threads=n)
    return parameters, slots


def activated(activation, n):
    x = IMAGES.reshape(-1, 16)
    y = activation.forward(x, n_threads=n)
    return y, activation.backward(x, x, y, n_threads=n)


def convolved(n):
    y = ops.conv2d(IMAGES, KERNELS, n_threads=n)
    return (y, *ops.conv2d_backward(y, IMAGES, KERNELS, n_threads=n))


def pooled(n):
    y, argmax = ops.max_pool2d(IMAGES, 2, n_threads=n)
    mean, means = ops.avg_pool2d(IMAGES, 2, n_threads=n), ops.global_avg_pool2d(IMAGES, n_threads=n)
    shape = IMAGES.shape
    return (
        y, mean, means, ops.max_pool2d_backward(y, argmax, shape, n_threads=n),
        ops.avg_pool2d_backward(mean, shape, 2, n_threads=n),
        ops.global_avg_pool2d_backward(means, shape, n_threads=n),
    )  # fmt: skip


def trained(n):
    network = Network((*MIXED,), (8, 7, 2), dtype=np.float32, seed=0)
    trainer(network, *pictures(30, dtype=np.float32), n_threads=n).run(1)
    return network.buffer, network.state_buffer


def differences(loss, n_threads):
    outputs, gradient = np.linspace(-3, 3, 100).reshape(50, 2), np.empty((50, 2))
    value = loss.value_and_gradient(outputs, outputs[::-1].copy(), np.ones(50), gradient, n_threads=n_threads)
    return value, gradient


def entropy(n):
    logits, gradient = IMAGES.reshape(-1, 16), np.empty((len(IMAGES) * 180, 16), np.float32)
    rows = len(logits)
    value = CrossEntropy().value_and_gradient(
        logits, np.arange(rows) % 16, np.full(rows, 1 / rows, np.float32), gradient, n_threads=n
    )
    return value, gradient


def drawn(n):
    out = np.empty_like(IMAGES)
    ArraySource(IMAGES, IMAGES.shape[1:]).take(np.arange(len(IMAGES)), out, n)
    return (out,)


def slopes(n):
    """Return slopes times the derivative of an activation."""
    dy = np.array(IMAGES)
    Epilogue(activations.tanh).multiply_derivative(np.tanh(IMAGES), dy, n)
    return (dy,)


def one_layer(n):
    context = Context(False, Workspace(), n_threads=n)
    return (Conv2D(16, bias=False).forward(IMAGES, {"kernel": KERNELS}, context)[0],)


def net():
    return Network((*MIXED,), (8, 7, 2), dtype=np.float32, seed=0)


# everything public that takes a thread count
DOORS = {
    "activations.CompiledActivation.forward": lambda n: activated(activations.gelu, n),
    "activations.CompiledActivation.backward": lambda n: activated(activations.tanh, n),
    "activations.LogSoftmax.forward": lambda n: activated(activations.log_softmax, n),
    "activations.LogSoftmax.backward": lambda n: activated(activations.log_softmax, n),
    "activations.Softmax.forward": lambda n: activated(activations.softmax, n),
    "activations.Softmax.backward": lambda n: activated(activations.softmax, n),
    "estimators.CNNClassifier.__init__": lambda n: (weights_of(fitted(X, Y, n_jobs=n)),),
    "estimators.CNNRegressor.__init__": lambda n: (
        weights_of(fitted(X, Y, clf=CNNRegressor((4,), max_iter=2, random_state=0, n_jobs=n))),
    ),
    "filters.FilterBank.__init__": lambda n: (FilterBank(n_jobs=n).fit_transform(IMAGES),),
    "layers.Context.__init__": one_layer,
    "layers.Epilogue.multiply_derivative": slopes,
    "losses.CrossEntropy.value_and_gradient": entropy,
    "losses.BinaryCrossEntropy.value_and_gradient": lambda n: differences(BinaryCrossEntropy(), n),
    "losses.Huber.value_and_gradient": lambda n: differences(Huber(), n),
    "losses.SquaredError.value_and_gradient": lambda n: differences(SquaredError(), n),
    "network.Network.context": lambda n: (outputs(net(), pictures(9)[0].astype(np.float32), n_threads=n),),
    "network.CompiledNetwork.__init__": lambda n: (
        network_outputs(CompiledNetwork(net(), n), ArraySource(pictures(30)[0], (8, 7, 2))),
    ),
    "ops.avg_pool2d": pooled,
    "ops.avg_pool2d_backward": pooled,
    "ops.conv2d": convolved,
    "ops.conv2d_backward": convolved,
    "ops.global_avg_pool2d": pooled,
    "ops.global_avg_pool2d_backward": pooled,
    "ops.max_pool2d": pooled,
    "ops.max_pool2d_backward": pooled,
    "solvers.Adam.step": lambda n: step(Adam(), n),
    "solvers.AdamW.step": lambda n: step(AdamW(), n),
    "solvers.RMSprop.step": lambda n: step(RMSprop(), n),
    "solvers.SGD.step": lambda n: step(SGD(), n),
    "training.ArraySource.take": drawn,
    "training.TrainingOptions.__init__": trained,
}


def found_doors():
    """Return public functions and methods with a thread count, without those of protocols."""
    for family in (
        "activations",
        "estimators",
        "filters",
        "layers",
        "losses",
        "network",
        "ops",
        "solvers",
        "training",
    ):
        module = importlib.import_module(f"pyconvx.{family}")
        for name in module.__all__:
            entry = getattr(module, name)
            if getattr(entry, "_is_protocol", False) or not callable(entry):
                continue
            methods = (
                dict(inspect.getmembers(entry, inspect.isfunction)) if inspect.isclass(entry) else {"": entry}
            )
            for method, function in methods.items():
                counts = {"n_threads", "n_jobs"} & set(inspect.signature(function).parameters)
                if counts and (method == "__init__" or not method.startswith("_")):
                    yield f"{family}.{name}.{method}".rstrip(".")


def test_all_doors_are_known():
    assert sorted(DOORS) == sorted(found_doors())


@pytest.mark.parametrize("door", DOORS)
def test_no_count_reaches_openmp_unchecked(door):
    expected = [np.asarray(array).tobytes() for array in DOORS[door](1)]
    for n in (-1, 3, 10**6, 2**70, -(2**70), None):
        assert [np.asarray(array).tobytes() for array in DOORS[door](n)] == expected
    for n in (0, True, 2.5, "2"):
        with pytest.raises((ValueError, TypeError), match=r"n_(threads|jobs)"):
            DOORS[door](n)
