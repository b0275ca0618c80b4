"""The classic digits network on Fashion-MNIST: 60,000 uint8 images, one fit.

    python examples/fashion_mnist.py --data FOLDER            5 epochs, the estimator's defaults
    python examples/fashion_mnist.py --data FOLDER --best     15 epochs, a schedule, dropout

FOLDER holds the four .gz files as published (https://github.com/zalandoresearch/fashion-mnist).
"""

import argparse
import gzip
import math
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import classification_report

from pyconvx import CNNClassifier

CLASSES = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"]
BEST = {"epochs": 15, "schedule": "one_cycle", "learning_rate": 3e-3, "dropout": 0.5, "solver": "adamw"}


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Read a gzipped IDX file of unsigned bytes: two zeros, type 8, the axes, their sizes, the data."""
    try:
        with gzip.open(path) as file:
            start = file.read(4)
            if len(start) < 4 or start[:3] != b"\x00\x00\x08" or not 1 <= start[3] <= 3:
                raise ValueError(f"{path} is no IDX file of unsigned bytes with one to three axes")
            sizes = file.read(4 * start[3])
            shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * start[3], 4))
            data = bytearray()  # piece by piece: a size is believed only when its bytes are there
            while len(data) <= math.prod(shape) and (piece := file.read(1 << 20)):
                data += piece
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is no whole gzip file: {error}") from error
    if len(sizes) < 4 * start[3] or len(data) != math.prod(shape):
        raise ValueError(f"{path} declares shape {shape} and holds {len(data)} bytes")
    return np.frombuffer(data, np.uint8).reshape(shape)


def load(folder: Path) -> tuple[npt.NDArray[np.uint8], ...]:
    """Return X_train, y_train, X_test, y_test."""
    arrays = []
    for part in ("train", "t10k"):
        X = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
        y = read_idx(folder / f"{part}-labels-idx1-ubyte.gz")
        if X.ndim != 3 or y.shape != X.shape[:1]:
            raise ValueError(f"{part}: images of shape {X.shape}, labels of shape {y.shape}")
        arrays += [X, y]
    return tuple(arrays)


def arguments() -> argparse.Namespace:
    """Parse the command line; --best changes the defaults, and explicit options win."""
    parser = argparse.ArgumentParser(description="Train on Fashion-MNIST.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the four .gz files")
    parser.add_argument("--best", action="store_true", help=f"start from {BEST}")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--schedule", default="constant", help="a name from pyconvx.schedules")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--solver", default="adam")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--n-jobs", type=int, default=None, help="threads; by default all that OpenMP allows")
    parser.add_argument("--random-state", type=int, default=0)
    if parser.parse_known_args()[0].best:
        parser.set_defaults(**BEST)
    return parser.parse_args()


def make_classifier(options: Any) -> CNNClassifier:
    """Return conv 32 - ReLU - pool - conv 64 - ReLU - pool - dense 128 - ReLU - dense 10."""
    return CNNClassifier(
        padding="valid",
        max_iter=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.schedule,
        learning_rate_init=options.learning_rate,
        solver=options.solver,
        dropout=options.dropout,
        n_jobs=options.n_jobs,
        random_state=options.random_state,
        verbose=1,
    )


def main() -> None:
    """Train, test, and print the results."""
    options = arguments()
    X_train, y_train, X_test, y_test = load(options.data)
    clf = make_classifier(options)
    print(f"{clf.summary(X_train.shape[1:], len(CLASSES))}\n")

    started = time.perf_counter()
    with warnings.catch_warnings():
        # a fixed number of epochs is what was asked for
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf.fit(X_train, y_train)
    trained = time.perf_counter() - started

    started = time.perf_counter()
    predicted = clf.predict(X_test)
    tested = time.perf_counter() - started
    print()
    print(classification_report(y_test, predicted, target_names=CLASSES, digits=3))
    print(f"training    {len(X_train) * clf.n_iter_ / trained:>8,.0f} images/s ({trained:.1f} s)")
    print(f"prediction  {len(X_test) / tested:>8,.0f} images/s ({tested:.2f} s)")
    print(f"test accuracy {np.mean(predicted == y_test):.4f} after {clf.n_iter_} epochs")


if __name__ == "__main__":
    main()
