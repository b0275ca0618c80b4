"""Runs code on every instruction-set level that this processor has, each in a process of its own."""

import os
import subprocess
import sys

from places import PYTHONPATH

from pyconvx import _ext

# Prepended to every script: `show` prints a hash of the exact bytes of the arrays.
PREAMBLE = """
import hashlib
import numpy as np
from pyconvx import _ext
def show(*arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr((array.shape, array.dtype)).encode() + array.tobytes())
    print(_ext.LEVEL, digest.hexdigest())
"""


def on_each_level(script: str) -> dict[str, list[str]]:
    """Return what `script` showed, line by line, for each level."""
    shown = {}
    for level in _ext.AVAILABLE:
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", PREAMBLE + script],
            env={**os.environ, "PYCONVX_ISA": level, "PYTHONPATH": PYTHONPATH},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        lines = [line.split() for line in run.stdout.splitlines()]
        assert {name for name, _ in lines} == {level}
        shown[level] = [digest for _, digest in lines]
    return shown
