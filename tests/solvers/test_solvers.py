"""Solvers step by step, compared with those of scikit-learn and with formulas in NumPy."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from pyconvx.solvers import SGD, Adam, AdamW, RMSprop, registry

BUILT_IN = tuple(row.name for row in registry.listing() if row.status == "built-in")
STEPS, N, WEIGHTS = 25, 200, 130


def problem(dtype=np.float64):
    """Return starting parameters and one gradient per step, with numbers of very different sizes."""
    rng = np.random.default_rng(0)
    scale = 10.0 ** rng.uniform(-6, 3, N)
    return rng.standard_normal(N).astype(dtype), (scale * rng.standard_normal((STEPS, N))).astype(dtype)


def trajectory(solver, dtype=np.float64, n_threads=1):
    """Return the parameters after each step."""
    parameters, gradients = problem(dtype)
    slots = np.zeros((solver.slots, N), dtype)
    path = []
    for t, gradient in enumerate(gradients, start=1):
        gradient.flags.writeable = False
        solver.step(parameters, gradient, slots, 0.01, t, n_weights=WEIGHTS, n_threads=n_threads)
        path.append(parameters.copy())
    return np.array(path)


def sklearn_trajectory(make):
    parameters, gradients = problem()
    optimizer = make([parameters])
    path = []
    for gradient in gradients:
        optimizer.update_params([parameters], [gradient])
        path.append(parameters.copy())
    return np.array(path)


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_scikit_learns(momentum, nesterov):
    expected = sklearn_trajectory(
        lambda p: SGDOptimizer(p, learning_rate_init=0.01, momentum=momentum, nesterov=nesterov)
    )
    np.testing.assert_allclose(trajectory(SGD(momentum, nesterov)), expected, rtol=1e-12)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.8), (0.0, 0.99)])
def test_adam_is_scikit_learns(betas):
    expected = sklearn_trajectory(
        lambda p: AdamOptimizer(p, learning_rate_init=0.01, beta_1=betas[0], beta_2=betas[1], epsilon=1e-7)
    )
    np.testing.assert_allclose(trajectory(Adam(*betas, epsilon=1e-7)), expected, rtol=1e-11, atol=1e-13)


def test_adamw_decays_the_weights_alone():
    parameters, gradients = problem()
    m = v = np.zeros(N)
    for t, g in enumerate(gradients, start=1):
        parameters[:WEIGHTS] *= 1 - 0.01 * 0.2
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        corrected = 0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        parameters -= corrected * m / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(trajectory(AdamW(weight_decay=0.2))[-1], parameters, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(trajectory(AdamW(weight_decay=0.0)), trajectory(Adam()))


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_rmsprop(momentum):
    parameters, gradients = problem()
    s = v = np.zeros(N)
    for g in gradients:
        s = 0.95 * s + 0.05 * g**2
        v = momentum * v - 0.01 * g / (np.sqrt(s) + 1e-6)
        parameters += v
    found = trajectory(RMSprop(rho=0.95, epsilon=1e-6, momentum=momentum))[-1]
    np.testing.assert_allclose(found, parameters, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", BUILT_IN)
def test_float32_follows_float64(name):
    solver = registry.get(name)
    single = trajectory(solver, np.float32)
    assert single.dtype == np.float32
    double = trajectory(solver)
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-4 * np.abs(double).max())


@pytest.mark.parametrize("name", BUILT_IN)
def test_large_arrays_use_threads_and_keep_their_bits(name):
    solver, n = registry.get(name), 40_000
    results = []
    for n_threads in (1, 2, 3):
        p, g = np.linspace(-1, 1, n), np.cos(np.arange(n))
        slots = np.zeros((solver.slots, n))
        for t in (1, 2):
            solver.step(p, g, slots, 0.1, t, n_weights=n // 2, n_threads=n_threads)
        results.append(p.tobytes() + slots.tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("name", BUILT_IN)
def test_parameters_follow_scikit_learn(name):
    solver = registry.get(name)
    assert clone(solver).get_params() == solver.get_params()
    first = next(iter(solver.get_params()))
    assert clone(solver).set_params(**{first: 0.25}).get_params()[first] == 0.25
    assert "slots" not in solver.get_params()
    assert repr(clone(solver)) == repr(solver)


@pytest.mark.parametrize("name", BUILT_IN)
def test_arrays_that_do_not_fit(name):
    solver = registry.get(name)
    with pytest.raises(ValueError, match=r"\(4,\) parameters need gradients"):
        solver.step(np.ones(4), np.ones(3), np.zeros((solver.slots, 4)), 0.1, 1, n_weights=4)
    with pytest.raises(ValueError, match="slots of shape"):
        solver.step(np.ones(4), np.ones(4), np.zeros((solver.slots + 1, 4)), 0.1, 1, n_weights=4)


@pytest.mark.parametrize("solver", [Adam(beta_1=1.0), Adam(beta_2=-0.1), AdamW(beta_1=2.0), RMSprop(rho=1.0)])
def test_bad_decay(solver):
    with pytest.raises(ValueError, match="must be at least 0 and below 1"):
        solver.step(np.ones(4), np.ones(4), np.zeros((solver.slots, 4)), 0.1, 1, n_weights=4)


def test_contract_of_the_registry():
    with pytest.raises(TypeError, match="needs a class attribute slots"):
        registry.resolve(object())
