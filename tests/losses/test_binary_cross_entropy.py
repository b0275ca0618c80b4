"""Binary cross-entropy against the formula in long double, and by finite differences."""

import numpy as np
import pytest

from pyconvx import losses, testing
from pyconvx.losses import BinaryCrossEntropy

RNG = np.random.default_rng(0)
OUTPUTS = RNG.standard_normal((9, 5)) * 3
TARGETS = (RNG.random((9, 5)) < 0.5).astype(float)
WEIGHTS = np.array([1.0, 0.5, 0.0, 2.0, 1.5, 1.0, 3.0, 0.0, 1.0])


def slow(outputs, targets, weights, smoothing=0.0):
    """Return the value by the formula, in long double."""
    z, t = outputs.astype(np.longdouble), targets.astype(np.longdouble)
    t = t * (1 - smoothing) + smoothing / 2
    p = 1 / (1 + np.exp(-z))
    return float((weights * -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(1)).sum())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_value_and_gradient(dtype, smoothing):
    loss, arrays = BinaryCrossEntropy(smoothing), [a.astype(dtype) for a in (OUTPUTS, TARGETS, WEIGHTS)]
    gradient = np.full((9, 5), np.nan, dtype)
    value = loss.value_and_gradient(*arrays, gradient)
    assert value == pytest.approx(slow(*arrays, smoothing), rel=1e-6 if dtype == np.float32 else 1e-13)
    step = 1e-6
    for place in [(0, 0), (3, 4), (2, 1)]:
        high, low = OUTPUTS.copy(), OUTPUTS.copy()
        high[place] += step
        low[place] -= step
        slope = (slow(high, TARGETS, WEIGHTS, smoothing) - slow(low, TARGETS, WEIGHTS, smoothing)) / (2 * step)
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_it_keeps_the_contract():
    testing.check_loss("binary_cross_entropy")
    testing.check_loss(BinaryCrossEntropy(0.2))
    assert losses.base.target_kind(BinaryCrossEntropy()) == "indicators"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_outputs_are_finite(dtype):
    top = np.finfo(dtype).max
    outputs, targets = np.array([[top, -top, 1e4, -1e4]], dtype), np.array([[1, 0, 0, 1]], dtype)
    gradient, one = np.empty_like(outputs), np.ones(1, dtype)
    assert np.isfinite(BinaryCrossEntropy().value_and_gradient(outputs, targets, one, gradient))
    np.testing.assert_allclose(gradient, [[0, 0, 1, -1]], atol=1e-30)
    assert np.isfinite(BinaryCrossEntropy().log_predictions(outputs[:, 2:])).all()
    np.testing.assert_array_equal(BinaryCrossEntropy().predictions(outputs), [[1, 0, 1, 0]])


@pytest.mark.parametrize(("dtype", "limit", "accuracy"), [(np.float32, 80, 1e-6), (np.float64, 700, 1e-13)])
def test_logarithms_follow_the_probabilities(dtype, limit, accuracy):
    outputs = np.linspace(-limit, limit, 1001).astype(dtype)[:, None]
    logarithms = BinaryCrossEntropy().log_predictions(outputs)
    assert logarithms.dtype == dtype
    exact = -np.logaddexp(0, -outputs.astype(np.longdouble))
    np.testing.assert_allclose(logarithms, exact.astype(float), rtol=accuracy, atol=accuracy / 10)
    assert (np.diff(logarithms[:, 0]) >= 0).all()
    certain = BinaryCrossEntropy().predictions(outputs) == 1
    assert certain.any()
    assert (logarithms[certain] == 0).all()  # so that the most probable label is the same by both


def test_what_does_not_fit():
    loss, good = BinaryCrossEntropy(), (OUTPUTS, TARGETS, WEIGHTS, np.empty((9, 5)))
    with pytest.raises(ValueError, match="need targets and a gradient like them"):
        loss.value_and_gradient(OUTPUTS, TARGETS[:8], *good[2:])
    with pytest.raises(TypeError, match="targets must be float64, got int64"):
        loss.value_and_gradient(OUTPUTS, TARGETS.astype(int), *good[2:])
    for illegal in (-0.1, 1.1):
        with pytest.raises(ValueError, match="label_smoothing must be from 0 to 1"):
            BinaryCrossEntropy(illegal)
    for call in (loss.predictions, loss.log_predictions):
        for wrong in (OUTPUTS.tolist(), OUTPUTS.astype(np.float16), OUTPUTS.astype(int)):
            with pytest.raises(TypeError, match="outputs must be"):
                call(wrong)
