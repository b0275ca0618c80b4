"""Small images and quick classifiers for the tests of the estimator."""

import os
import subprocess
import sys
import warnings

import numpy as np
from places import PYTHONPATH
from sklearn.exceptions import ConvergenceWarning

from pyconvx import CNNClassifier
from pyconvx.estimators.checkpoint import CheckpointWriter


def images(n=30, shape=(6, 6, 1), n_classes=3, seed=0, dtype=np.float64):
    """Noise with a bright row that tells the class."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 1, (n, *shape))
    y = np.arange(n) % n_classes
    for label in range(n_classes):
        X[y == label, 2 * label % shape[0]] += 2
    return X.astype(dtype), y


def quick(**parameters):
    """A classifier that takes milliseconds."""
    chosen = {"filters": (4,), "hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0, "n_jobs": 1}
    return CNNClassifier(**{**chosen, **parameters})


def fitted(*data, clf=None, **parameters):
    """Fit it, few epochs as they are."""
    clf = quick(**parameters) if clf is None else clf
    keywords = data[-1] if isinstance(data[-1], dict) else {}
    arrays = data[:-1] if keywords else data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return clf.fit(*arrays, **keywords)


def weights_of(clf):
    """All that training moved, as bytes."""
    return clf.network_.buffer.tobytes() + clf.network_.state_buffer.tobytes()


def printed_by(script, folder):
    """What a script prints that may import the tests; a file of its own, for the processes that it starts."""
    path = folder / "script.py"
    path.write_text(script)
    run = subprocess.run(
        [sys.executable, path], env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


class Cut(Exception):
    """Ends a fit at a chosen epoch."""


def cut_at(epoch, monkeypatch):
    """Let every fit of this test end with Cut, once it has done so many epochs and written its checkpoint."""
    save = CheckpointWriter.save

    def cut(self, clf, done, *rest, **options):
        save(self, clf, done, *rest, **options)
        if done == epoch:
            raise Cut

    monkeypatch.setattr(CheckpointWriter, "save", cut)
