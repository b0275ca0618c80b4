"""Cross-entropy against scipy and central differences, at the edges, and its bad inputs."""

import numpy as np
import pytest
from scipy.special import logsumexp

from pyconvx.losses import CrossEntropy, registry

DTYPES = (np.float32, np.float64)


def evaluate(loss, logits, targets, weights=None, n_threads=1):
    """The value and the gradient of a loss; the gradient's buffer starts as NaN."""
    weights = np.ones(len(logits), logits.dtype) if weights is None else weights
    gradient = np.full(logits.shape, np.nan, logits.dtype)
    value = loss.value_and_gradient(logits, targets, weights, gradient, n_threads=n_threads)
    return value, gradient


def test_notes_example():
    value, gradient = evaluate(CrossEntropy(), np.array([[2.0, 1.0, -1.0]]), np.array([0]))
    assert value == pytest.approx(0.34901221676818633, rel=1e-14)
    expected = [[-0.2946154873017588, 0.25949646034241913, 0.03511902695933973]]
    np.testing.assert_allclose(gradient, expected, rtol=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_value_against_scipy(dtype, smoothing):
    rng = np.random.default_rng(0)
    logits = (3 * rng.standard_normal((700, 10))).astype(dtype)
    targets = rng.integers(0, 10, 700)
    value, _ = evaluate(CrossEntropy(smoothing), logits, targets)
    exact = logits.astype(np.float64)
    hit = exact[np.arange(700), targets]
    expected = logsumexp(exact, axis=1) - (1 - smoothing) * hit - smoothing * exact.mean(axis=1)
    assert isinstance(value, float)
    assert value == pytest.approx(expected.sum(), rel=1e-12)
    assert {evaluate(CrossEntropy(smoothing), logits, targets, n_threads=t)[0] for t in (1, 2, 3)} == {value}


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_gradient_by_central_differences(smoothing):
    rng = np.random.default_rng(1)
    logits, targets = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    weights, h = rng.uniform(0.5, 2, 6), 1e-5
    loss = CrossEntropy(smoothing)
    _, gradient = evaluate(loss, logits, targets, weights)
    for index in np.ndindex(logits.shape):
        moved = [logits.copy(), logits.copy()]
        moved[0][index] += h
        moved[1][index] -= h
        up, down = (evaluate(loss, m, targets, weights)[0] for m in moved)
        assert gradient[index] == pytest.approx((up - down) / (2 * h), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_weight_is_absence(dtype):
    logits = np.random.default_rng(2).standard_normal((5, 3)).astype(dtype)
    targets, weights = np.array([0, 1, 2, 0, 1]), np.array([1, 0, 2, 0, 1], dtype)
    logits[1] = np.nan
    value, gradient = evaluate(CrossEntropy(), logits, targets, weights)
    kept = weights > 0
    assert value == pytest.approx(evaluate(CrossEntropy(), logits[kept], targets[kept], weights[kept])[0])
    assert (gradient[~kept] == 0).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_huge_logits_stay_finite(dtype, smoothing):
    big = dtype(1e30)
    logits = np.array([[big, -big, 0], [-big, big, big], [big, big, big], [0, 0, 0]], dtype)
    value, gradient = evaluate(CrossEntropy(smoothing), logits, np.array([0, 0, 1, 2]))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-6)
    assert evaluate(CrossEntropy(), logits[:1], np.array([0]))[0] == 0
    assert evaluate(CrossEntropy(), logits[1:2], np.array([0]))[0] == pytest.approx(2e30)
    np.testing.assert_allclose(CrossEntropy().predictions(logits)[2], 1 / 3, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_logits_give_a_non_finite_loss(bad):
    logits = np.zeros((3, 4))
    logits[1, 2] = bad
    value, gradient = evaluate(CrossEntropy(), logits, np.array([0, 1, 2]))
    assert np.isnan(value)
    assert np.isnan(gradient[1]).any()
    assert np.isfinite(gradient[[0, 2]]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_probabilities(dtype):
    logits = (5 * np.random.default_rng(3).standard_normal((9, 4))).astype(dtype)
    logits.flags.writeable = False
    found = CrossEntropy().predictions(logits)
    assert found.dtype == dtype
    exact = logits.astype(np.float64)
    expected = np.exp(exact - logsumexp(exact, axis=1, keepdims=True))
    np.testing.assert_allclose(found, expected, rtol=20 * np.finfo(dtype).eps)


def test_smoothing_moves_the_best_probability():
    """The loss is smallest, and its gradient 0, if the softmax is the smoothed target."""
    q = np.array([[0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]])
    _, gradient = evaluate(CrossEntropy(0.1), np.log(q), np.array([0]))
    np.testing.assert_allclose(gradient, 0, atol=1e-15)


def test_no_rows():
    assert evaluate(CrossEntropy(), np.zeros((0, 3)), np.zeros(0, np.int64))[0] == 0.0


@pytest.mark.parametrize(
    ("targets", "rows", "words"),
    [
        ([0, 3], 2, "from 0 to 2, got 3 at 1"),
        ([-1, 0], 2, "got -1 at 0"),
        ([0], 2, "of shape"),
        ([0, 1], 3, "of shape"),
    ],
)
def test_bad_arrays(targets, rows, words):
    logits = np.zeros((2, 3))
    with pytest.raises(ValueError, match=words):
        CrossEntropy().value_and_gradient(logits, np.array(targets), np.ones(rows), np.empty((2, 3)))


@pytest.mark.parametrize("smoothing", [-0.1, 1.5, float("nan")])
def test_bad_smoothing(smoothing):
    with pytest.raises(ValueError, match="label_smoothing must be from 0 to 1"):
        CrossEntropy(smoothing)


def test_registered():
    assert registry.get("cross_entropy") == CrossEntropy(0.0)
    assert registry.resolve(CrossEntropy) == CrossEntropy(0.0)
    with pytest.raises(TypeError, match="has no method value_and_gradient"):
        registry.resolve(len)
