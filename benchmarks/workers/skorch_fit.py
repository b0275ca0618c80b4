"""skorch's side: the same networks inside its scikit-learn estimator."""

from typing import Any

import numpy as np
import torch
from common import Answer, answer, fashion, peak_mb, timed_fit, timed_search
from networks import GRID_FILTERS, GRID_HIDDEN, GRID_RATES, NETWORKS, small_digits
from pytorch import build
from skorch import NeuralNetClassifier
from torch import Tensor, nn


class Images(nn.Module):
    """The digits network on uint8 images, which are scaled a batch at a time, without a float copy of all."""

    def __init__(self) -> None:
        super().__init__()
        self.network, _ = build(*NETWORKS["digits"])

    def forward(self, x: Tensor) -> Tensor:
        """Outputs for images (n, 1, 28, 28) of uint8."""
        return self.network(x.float() / 255)


class Digits(nn.Module):
    """The network of the grid search."""

    def __init__(self, filters: tuple[int, int] = (8, 16), hidden: int = 32) -> None:
        super().__init__()
        self.network, _ = build(small_digits(filters, hidden), (8, 8, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs for images (n, 1, 8, 8)."""
        return self.network(x)


def _classifier(module: type[nn.Module], epochs: int, batch: int) -> NeuralNetClassifier:
    """Return a classifier with Adam and cross-entropy that trains on all rows and prints nothing."""
    return NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=batch,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )


def fit(data: str, epochs: int, threads: int, **_: Any) -> Answer:
    """Time one fit on Fashion-MNIST."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    (X, y), (X_test, y_test) = ((x.transpose(0, 3, 1, 2), y) for x, y in (fashion(data, p) for p in _PARTS))
    start = peak_mb()
    net = _classifier(Images, epochs, 128)
    return timed_fit(lambda: net.fit(X, y), lambda: net.score(X_test, y_test), epochs * len(X), start)


_PARTS = ("train", "t10k")


def search(epochs: int, **_: Any) -> Answer:
    """Time a grid search on scikit-learn's digits in two processes."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV

    X, y = load_digits(return_X_y=True)
    grid = {
        "module__filters": list(GRID_FILTERS),
        "module__hidden": list(GRID_HIDDEN),
        "lr": list(GRID_RATES),
    }
    images = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    net = _classifier(Digits, epochs, 32)
    return timed_search(GridSearchCV(net, grid, cv=3, n_jobs=2, refit=False), images, y)


if __name__ == "__main__":
    answer(fit=fit, search=search)
