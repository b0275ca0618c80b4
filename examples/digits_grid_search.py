"""Grid search on scikit-learn's bundled digits: a network inside a Pipeline, like any other estimator.

    python examples/digits_grid_search.py

There are 1,797 grey images of 8x8 pixels. A quarter is held out and used once, at the end. On the rest, the search
compares filters, activations and initializers by cross-validation, two fits at a time.
"""

import time
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler

from pyconvx import CNNClassifier

GRID = {
    "cnn__filters": [(16, 32), (32, 64)],
    "cnn__activation": ["relu", "gelu", "tanh"],
    "cnn__initializer": ["auto", "orthogonal"],
}


def make_search() -> GridSearchCV:
    """Return a search over a pipeline of a scaler and a network, with three folds and two processes."""
    network = CNNClassifier(
        image_shape=(8, 8),
        dtype="float32",
        dropout=0.3,
        batch_size=32,
        max_iter=100,
        tol=1e-3,
        n_iter_no_change=5,
        random_state=0,
    )
    pipeline = Pipeline([("scale", MinMaxScaler((0, 1))), ("cnn", network)])
    return GridSearchCV(pipeline, GRID, cv=3, n_jobs=2, verbose=3)


def print_table(results: dict[str, Any]) -> None:
    """Print the grid, with the best candidate first."""
    names = list(GRID)
    rows = [("rank", *(name.removeprefix("cnn__") for name in names), "accuracy (3 folds)", "fit")]
    for i in np.argsort(results["rank_test_score"], kind="stable"):
        score = f"{results['mean_test_score'][i]:.4f} +- {results['std_test_score'][i]:.4f}"
        cells = (str(results["params"][i][name]) for name in names)
        rows.append((str(results["rank_test_score"][i]), *cells, score, f"{results['mean_fit_time'][i]:.1f} s"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def main() -> None:
    """Search, then test once."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    print(f"{len(X_train)} images for search and training, {len(X_test)} held out\n")

    started = time.perf_counter()
    search = make_search().fit(X_train, y_train)
    seconds = time.perf_counter() - started

    print()
    print_table(search.cv_results_)
    print(f"\nsearch and refit took {seconds:.0f} s; the best network, refitted on all {len(X_train)} images:\n")
    print(search.best_estimator_["cnn"].summary())
    print(f"\ntest accuracy {search.score(X_test, y_test):.4f} on the {len(X_test)} images that were held out")
    print("confusion matrix (rows: true digit, columns: predicted)")
    print("    " + " ".join(f"{digit:>3}" for digit in search.classes_))
    for digit, row in zip(search.classes_, confusion_matrix(y_test, search.predict(X_test)), strict=True):
        print(f"{digit:>3} " + " ".join(f"{count or '.':>3}" for count in row))


if __name__ == "__main__":
    main()
