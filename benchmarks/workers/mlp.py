"""scikit-learn's MLPClassifier, for comparison: one hidden layer of 128 on the same images."""

import warnings
from typing import Any

import numpy as np
from common import Answer, answer, fashion, peak_mb, timed_fit
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier


def fit(data: str, epochs: int, **_: Any) -> Answer:
    """Time one fit on Fashion-MNIST; MLPClassifier does not scale, so the images become float32 first."""
    X, y = fashion(data, "train")
    X_test, y_test = fashion(data, "t10k")
    start = peak_mb()
    train, test = (x.reshape(len(x), -1).astype(np.float32) / 255 for x in (X, X_test))
    clf = MLPClassifier((128,), batch_size=128, max_iter=epochs, alpha=0.0, random_state=0)
    warnings.simplefilter("ignore", ConvergenceWarning)
    return timed_fit(lambda: clf.fit(train, y), lambda: clf.score(test, y_test), epochs * len(X), start)


if __name__ == "__main__":
    answer(fit=fit)
