"""Faults on purpose: checks that are not at work must not pass for checks that find nothing.

    python tests/support/seeded_faults.py bounds|address|undefined|thread

Kernels check little, so wrong arguments make faults within our own compiled code: at every level, but for
ThreadSanitizer, which does not see accesses of more than 16 bytes, at the baseline alone.
"""

import os
import subprocess
import sys

from pyconvx import _ext

PREAMBLE = """
import os, sys, threading
import numpy as np
from pyconvx._ext import activations, conv, max_pool, random
from pyconvx.ops.geometry import window
taps = window("fault", (9, 9), (3, 3))
relu, room = activations.capsule("relu"), np.zeros(40_001)
x, y, one = room[:-1], room[1:], np.ones((1, 1, 1))
"""
FAULTS = {
    "bounds": {  # in the middle of a loop without Python, which can raise nothing
        """
sys.unraisablehook = lambda found: (print(found.exc_value, file=sys.stderr, flush=True), os._exit(1))
max_pool.argmax_scatter(one, np.full((1, 1, 1), 5), np.ones((1, 4, 1)), 1)
""": "Out of bounds on buffer access",
    },
    "address": {
        "max_pool.argmax_scatter(one, np.full((1, 1, 1), 4), np.ones((1, 4, 1)), 1)": "READ of size",
        "max_pool.argmax_scatter(one, np.full((1, 1, 1), -1), np.ones((1, 4, 1)), 1)": "READ of size",
        "activations.forward(relu, x[:500], np.empty(499), 1)": "WRITE of size",
    },
    "undefined": {
        "conv.ConvForward((1, 9, 9, 1 << 40), 1 << 40, taps, 1, None, 8, 1)": "signed integer overflow",
        "random.dropout(np.ones((1, 9)), np.zeros(1, np.uint64), 1e9, np.ones((1, 9)), 1)": "outside the range",
    },
    "thread": {
        # threads of one parallel loop, one writing what the next one reads
        "activations.forward(relu, x, y, 2)": "data race",
        # calls from two Python threads on one array
        """
def work():
    for _ in range(200):
        activations.forward(relu, room, room, 1)
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
""": "data race",
    },
}
SOUND = "activations.forward(relu, x, np.empty(40_000), 2)"
ARCHER = "Archer detected OpenMP application with TSan"


def run(code: str, level: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process."""
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + code],
        env={**os.environ, "PYCONVX_ISA": level},
        capture_output=True,
        text=True,
        check=False,
    )


def main(checks: str) -> None:
    for level in ("baseline",) if checks == "thread" else _ext.AVAILABLE:
        sound = run(SOUND, level)
        assert sound.returncode == 0, sound.stderr
        if checks == "thread":
            assert ARCHER in sound.stdout, sound.stderr
        for fault, report in FAULTS[checks].items():
            found = run(fault, level)
            assert found.returncode != 0, fault
            assert report in found.stderr, found.stderr
            print(level, report, "reported:", fault.strip().splitlines()[-1])


if __name__ == "__main__":
    main(sys.argv[1])
