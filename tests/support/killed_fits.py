"""Fits that are killed at random moments and resumed; run as a script it prints how it went.

    python tests/support/killed_fits.py KILLS FOLDER

Each fit runs in a forked process on one thread and is killed with SIGKILL until it comes to its end. At every
kill there must be a checkpoint that loads; at the end, the weights must be those of a fit that nobody disturbed.
"""

import os
import random
import signal
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from sklearn.exceptions import ConvergenceWarning
from small import images, quick, weights_of

import pyconvx

SETTINGS = {
    "max_iter": 12, "n_iter_no_change": 12, "tol": 0.0, "dropout": 0.2, "batch_norm": True, "batch_size": 8,
    "early_stopping": True, "validation_fraction": 0.2, "learning_rate": "cosine",
}  # fmt: skip


def fit(path, X, y):
    warnings.simplefilter("ignore", ConvergenceWarning)
    checkpoint = None if path is None else pyconvx.Checkpoint(path)
    return quick(**SETTINGS, checkpoint=checkpoint, resume=path is not None).fit(X, y)


def killed_after(seconds, path, X, y):
    """Return whether a fit in another process was killed, after so many seconds, before it ended."""
    process = os.fork()
    if process == 0:
        try:
            fit(path, X, y)
            os._exit(0)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(1)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        return False
    return True


def main(kills, folder):
    X, y = images(n=60)
    started = time.perf_counter()
    expected = weights_of(fit(None, X, y))
    usual = time.perf_counter() - started
    path, chance, ends, epochs = Path(folder, "fit.pyconvx"), random.Random(0), 0, Counter()
    while kills:
        there = path.exists()
        if killed_after(chance.uniform(0, 4 * usual), path, X, y):
            kills -= 1
            if there or path.exists():
                epochs[pyconvx.load(path).n_iter_] += 1
        else:
            ends += 1
            assert weights_of(fit(path, X, y)) == expected
            path.unlink()
    assert weights_of(fit(path, X, y)) == expected
    left = sorted(os.listdir(folder))
    assert left == [path.name], left
    print("ends", ends + 1, "kills by the epoch that was reached", dict(sorted(epochs.items())))
    assert len(epochs) > 3, "the fits ended before they could be killed"


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
