"""Memory that runs out and threads that cannot be started."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from places import SUPPORT

import pyconvx
from pyconvx._ext import cpu

PREAMBLE = f"""
import resource, sys, warnings
sys.path.insert(0, {str(SUPPORT)!r})
import numpy as np
from small import images, quick, weights_of
from pyconvx import Checkpoint
warnings.simplefilter("ignore")
X, y = images(400, (32, 32, 3), dtype=np.float32)
settings = {{"filters": (16, 16), "max_iter": 2, "batch_norm": True}}
def leave(megabytes):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), resource.RLIM_INFINITY))
def lift():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
MEMORY = """
expected = weights_of(quick(**settings).fit(X, y))
refused = 0
clf = quick(**settings)
for megabytes in [*range(40), *range(40, 100, 5)]:
    leave(megabytes)
    try:
        clf.fit(X, y)
    except MemoryError as error:
        lift()
        refused += 1
        if hasattr(clf, "network_"):
            assert np.isfinite(clf.predict_proba(X)).all()
    else:
        lift()
        assert weights_of(clf) == expected
assert weights_of(clf.fit(X, y)) == expected
print(refused)
"""
CALLS = """
import os, tempfile, pyconvx
from pyconvx import ops
path = os.path.join(tempfile.mkdtemp(), "clf")
clf = quick(**settings).fit(X, y)
clf.save(path)
many = X.repeat(8, axis=0)  # in batches larger than those of the fit
big = np.ones((128, 128, 128, 8), np.float32)  # results of 64 MB: the allocator keeps no freed blocks of that size
calls = {
    "predict": lambda: clf.predict_proba(X),
    "compile_predictor": lambda: clf.compile_predictor()(X),
    "save": lambda: clf.save(path),
    "load": lambda: pyconvx.load(path).predict_proba(X),
    "conv2d": lambda: ops.conv2d(big, np.ones((3, 3, 8, 8), np.float32), n_threads=1),
    "max_pool2d": lambda: ops.max_pool2d(big, 3, stride=1, n_threads=1),
    "partial_fit": lambda: clf.partial_fit(many, y.repeat(8)),
}
expected = clf.predict_proba(X)
for name, call in calls.items():
    refused = 0
    for megabytes in range(0, 72, 6):
        leave(megabytes)
        try:
            call()
        except MemoryError:
            refused += 1
        finally:
            lift()
    call()
    if name == "partial_fit":
        expected = clf.predict_proba(X)
    assert (clf.predict_proba(X) == expected).all(), name
    print(name, refused)
assert np.isfinite(pyconvx.load(path).predict_proba(X)).all()
"""
THREADS = """
import os
path, limit = sys.argv[1:]
os.umask(0)
clf = quick(**settings, warm_start=True, checkpoint=Checkpoint(path)).fit(X, y)
if limit == "memory":
    leave(200)  # enough for the arrays, not for the stack of a thread: see run
else:
    if os.geteuid() == 0:  # the limit does not apply to root
        os.setuid(65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
clf.set_params(n_jobs=8).fit(X, y)
"""


def run(script, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + script, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc")
def test_memory_that_runs_out_is_a_memory_error():
    """From no memory to enough: MemoryError, an estimator that still works, and in the end the same bits."""
    found = run(MEMORY)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) > 3


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc")
def test_calls_without_memory():
    """MemoryError and nothing else; afterwards everything still works."""
    found = run(CALLS)
    assert found.returncode == 0, found.stderr
    counts = dict(line.split() for line in found.stdout.splitlines())
    assert len(counts) == 7
    # the others need no more than what is free after the fit
    assert all(int(counts[name]) for name in ("partial_fit", "conv2d", "max_pool2d"))


@pytest.mark.skipif(not cpu.openmp() or not os.path.exists("/proc/self/statm"), reason="no OpenMP, or no /proc")
@pytest.mark.parametrize("limit", ["memory", "processes"])
def test_threads_that_cannot_start_leave_the_checkpoint(limit):
    """OpenMP then ends the process, which cannot be caught: the file remains."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # for another user, who writes there
        path = os.path.join(folder, "fit")
        found = run(THREADS, path, limit, OMP_STACKSIZE="1G")
        assert found.returncode != 0
        assert "libgomp" in found.stderr
        assert pyconvx.load(path).predict(np.zeros((1, 32, 32, 3), np.float32)).shape == (1,)
