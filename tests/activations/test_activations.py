"""Activations on arrays: values, gradients, dtypes, extremes, look-up by name, and what it refuses."""

import datetime
import pickle
import threading

import numpy as np
import pytest
from activation_oracles import KINKS, LIMITS, SLOPES, VALUES
from numpy.testing import assert_allclose, assert_array_equal

from pyconvx import activations
from pyconvx.activations import CompiledActivation, initializer_of, name_of, registry
from pyconvx.exceptions import PluginError
from pyconvx.ops import capsules

ALIASES = {"logistic": "sigmoid", "linear": "identity", "swish": "silu", "celu": "elu"}
BUILT_IN = sorted(row.name for row in registry.listing() if row.status == "built-in")
COMPILED = sorted(capsules.NAMES)
DTYPES = [np.float32, np.float64]


def inputs(name, shape=(40, 9), seed=0):
    """Return numbers on both sides of each kink, none of them near it."""
    x = np.random.default_rng(seed).normal(size=shape, scale=3)
    for kink in KINKS.get(name, ()):
        x = np.where(np.abs(x - kink) < 1e-3, x + 0.01, x)
    return x


def test_every_family_name_is_there():
    assert set(BUILT_IN) == set(VALUES) | set(ALIASES)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases(alias, name):
    assert registry.get(alias) == registry.get(name) == getattr(activations, name)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-6), (np.float64, 4e-15)])
def test_values(name, dtype, tolerance):
    x = inputs(name).astype(dtype)
    y = registry.get(name).forward(x)
    assert y.dtype == dtype
    # a log-probability near 0 is a difference of numbers near the logits
    atol = tolerance if name == "log_softmax" else tolerance * 1e-3
    assert_allclose(y, VALUES[name](x.astype(np.float64)), rtol=tolerance, atol=atol)


@pytest.mark.parametrize("name", BUILT_IN)
def test_gradient_by_central_differences(name):
    activation = registry.get(name)
    x = inputs(ALIASES.get(name, name))
    dy = np.random.default_rng(1).normal(size=x.shape)
    dx = activation.backward(dy, x, activation.forward(x))
    h = 1e-5
    for column in range(x.shape[1]):
        step = np.zeros_like(x)
        step[:, column] = h
        slope = (activation.forward(x + step) - activation.forward(x - step)) / (2 * h)
        assert_allclose(dx[:, column], (dy * slope).sum(axis=1), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", BUILT_IN)
def test_float32_gradient_agrees_with_float64(name):
    activation = registry.get(name)
    x = inputs(ALIASES.get(name, name)).astype(np.float32)
    dy = np.random.default_rng(2).normal(size=x.shape).astype(np.float32)
    dx = activation.backward(dy, x, activation.forward(x))
    assert dx.dtype == np.float32
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    assert_allclose(dx, activation.backward(dy, x, activation.forward(x)), rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu", "mish", "softplus", "sigmoid"])
def test_small_values_far_to_the_left_keep_their_relative_accuracy(name):
    x = np.linspace(-30, -1, 500)
    # the oracles round the exponent, which costs them up to 450 ulp at -30
    assert_allclose(registry.get(name).forward(x), VALUES[name](x), rtol=2e-13, atol=1e-300)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_infinities_huge_numbers_and_nan(name, dtype):
    activation = registry.get(name)
    huge = np.finfo(dtype).max
    x = np.array([-np.inf, -huge, huge, np.inf, np.nan], dtype)
    y = activation.forward(x)
    assert_allclose(y[[0, 3, 4]], [*LIMITS[name], np.nan], rtol=1e-6)
    assert not np.isnan(y[1:3]).any()
    slope = activation.backward(np.ones_like(x), x, y)
    assert_allclose(slope[:4], np.repeat(SLOPES[name], 2), rtol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_with_nan_or_infinity_are_nan_and_alone(name, bad):
    x = np.random.default_rng(0).normal(size=(3, 20))
    x[1, 17] = bad
    y = registry.get(name).forward(x)
    assert_array_equal(np.isnan(y).all(axis=1), [False, True, False])
    assert_array_equal(np.isnan(y).any(axis=1), [False, True, False])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_masked_and_large_logits(name):
    x = np.array([[-np.inf, 0.0, 0.0], [1000.0, 1000.0, -1000.0], [-1e300, 0.0, 0.0]])
    y = registry.get(name).forward(x)
    with np.errstate(all="ignore"):
        assert_allclose(y, VALUES[name](x), rtol=1e-15)


def test_relu_at_zero_and_nan():
    y = activations.relu.forward(np.array([-1.0, -0.0, 0.0, np.nan]))
    assert_array_equal(y, [0, 0, 0, np.nan])
    assert_array_equal(activations.relu.backward(np.ones(3), np.zeros(3), y[:3]), [0, 0, 0])


def test_gelu_tables():
    """The notes' tables were made with the tanh form; the exact values differ in the third decimal."""
    x = np.array([-2, -1, -0.5, 0, 0.5, 1, 2, -2.5])
    exact = [-0.046, -0.159, -0.154, 0, 0.346, 0.841, 1.954, -0.016]
    approximate = [-0.045, -0.159, -0.154, 0, 0.346, 0.841, 1.955, -0.015]
    assert_array_equal(activations.gelu.forward(x).round(3), exact)
    assert_array_equal(activations.gelu_tanh.forward(x).round(3), approximate)
    assert_allclose(
        activations.gelu.forward(np.array([-2, 2, -2.5])), [-0.0455003, 1.9544997, -0.0155242], atol=5e-8
    )
    assert_allclose(
        activations.gelu_tanh.forward(np.array([-2, 2, -2.5])), [-0.0454023, 1.9545977, -0.0150843], atol=5e-8
    )


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("dtype", DTYPES)
def test_shapes_layouts_and_untouched_inputs(name, dtype):
    activation = registry.get(name)
    base = inputs(name, (6, 4, 5)).astype(dtype)
    expected = activation.forward(base)
    for x in (base, np.asfortranarray(base), np.repeat(base, 2, axis=1)[:, ::2]):
        x.flags.writeable = False
        kept = x.copy()
        y = activation.forward(x)
        dx = activation.backward(x, x, y)
        assert y.shape == dx.shape == x.shape
        assert y.dtype == dx.dtype == dtype
        assert_array_equal(y, expected)
        assert_array_equal(x, kept)
    for shape in ((), (0,), (0, 3), (3, 0)):
        assert activation.forward(np.zeros(shape, dtype)).shape == shape


@pytest.mark.parametrize("name", BUILT_IN)
def test_threads_give_equal_bits(name):
    activation = registry.get(name)
    x = inputs(name, (1201, 37)).astype(np.float32)
    dy = inputs(name, (1201, 37), seed=5).astype(np.float32)
    y = activation.forward(x)
    dx = activation.backward(dy, x, y)
    for n_threads in (1, 2, 3, None):
        assert_array_equal(activation.forward(x, n_threads=n_threads), y)
        assert_array_equal(activation.backward(dy, x, y, n_threads=n_threads), dx)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.complex64, object])
def test_other_dtypes_are_refused(name, dtype):
    activation = registry.get(name)
    with pytest.raises(TypeError, match="must be float32 or float64"):
        activation.forward(np.ones(3, dtype))
    x = np.ones(3)
    with pytest.raises(TypeError, match="must be float32 or float64"):
        activation.backward(np.ones(3, dtype), x, x)


@pytest.mark.parametrize("name", ["tanh", "softmax"])
def test_backward_arguments_must_fit_together(name):
    activation = registry.get(name)
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"must have shape \(2, 3\), got \(3, 2\)"):
        activation.backward(x, x, x.T)
    with pytest.raises(TypeError, match="convert one"):
        activation.backward(x.astype(np.float32), x, x)


@pytest.mark.parametrize("name", COMPILED)
def test_flags_tell_the_truth(name):
    activation = CompiledActivation(name)
    x = np.sort(inputs(name, (4000,)))
    y = activation.forward(x)
    slope = activation.backward(np.ones_like(x), x, y)
    assert activation.non_decreasing == bool(np.all(slope >= 0))
    wrong_x = activation.backward(np.ones_like(x), np.full_like(x, 0.3), y)
    assert activation.from_output == np.array_equal(wrong_x, slope)


@pytest.mark.parametrize("name", BUILT_IN)
def test_values_that_pickle_compare_and_hash(name):
    activation = registry.get(name)
    copy = pickle.loads(pickle.dumps(activation))
    assert copy == activation
    assert hash(copy) == hash(activation)
    assert repr(copy) == repr(activation)
    x = inputs(name)
    assert_array_equal(copy.forward(x), activation.forward(x))


def test_initializers_that_suit():
    assert {initializer_of(registry.get(n)) for n in ("relu", "gelu", "silu", "mish")} == {"he_uniform"}
    assert {initializer_of(registry.get(n)) for n in ("tanh", "logistic", "softmax")} == {"xavier_uniform"}
    assert initializer_of(activations.selu) == "lecun_normal"
    assert initializer_of(object()) == "he_uniform"


def test_names():
    assert name_of(activations.gelu) == "gelu"
    assert name_of(activations.softmax) == "Softmax"


def test_unknown_compiled_name_lists_what_there_is():
    with pytest.raises(ValueError, match=r"no compiled activation 'softmax'; there are identity, relu"):
        CompiledActivation("softmax")


def test_concurrent_calls():
    x = inputs("gelu", (200, 500))
    expected = activations.gelu.forward(x)
    results = []
    workers = [
        threading.Thread(target=lambda: results.append(activations.gelu.forward(x, n_threads=2))) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 4
    for y in results:
        assert_array_equal(y, expected)


class OnlyCapsule:
    """A plugin with C functions and no array methods."""

    capsule = capsules.capsule("tanh")
    initializer = "xavier_normal"


class OnlyArrays:
    def forward(self, x):
        return 2 * x

    def backward(self, dy, x, y):
        return 2 * dy


def test_a_plugin_that_is_only_a_capsule_gets_array_methods():
    activation = registry.resolve(OnlyCapsule)
    x = inputs("tanh")
    y = activation.forward(x)
    assert_array_equal(y, activations.tanh.forward(x))
    assert_array_equal(activation.backward(x, x, y), activations.tanh.backward(x, x, y))
    assert name_of(activation) == "OnlyCapsule"
    assert initializer_of(activation) == "xavier_normal"
    capsules.check_capsule(activation.capsule)


def test_a_plugin_of_array_methods_is_taken_as_it_is():
    plugin = OnlyArrays()
    assert registry.verified(plugin) is plugin
    assert registry.resolve(plugin).plugin is plugin
    assert initializer_of(plugin) == "he_uniform"


class NoBackward:
    def forward(self, x):
        return x


class ShortBackward(OnlyArrays):
    def backward(self, dy):
        return dy


class NotCallable(OnlyArrays):
    forward = 3


class WrongCapsule(OnlyArrays):
    capsule = datetime.datetime_CAPI


class NumberForCapsule(OnlyArrays):
    capsule = 3


class NumberForInitializer(OnlyArrays):
    initializer = 3


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (object, r"no activation: it has no forward\(x\) and no capsule 'pyconvx.activation.v1'"),
        (NoBackward, r"it has no backward\(dy, x, y\)"),
        (ShortBackward, r"has backward\(dy\), expected backward\(dy, x, y\): too many positional arguments"),
        (NotCallable, r"NotCallable object at .* has no method forward\(x\)$"),
        (
            WrongCapsule,
            r"expected a PyCapsule named 'pyconvx.activation.v1', got one named 'datetime.datetime_CAPI'",
        ),
        (NumberForCapsule, r"expected a PyCapsule named 'pyconvx.activation.v1', got 3"),
        (NumberForInitializer, r"initializer must be an initializer's name, got 3"),
    ],
)
def test_refused_with_both_signatures_in_the_text(plugin, message):
    with pytest.raises((PluginError, TypeError), match=message):
        registry.resolve(plugin)
