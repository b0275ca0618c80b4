"""Calling kernels and layers again and again takes no more memory; a kilobyte kept of each case would be seen."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import gc, sys
import kernel_sizes
import numpy as np

def resident():
    gc.collect()
    with open("/proc/self/statm") as sizes:
        return int(sizes.read().split()[1])

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


@pytest.mark.parametrize(("kind", "leaks"), [("all is freed", False), ("some is kept", True)])
def test_memory_of_many_calls(kind, leaks):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, kind],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (int(run.stdout) > ALLOWED) == leaks, run.stdout
