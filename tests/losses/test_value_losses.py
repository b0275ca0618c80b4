"""Squared error and Huber's loss against plain formulas and central differences, at the edges, and bad inputs."""

import numpy as np
import pytest
from scipy.special import huber as scipy_huber
from sklearn.metrics import mean_squared_error

from pyconvx import PluginError
from pyconvx.losses import CrossEntropy, Huber, SquaredError, registry
from pyconvx.losses.base import target_kind

DTYPES = (np.float32, np.float64)
LOSSES = (SquaredError(), Huber(), Huber(0.3))


def evaluate(loss, outputs, targets, weights=None, n_threads=1):
    """The value and the gradient of a loss; the gradient's buffer starts as NaN."""
    weights = np.ones(len(outputs), outputs.dtype) if weights is None else weights
    gradient = np.full(outputs.shape, np.nan, outputs.dtype)
    value = loss.value_and_gradient(outputs, targets, weights, gradient, n_threads=n_threads)
    return value, gradient


def example(dtype=np.float64, shape=(7, 3), seed=0):
    rng = np.random.default_rng(seed)
    numbers = [(2 * rng.standard_normal(shape)).astype(dtype) for _ in range(2)]
    return *numbers, rng.uniform(0.1, 2, shape[0]).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7, 1), (7, 3), (7,), (7, 2, 3), (0, 2)])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_values(loss, shape, dtype):
    outputs, targets, weights = example(dtype, shape)
    value, gradient = evaluate(loss, outputs, targets, weights)
    difference = outputs.astype(np.float64) - targets
    delta = getattr(loss, "delta", 1e9)
    cells = scipy_huber(delta, difference).reshape(len(outputs), int(np.prod(shape[1:])))
    assert type(value) is float
    assert value == pytest.approx((cells.mean(axis=1) * weights).sum() if len(outputs) else 0.0, rel=1e-12)
    assert (gradient.shape, gradient.dtype) == (outputs.shape, outputs.dtype)


def test_squared_error_is_that_of_scikit_learn():
    outputs, targets, weights = example()
    value, _ = evaluate(SquaredError(), outputs, targets, weights / weights.sum())
    assert value == pytest.approx(mean_squared_error(targets, outputs, sample_weight=weights) / 2)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_gradient_by_central_differences(loss):
    outputs, targets, weights = example()
    _, gradient = evaluate(loss, outputs, targets, weights)
    h = 1e-6
    for index in np.ndindex(outputs.shape):
        moved = [outputs.copy(), outputs.copy()]
        moved[0][index] += h
        moved[1][index] -= h
        up, down = (evaluate(loss, m, targets, weights)[0] for m in moved)
        assert gradient[index] == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-8)


def test_huber_is_a_line_far_from_the_target():
    outputs, targets = np.array([[0.5], [2.0], [-10.0], [1.0]]), np.zeros((4, 1))
    one_by_one = [evaluate(Huber(1.0), outputs[i : i + 1], targets[:1])[0] for i in range(4)]
    assert one_by_one == [0.125, 1.5, 9.5, 0.5]
    assert evaluate(Huber(1.0), outputs, targets)[1].ravel().tolist() == [0.5, 1.0, -1.0, 1.0]
    wide, squared = (evaluate(loss, outputs, targets) for loss in (Huber(1e6), SquaredError()))
    assert wide[0] == squared[0]
    np.testing.assert_array_equal(wide[1], squared[1])


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_of_weight_0_counts_for_nothing(loss, dtype):
    outputs, targets, weights = example(dtype)
    weights[2], outputs[2] = 0, np.nan
    value, gradient = evaluate(loss, outputs, targets, weights)
    counted = weights > 0
    assert value == pytest.approx(evaluate(loss, outputs[counted], targets[counted], weights[counted])[0])
    assert not gradient[2].any()


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_the_bits_do_not_depend_on_threads(loss):
    outputs, targets, weights = example(np.float32, (1000, 3))
    first, *others = (evaluate(loss, outputs, targets, weights, n_threads=n) for n in (1, 2, 3, 7))
    for value, gradient in others:
        assert value == first[0]
        assert gradient.tobytes() == first[1].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_numbers(dtype):
    largest = np.array([[np.finfo(dtype).max]], dtype)
    value, gradient = evaluate(SquaredError(), largest, -largest)
    assert np.isinf(value) or np.isinf(gradient).all()
    value, gradient = evaluate(Huber(), largest, np.zeros((1, 1), dtype))
    assert np.isfinite(value)
    assert gradient.item() == 1.0


def test_predictions_are_a_copy_of_the_outputs():
    outputs = example()[0]
    predictions = Huber().predictions(outputs)
    np.testing.assert_array_equal(predictions, outputs)
    assert not np.shares_memory(predictions, outputs)
    with pytest.raises(TypeError, match="outputs must be float32 or float64"):
        SquaredError().predictions(np.ones((2, 2), int))


def test_names_and_kinds():
    assert registry.resolve("squared_error") == SquaredError()
    assert registry.resolve("huber") == Huber(delta=1.0)
    assert [target_kind(loss) for loss in (SquaredError(), Huber(), CrossEntropy())] == [
        "values",
        "values",
        "classes",
    ]
    with pytest.raises(PluginError, match="squared_error"):
        registry.resolve("squared_eror")


@pytest.mark.parametrize("delta", [0, -1.0, np.inf, np.nan])
def test_a_delta_that_is_no_limit(delta):
    with pytest.raises(ValueError, match="delta must be above 0 and finite"):
        Huber(delta)


@pytest.mark.parametrize("delta", ["a", None, True, [1.0]])
def test_a_delta_that_is_no_number(delta):
    with pytest.raises(TypeError, match="delta"):
        Huber(delta)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda a: a.update(outputs=a["outputs"].astype(int)), TypeError, "outputs must be float32 or float64"),
        (lambda a: a.update(outputs=1.0), TypeError, "outputs must be a numpy array"),
        (lambda a: a.update(outputs=np.float64(1)), TypeError, "outputs must be a numpy array"),
        (lambda a: a.update(outputs=np.array(1.0)), ValueError, "outputs must have 1 axes"),
        (lambda a: a.update(targets=a["targets"].astype(np.float32)), TypeError, "targets must be float64"),
        (lambda a: a.update(targets=a["targets"][:, 0]), ValueError, "targets must have 2 axes"),
        (lambda a: a.update(targets=a["targets"][:3]), ValueError, "need targets and a gradient like them"),
        (lambda a: a.update(weights=a["weights"][:3]), ValueError, "weights of shape"),
        (lambda a: a.update(weights=a["weights"][:, None]), ValueError, "weights must have 1 axes"),
        (lambda a: a.update(gradient=np.empty((7, 2))), ValueError, "need targets and a gradient like them"),
        (lambda a: a["gradient"].setflags(write=False), ValueError, "gradient .* is read-only"),
        (lambda a: a.update(gradient=a["outputs"]), ValueError, "gradient shares memory"),
        (lambda a: a.update(gradient=a["targets"]), ValueError, "gradient shares memory"),
        (
            lambda a: a.update({name: np.empty((7, 0)) for name in ("outputs", "targets", "gradient")}),
            ValueError, "rows of outputs hold no numbers",
        ),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(change, kind, words):
    outputs, targets, weights = example()
    arrays = {"outputs": outputs, "targets": targets, "weights": weights, "gradient": np.empty_like(outputs)}
    change(arrays)
    with pytest.raises(kind, match=words):
        Huber().value_and_gradient(*arrays.values())
