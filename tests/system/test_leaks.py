"""Repeated calls of kernels and layers need no more memory; a leak of one kilobyte per case would be found."""

import subprocess
import sys

import pytest
from places import SUPPORT

SCRIPT = """
import gc, sys
import kernel_sizes
import numpy as np
from good_plugins import Tanh
from small import fitted, images, quick
from pyconvx import DivergenceError, ModelFileError, PluginError, ops
from pyconvx._core.workspace import Workspace
from pyconvx.estimators.saving import saved
from pyconvx.layers import Context, Dense
from pyconvx.persistence import pack, unpack

class Bad(Tanh):
    def forward(self, x):
        return x[:-1]

def resident():
    gc.collect()
    with open("/proc/self/statm") as sizes:
        return int(sizes.read().split()[1])

def refused():
    # from the checks of arguments, from within kernels, from files and from plugins
    for call, kind in REFUSED:
        try:
            call()
        except kind:
            continue
        raise AssertionError(call)

X, y = images(dtype=np.float32)
clf = fitted(X, y)
data = pack(*saved(clf))
REFUSED = [
    (lambda: ops.conv2d(X, np.ones((9, 9, 1, 1), np.float32)), ValueError),
    (lambda: ops.max_pool2d(X.astype(int), 2), TypeError),
    (lambda: ops.conv2d(X, np.ones((1, 1, 1, 1), np.float32), padding=1 << 24), MemoryError),
    (lambda: Dense(3).forward(X[:, 0, :, 0], {"weights": X[:5, 0, :3, 0].copy()}, Context(False, Workspace())),
     ValueError),
    (lambda: clf.predict(X[:, :5]), ValueError),
    (lambda: quick().fit(np.full_like(X, np.nan), y), ValueError),
    (lambda: fitted(X, y, activation=Bad()), PluginError),
    (lambda: fitted(X, y, learning_rate_init=1e300, solver="sgd"), DivergenceError),
    (lambda: unpack(data[:-1], ""), ModelFileError),
    (lambda: unpack(data[:-1] + bytes([data[-1] ^ 1]), ""), ModelFileError),
]
if sys.argv[1] == "errors":
    for _ in range(20):
        refused()
    before = resident()
    for _ in range(60):
        refused()
    print(resident() - before)
    sys.exit()
kept = []
keep = {"all is freed": lambda text: None, "some is kept": lambda text: kept.append(b"1" * 1000 + text.encode())}
kernel_sizes.share_little_work()
for _ in range(2):
    kernel_sizes.run(np.float32, 2, keep[sys.argv[1]])
before = resident()
for _ in range(3):
    kernel_sizes.run(np.float32, 2, keep[sys.argv[1]])
print(resident() - before)
"""
ALLOWED = 256  # pages, a megabyte; about 4 were seen


@pytest.mark.parametrize(("kind", "leaks"), [("all is freed", False), ("errors", False), ("some is kept", True)])
def test_memory_of_many_calls(kind, leaks):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, kind],
        cwd=SUPPORT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (int(run.stdout) > ALLOWED) == leaks, run.stdout
