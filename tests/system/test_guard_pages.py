"""No kernel touches memory before or after its arrays, at any level; guard_pages.py explains the method."""

import os
import signal
import subprocess
import sys

import pytest
from places import SUPPORT

from pyconvx import _ext

# calls whose arrays are one number shorter than the kernel assumes
TOO_FAR = (
    "solver_steps.l2(np.ones(9), np.ones(8), 1.0, 9, 1)",
    "activations.forward(activations.capsule('relu'), np.ones(9), np.empty(8), 1)",
    "ctypes.memset(guard_pages.fenced(1)[1:].ctypes.data, 0, guard_pages.PAGE)",
)
if os.environ.get("PYCONVX_DEBUG") != "1":  # a build that checks these indices
    TOO_FAR += (
        "max_pool.argmax_scatter(np.ones((1, 1, 1)), np.full((1, 1, 1), 4), np.ones((1, 4, 1)), 1)",
        "max_pool.argmax_scatter(np.ones((1, 1, 1)), np.full((1, 1, 1), -1), np.ones((1, 4, 1)), 1)",
    )
SCRIPT = f"""
import ctypes, os
import guard_pages, kernel_sizes
import numpy as np
from pyconvx._ext import activations, max_pool, solver_steps

for fault in {TOO_FAR}:
    child = os.fork()
    if child == 0:
        exec(fault)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
kernel_sizes.share_little_work()
for dtype, threads in ((np.float32, 3), (np.float64, 1)):
    kernel_sizes.run(dtype, threads, print)
print("not called:", guard_pages.unseen())
"""


@pytest.fixture(scope="module", params=_ext.AVAILABLE)
def script(request):
    """Run a script at one level; return its exit code, its output and its errors."""
    done = subprocess.run(
        [sys.executable, "-u", "-W", "error", "-c", SCRIPT],
        env={**os.environ, "PYCONVX_ISA": request.param},
        cwd=SUPPORT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_one_number_too_far_ends_a_process(script):
    assert script[1][: len(TOO_FAR)] == [str(-signal.SIGSEGV)] * len(TOO_FAR)


def test_kernels_keep_to_their_arrays(script):
    """Every kernel in every precision, with all remainders of a vector."""
    code, lines, errors = script
    assert (code, errors) == (0, ""), lines[-1:]
    assert lines[-1] == "not called: []"
    assert len(lines) > 2300
