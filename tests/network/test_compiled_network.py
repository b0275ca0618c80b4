"""Compiled predictors: what they give is what the layers give one by one, for every batch and thread count."""

import pickle
import threading
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from nets import MIXED, PLAIN, RELU, outputs, pictures, trainer
from sklearn.exceptions import ConvergenceWarning

from pyconvx import CNNClassifier
from pyconvx.estimators.predictor import network_outputs
from pyconvx.layers import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    Residual,
)
from pyconvx.layers.fusion import one_by_one
from pyconvx.network import CompiledNetwork, Network
from pyconvx.network.compiled import _numbers_written
from pyconvx.training import ArraySource


@dataclass(frozen=True)
class Doubled(Layer):
    """A layer that knows no programs."""

    def output_shape(self, input_shape):
        return input_shape

    def forward(self, x, params, context):
        y = context.workspace.take(x.shape, x.dtype)
        np.multiply(x, 2, out=y)
        return y, None

    def backward(self, dy, cache, params, grads, context):
        return 2 * dy


NORMS = (
    BatchNorm(),  # nothing before it to fold into
    Conv2D(8, bias=False),
    BatchNorm(),
    RELU,
    MaxPool2D(2),
    Residual((Conv2D(8, padding="same"), BatchNorm(), RELU, DepthwiseConv2D(padding="same"), BatchNorm())),
    RELU,
    Residual((Conv2D(5, 1), BatchNorm()), (Conv2D(5, 1, bias=False), BatchNorm())),
    MaxPool2D(2, stride=1),  # windows that overlap run alone
    BatchNorm(),
    Flatten(),
    Dense(7),
    BatchNorm(),
    Activation("softmax"),
    Doubled(),
    Dense(3),
)
# through Winograd's transform in float32, with pools of both kinds after it
WIDE = (
    Conv2D(16, 1),
    Conv2D(20),
    RELU,
    MaxPool2D(2),
    Conv2D(33, padding=1),
    MaxPool2D((2, 1)),
    RELU,
    Flatten(),
    Dense(3),
)
STACKS = {"plain": PLAIN, "mixed": MIXED, "norms": NORMS, "wide": WIDE}


def trained(layers, shape, dtype):
    """A network with statistics and biases that are not what they started as."""
    network = Network(layers, shape, dtype=dtype)
    X, y = pictures(24, shape)
    trainer(network, X, y, batch_size=8).run(2)
    return network


def singly(network, x):
    """Outputs with every layer on its own."""
    steps, network.steps = network.steps, one_by_one(network.layers, network.names)
    y = outputs(network, x)
    network.steps = steps
    return y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("stack", STACKS)
def test_outputs_are_those_of_the_layers(stack, dtype):
    network = trained(STACKS[stack], (8, 7, 2), dtype)
    X, _ = pictures(11, dtype=dtype, seed=1)
    expected = singly(network, X)
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    seen = set()
    for n_threads in (1, 2, 3):
        predictor = CompiledNetwork(network, n_threads)
        y = network_outputs(predictor, ArraySource(X, (8, 7, 2)))
        np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)
        seen.add(y.tobytes())
        for start, stop in [(0, 1), (3, 4), (2, 11)]:  # a row does not depend on its batch
            part = network_outputs(predictor, ArraySource(X[start:stop], (8, 7, 2)))
            assert part.tobytes() == y[start:stop].tobytes()
    assert len(seen) == 1


def test_batch_norms_go_into_the_layers_before_them():
    def norms(layers):
        found = [layer for layer in layers if isinstance(layer, BatchNorm)]
        blocks = [layer for layer in layers if isinstance(layer, Residual)]
        return len(found) + sum(norms(block.layers) + norms(block.skip) for block in blocks)

    network = trained(NORMS, (8, 7, 2), np.float64)
    assert norms(network.layers) == 8
    assert norms(CompiledNetwork(network, 1)._layers) == 2  # after the input and after a pool


def test_large_data_go_through_in_batches():
    network = trained((Conv2D(4), RELU, GlobalAvgPool2D(), Dense(3)), (40, 40, 2), np.float32)
    X, _ = pictures(700, (40, 40, 2), dtype=np.float32)
    predictor = CompiledNetwork(network, 2)
    assert 1 < predictor.rows < 700
    y = network_outputs(predictor, ArraySource(X, (40, 40, 2)))
    assert len(y) == 700
    last = network_outputs(CompiledNetwork(network, 1), ArraySource(X[-1:], (40, 40, 2)))
    assert y[-1:].tobytes() == last.tobytes()


def test_batches_count_the_maps_inside_of_blocks():
    """Convolution; inside of the block: convolution with its function, convolution, skip path; their sum."""
    layers = (Conv2D(4, 1), Residual((Conv2D(4, 1), RELU, Conv2D(4, 1)), (Conv2D(4, 1),)), RELU)
    assert _numbers_written(layers, (3, 3, 2)) == 5 * 36
    network = Network((*layers, GlobalAvgPool2D()), (30, 30, 2))
    one, two = (CompiledNetwork(network, n).rows for n in (1, 2))
    assert 1 < one < two


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (60, 9, 8, 3), np.uint8)
    y = np.array(["a", "b", "c"])[np.arange(60) % 3]
    clf = CNNClassifier(filters=(6, 8), batch_norm=True, max_iter=2, random_state=0)
    with pytest.warns(ConvergenceWarning):
        clf.fit(X, y)
    return clf, X, y


def test_probabilities_are_those_of_predict_proba(fitted):
    clf, X, _ = fitted
    predictor = clf.compile_predictor()
    proba = predictor(X)
    assert proba.dtype == np.float32
    np.testing.assert_allclose(proba, clf.predict_proba(X), atol=1e-6)
    assert predictor(X[7:8]).tobytes() == proba[7:8].tobytes()
    assert predictor(X.reshape(60, -1)).tobytes() == proba.tobytes()
    assert predictor(X[::-2]).tobytes() == proba[::-2].tobytes()
    assert predictor(X[:0]).shape == (0, 3)
    np.testing.assert_array_equal(predictor.classes_, clf.classes_)


def test_a_predictor_keeps_the_parameters_it_was_made_from(fitted):
    clf, X, y = fitted
    clf = pickle.loads(pickle.dumps(clf))
    predictor = clf.compile_predictor()
    before = predictor(X)
    clf.partial_fit(X, y)
    assert not np.allclose(clf.predict_proba(X), before, atol=1e-6)
    assert predictor(X).tobytes() == before.tobytes()
    assert predictor(X[:5]).tobytes() == before[:5].tobytes()  # memory for a new batch size, old parameters
    assert pickle.loads(pickle.dumps(predictor))(X).tobytes() == before.tobytes()


def test_calls_from_several_threads_take_turns(fitted):
    clf, X, _ = fitted
    predictor = clf.compile_predictor()
    expected, failed = predictor(X), []

    def work(rows):
        for _ in range(20):
            if predictor(X[:rows]).tobytes() != expected[:rows].tobytes():
                failed.append(rows)

    threads = [threading.Thread(target=work, args=(rows,)) for rows in (1, 2, 7, 20, 33, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_channels_first_and_grey_images():
    rng = np.random.default_rng(0)
    X = rng.random((12, 3, 8, 9))
    first = CNNClassifier(filters=4, data_format="channels_first", max_iter=1, tol=0, random_state=0)
    with pytest.warns(ConvergenceWarning):
        first.fit(X, np.arange(12) % 2)
    np.testing.assert_allclose(first.compile_predictor()(X), first.predict_proba(X), atol=1e-12)
    grey = CNNClassifier(filters=4, max_iter=1, random_state=0)
    with pytest.warns(ConvergenceWarning):
        grey.fit(X[:, 0], np.arange(12) % 2)
    predictor = grey.compile_predictor()
    assert predictor(X[:, 0]).tobytes() == predictor(X[:, 0, :, :, None]).tobytes()


def test_what_does_not_fit_is_refused(fitted):
    clf, X, _ = fitted
    predictor = clf.compile_predictor()
    with pytest.raises(ValueError, match=r"\(n, 9, 8, 3\), got \(60, 8, 9, 3\)"):
        predictor(X.transpose(0, 2, 1, 3))
    with pytest.raises(ValueError, match="uint8 images, got float32"):
        predictor(X.astype(np.float32))
    with pytest.raises(ValueError, match="uint8 images, got int64"):
        predictor(X.tolist())


def test_a_known_batch_size_takes_memory_for_its_result_alone(fitted):
    clf, X, _ = fitted
    predictor = clf.compile_predictor()
    predictor(X)
    tracemalloc.start()
    predictor(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6000  # 60 rows of 3 outputs and probabilities, and what calls take
