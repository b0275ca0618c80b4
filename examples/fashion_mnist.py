"""The classic digits network on Fashion-MNIST: 60,000 uint8 images, one fit.

    python examples/fashion_mnist.py --data FOLDER            5 epochs, a constant rate
    python examples/fashion_mnist.py --data FOLDER --best     15 epochs, a schedule, dropout

FOLDER holds the four .gz files as published (https://github.com/zalandoresearch/fashion-mnist); without it they
are downloaded once.
"""

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import classification_report

from pyconvx import CNNClassifier
from pyconvx.datasets import load_fashion_mnist

BEST = {"epochs": 15, "schedule": "one_cycle", "learning_rate": 3e-3, "dropout": 0.5, "solver": "adamw"}


def arguments() -> argparse.Namespace:
    """Parse the command line; --best changes the defaults, and explicit options win."""
    parser = argparse.ArgumentParser(description="Train on Fashion-MNIST.")
    parser.add_argument("--data", type=Path, help="folder with the four .gz files; without it they are downloaded")
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
        filters=(32, 64),
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
    train, test = (load_fashion_mnist(options.data, subset=subset) for subset in ("train", "test"))
    clf = make_classifier(options)
    print(f"{clf.summary(train.images.shape[1:], len(train.target_names))}\n")

    started = time.perf_counter()
    with warnings.catch_warnings():
        # a fixed number of epochs is what was asked for
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf.fit(train.images, train.target)
    trained = time.perf_counter() - started

    started = time.perf_counter()
    predicted = clf.predict(test.images)
    tested = time.perf_counter() - started
    print()
    print(classification_report(test.target, predicted, target_names=test.target_names, digits=3))
    print(f"training    {len(train.images) * clf.n_iter_ / trained:>8,.0f} images/s ({trained:.1f} s)")
    print(f"prediction  {len(test.images) / tested:>8,.0f} images/s ({tested:.2f} s)")
    print(f"test accuracy {np.mean(predicted == test.target):.4f} after {clf.n_iter_} epochs")


if __name__ == "__main__":
    main()
