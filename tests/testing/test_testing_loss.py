"""check_loss on losses that are each wrong in one way."""

import numpy as np
import pytest

from pyconvx import testing
from pyconvx.losses import CrossEntropy


class LossGradient(CrossEntropy):
    def value_and_gradient(self, logits, targets, weights, gradient, *, n_threads=1):
        value = super().value_and_gradient(logits, targets, weights, gradient, n_threads=n_threads)
        gradient *= 1.001
        return value


class LossAccumulates(CrossEntropy):
    def value_and_gradient(self, logits, targets, weights, gradient, *, n_threads=1):
        own = np.empty_like(gradient)
        value = super().value_and_gradient(logits, targets, weights, own, n_threads=n_threads)
        gradient += own
        return value


class LossMean(CrossEntropy):
    def value_and_gradient(self, logits, targets, weights, gradient, *, n_threads=1):
        value = super().value_and_gradient(logits, targets, weights, gradient, n_threads=n_threads)
        gradient /= weights.sum()
        return value / float(weights.sum())


class LossOverflows(CrossEntropy):
    def value_and_gradient(self, logits, targets, weights, gradient, *, n_threads=1):
        value = super().value_and_gradient(logits, targets, weights, gradient, n_threads=n_threads)
        with np.errstate(over="ignore"):
            return value + 0 * float(np.exp(logits).sum())


class LossScalar(CrossEntropy):
    def value_and_gradient(self, logits, targets, weights, gradient, *, n_threads=1):
        return np.array([super().value_and_gradient(logits, targets, weights, gradient)])


class LossWrites(CrossEntropy):
    def value_and_gradient(self, logits, targets, weights, gradient, *, n_threads=1):
        value = super().value_and_gradient(logits, targets, weights, gradient, n_threads=n_threads)
        targets[:] = 0
        return value


class LossProbabilities(CrossEntropy):
    def predictions(self, logits):
        return 1.1 * super().predictions(logits)


class LossSigns(CrossEntropy):
    def predictions(self, logits):
        return logits / logits.sum(axis=1, keepdims=True)


class LossProbabilityDtype(CrossEntropy):
    def predictions(self, logits):
        return super().predictions(logits).astype(np.float64)


class LossParameters(CrossEntropy):
    def value_and_gradient(self, logits, targets, gradient):
        return 0.0


class LossLambda(CrossEntropy):
    def __reduce__(self):
        return (lambda: None), ()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (LossGradient, "wrong gradient"),
        (LossAccumulates, "left NaN or infinity in the gradient"),
        (LossMean, "not the weighted sum of the rows"),
        (LossOverflows, "returned nan"),
        (LossScalar, "returned ndarray, not a float"),
        (LossWrites, r"writes its input \(argument 2\)"),
        (LossProbabilities, "do not sum to 1|not from 0 to 1"),
        (LossSigns, "not from 0 to 1"),
        (LossProbabilityDtype, "predictions returned dtype float64, expected float32"),
        (LossParameters, "has value_and_gradient"),
        (LossLambda, "cannot be pickled"),
    ],
)
def test_wrong_loss(wrong, reason):
    with pytest.raises(AssertionError, match=f"loss .*{wrong.__name__}.*: .*({reason})"):
        testing.check_loss(wrong())
