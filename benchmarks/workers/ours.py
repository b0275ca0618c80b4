"""pyconvx's side of the comparisons."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from common import (
    Answer,
    aligned_zeros,
    answer,
    fashion,
    layer_arrays,
    peak_mb,
    random_images,
    rate,
    timed_fit,
    timed_search,
)
from networks import GRID_FILTERS, GRID_HIDDEN, GRID_RATES, NETWORKS, Layers, small_digits
from sklearn.exceptions import ConvergenceWarning

from pyconvx import CNNClassifier
from pyconvx.layers import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    Residual,
)
from pyconvx.losses import CrossEntropy
from pyconvx.network import Network
from pyconvx.ops.conv_plan import ConvPlan
from pyconvx.ops.geometry import window
from pyconvx.schedules import Constant
from pyconvx.solvers import Adam
from pyconvx.training import ArraySource, Trainer, TrainingData, TrainingOptions, TrainingState


def build(layers: Layers) -> list[Layer]:
    """Return the layers as values of pyconvx."""
    return [_layer(*layer) for layer in layers]


def _layer(kind: str, *sizes: Any) -> Layer:
    if kind == "conv":
        filters, size, stride, padding, bias = sizes
        return Conv2D(filters, size, stride=stride, padding=padding, bias=bias)
    if kind == "residual":
        return Residual(build(sizes[0]), skip=build(sizes[1]))
    plain = {"norm": BatchNorm, "pool": MaxPool2D, "flatten": Flatten, "mean": GlobalAvgPool2D, "dense": Dense}
    return Activation(kind) if kind == "relu" else plain[kind](*sizes)


def train(network: str, images: int, threads: int, seconds: float, items: list[list[str]]) -> Answer:
    """Return images per second of training epochs, for each batch size."""
    layers, shape = NETWORKS[network]
    X, y = random_images(network, images)
    figures = []
    for batch, _ in items:
        net = Network(build(layers), shape)
        solver = Adam()
        trainer = Trainer(
            net, CrossEntropy(), solver, Constant(),
            TrainingState(0, np.zeros((solver.slots, net.n_trainable), np.float32)),
            TrainingOptions(batch_size=int(batch), alpha=0.0, n_threads=threads),
            TrainingData(ArraySource(X, shape), np.arange(images), y, np.ones(images)),
        )  # fmt: skip
        figures.append(images * rate(lambda trainer=trainer: trainer.run(1), seconds))
    return {"figures": figures, "parameters": net.n_parameters}


def predict(network: str, threads: int, seconds: float, items: list[list[str]]) -> Answer:
    """Return images per second of probabilities, for each batch size."""
    layers, _ = NETWORKS[network]
    # the classifier adds the output layer
    clf = CNNClassifier(layers=build(layers[:-1]), max_iter=1, n_jobs=threads, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf.fit(random_images(network, 20)[0], np.arange(20) % 10)
    predictor = clf.compile_predictor()
    figures = []
    for batch, _ in items:
        X, _ = random_images(network, int(batch))
        figures.append(len(X) * rate(lambda X=X: predictor(X), seconds))
    return {"figures": figures, "parameters": clf.n_parameters_}


def layers(threads: int, seconds: float, items: list[list[str]]) -> Answer:
    """Return milliseconds of one convolution, for sizes and a direction: forward, backward or both."""
    return {"figures": [1000 / rate(_directions(item, threads), seconds) for item, _ in items]}


def _directions(item: str, threads: int) -> Callable[[], None]:
    """Return a call that runs the layer with buffers that it keeps."""
    sizes, direction = item.split()
    (_, H, _, OC, K, stride, padding, groups), x, filters = layer_arrays(sizes)
    taps = window("benchmark", (H, H), (K, K), stride=stride, padding=padding)
    plan = ConvPlan(x.shape, OC, taps, groups, x.dtype, threads)
    kernel = np.ascontiguousarray(filters.transpose(1, 2, 3, 0))
    y, dy, dx = (aligned_zeros(shape) for shape in (plan.output_shape, plan.output_shape, x.shape))
    dy.fill(1)
    dkernel = np.empty_like(kernel)
    bias, dbias = np.zeros(OC, np.float32), np.empty(OC, np.float32)
    scratch = aligned_zeros((max(plan.forward_scratch, plan.backward_scratch),))

    def forward() -> None:
        plan.forward(x, kernel, bias, y, None, None, None, scratch)

    def backward() -> None:
        dkernel.fill(0)  # it is added to; PyTorch's is new every time
        dbias.fill(0)
        plan.backward_bias(dy, dbias, scratch)
        plan.backward(x, dy, kernel, dkernel, dx, None, scratch)

    def both() -> None:
        forward()
        backward()

    return {"forward": forward, "backward": backward, "both": both}[direction]


def fit(data: str, epochs: int, threads: int, **_: Any) -> Answer:
    """Time one fit on Fashion-MNIST."""
    X, y = fashion(data, "train")
    X_test, y_test = fashion(data, "t10k")
    start = peak_mb()
    layers, _ = NETWORKS["digits"]
    clf = CNNClassifier(
        layers=build(layers[:-1]), batch_size=128, max_iter=epochs, n_jobs=threads, alpha=0.0, random_state=0
    )
    warnings.simplefilter("ignore", ConvergenceWarning)
    return timed_fit(lambda: clf.fit(X, y), lambda: clf.score(X_test, y_test), epochs * len(X), start)


def search(epochs: int, backend: str, **_: Any) -> Answer:
    """Time a grid search on scikit-learn's digits with two processes ("loky") or two threads ("threading")."""
    import joblib
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV

    X, y = load_digits(return_X_y=True)
    grid = {
        "layers": [
            build(small_digits(filters, hidden)[:-1]) for filters in GRID_FILTERS for hidden in GRID_HIDDEN
        ],
        "learning_rate_init": list(GRID_RATES),
    }
    clf = CNNClassifier(batch_size=32, max_iter=epochs, n_iter_no_change=epochs, alpha=0.0, random_state=0)
    images = (X / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    with joblib.parallel_config(backend=backend):
        return timed_search(GridSearchCV(clf, grid, cv=3, n_jobs=2, refit=False), images, y)


if __name__ == "__main__":
    answer(train=train, predict=predict, layers=layers, fit=fit, search=search)
