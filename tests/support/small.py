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
    """Make noise with a bright row whose position is the class."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 1, (n, *shape))
    y = np.arange(n) % n_classes
    for label in range(n_classes):
        X[y == label, 2 * label % shape[0]] += 2
    return X.astype(dtype), y


def quick(**parameters):
    """Return a classifier that trains in milliseconds."""
    chosen = {
        "filters": (4,),
        "hidden_layer_sizes": (8,),
        "max_iter": 2,
        "batch_size": 128,
        "random_state": 0,
        "n_jobs": 1,
    }
    return CNNClassifier(**{**chosen, **parameters})


def fitted(*data, clf=None, **parameters):
    """Fit a classifier, without the warning that it did not converge."""
    clf = quick(**parameters) if clf is None else clf
    keywords = data[-1] if isinstance(data[-1], dict) else {}
    arrays = data[:-1] if keywords else data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return clf.fit(*arrays, **keywords)


def weights_of(clf):
    """Return everything that training changes, as bytes."""
    return clf.network_.buffer.tobytes() + clf.network_.state_buffer.tobytes()


def printed_by(script, folder):
    """Return the output of a script, which may import tests; it is a file, for the processes that it starts."""
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
    """Make every fit of this test end with Cut after so many epochs, when it has written its checkpoint."""
    save = CheckpointWriter.save

    def cut(self, clf, done, *rest, **options):
        save(self, clf, done, *rest, **options)
        if done == epoch:
            raise Cut

    monkeypatch.setattr(CheckpointWriter, "save", cut)
