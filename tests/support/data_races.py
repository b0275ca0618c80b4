"""What `make tsan` watches: all kernels on several threads, then fits and predictions from several Python threads.

python tests/support/data_races.py
"""

import warnings
from concurrent.futures import ThreadPoolExecutor

import kernel_sizes
from sklearn.exceptions import ConvergenceWarning
from small import fitted, images, weights_of

from pyconvx import _ext

LAYERS = {"filters": (4, 17), "batch_norm": True, "dropout": 0.2, "max_iter": 2, "n_jobs": 2}


def fits(X, y):
    """Two classifiers learn at once; each ends as one that learns alone."""
    alone = weights_of(fitted(X, y, **LAYERS))
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda _: weights_of(fitted(X, y, **LAYERS)), range(2)))
    assert together == [alone, alone]


def predictions(X, y):
    """Four threads ask one classifier, and one compiled predictor each."""
    clf = fitted(X, y, **LAYERS)
    with ThreadPoolExecutor(4) as pool:
        for ask in (clf.predict_proba, lambda X: clf.compile_predictor()(X)):
            answers = {answer.tobytes() for answer in pool.map(ask, [X] * 8)}
            assert answers == {ask(X).tobytes()}, ask


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    kernel_sizes.share_little_work()
    runs = sum(kernel_sizes.run(dtype, threads) for dtype in kernel_sizes.DTYPES for threads in (2, 3))
    for dtype in kernel_sizes.DTYPES:
        X, y = images(shape=(9, 8, 2), dtype=dtype)
        fits(X, y)
        predictions(X, y)
    print(f"level {_ext.LEVEL}: {runs} calls of kernels and layers, 4 pairs of fits and rounds of predictions")


if __name__ == "__main__":
    main()
