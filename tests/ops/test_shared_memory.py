"""Arrays of the caller that share memory: some are written while others are read."""

import numpy as np
import pytest
from small import images

from pyconvx import losses, solvers
from pyconvx.training import ArraySource

X, _ = images(dtype=np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gradient_in_the_place_of_the_logits(dtype):
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((37, 21)).astype(dtype), rng.integers(0, 21, 37)
    loss, weights, gradient = losses.CrossEntropy(0.1), np.ones(37, dtype), np.empty((37, 21), dtype)
    both = np.concatenate([logits, logits])
    for inside in (both[:37], both[36:73], both[1:38]):
        with pytest.raises(ValueError, match="gradient and logits share memory"):
            loss.value_and_gradient(both[:37], targets, weights, inside)
    assert both[:37].tobytes() == logits.tobytes()
    value = loss.value_and_gradient(both[:37], targets, weights, both[37:])
    assert value == loss.value_and_gradient(logits, targets, weights, gradient)
    assert both[37:].tobytes() == gradient.tobytes()


@pytest.mark.parametrize("name", solvers.registry.names())
def test_gradients_that_are_the_parameters(name):
    solver = solvers.registry.get(name)
    start = np.random.default_rng(0).standard_normal(100)
    apart, same = start.copy(), start.copy()
    for parameters, gradients in ((apart, start), (same, same)):
        solver.step(parameters, gradients, np.zeros((solver.slots, 100)), 0.01, 1, n_weights=50)
    assert not np.array_equal(apart, start)
    assert same.tobytes() == apart.tobytes()


@pytest.mark.parametrize("out", [X[::2], X[:15].transpose(0, 2, 1, 3), X[:15].astype(np.int32)])
def test_batches_go_to_plain_memory_only(out):
    with pytest.raises((TypeError, ValueError), match=r"^out "):
        ArraySource(X, X.shape[1:]).take(np.arange(15), out)


def test_a_batch_in_other_rows_of_the_same_array():
    data = np.concatenate([X, X])
    ArraySource(data, X.shape[1:]).take(np.arange(30)[::-1].copy(), data[30:])
    np.testing.assert_array_equal(data[30:], X[::-1])
