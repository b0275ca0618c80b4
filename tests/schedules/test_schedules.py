"""Schedules compared with scikit-learn's MLP and with closed formulas."""

import math
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from pyconvx.schedules import (
    Adaptive,
    Constant,
    Cosine,
    Exponential,
    InvScaling,
    OneCycle,
    Progress,
    Step,
    registry,
)

BUILT_IN = tuple(row.name for row in registry.listing() if row.status == "built-in")


def at(epoch: float, max_epochs: int = 10) -> Progress:
    return Progress(step=int(100 * epoch), epoch=epoch, max_epochs=max_epochs)


@pytest.mark.parametrize("power_t", [0.5, 1.0, 0.3])
def test_invscaling_is_scikit_learns(power_t):
    optimizer = SGDOptimizer([np.zeros(1)], learning_rate_init=0.2, lr_schedule="invscaling", power_t=power_t)
    for epoch in range(4):
        factor = InvScaling(power_t).factor(Progress(samples_seen=50 * epoch))
        assert 0.2 * factor == pytest.approx(optimizer.learning_rate, rel=1e-14)
        optimizer.iteration_ends(50 * (epoch + 1))


def test_adaptive_is_scikit_learns():
    optimizer = SGDOptimizer([np.zeros(1)], learning_rate_init=0.2, lr_schedule="adaptive")
    for stalls in range(5):
        factor = Adaptive().factor(Progress(stalls=stalls))
        assert 0.2 * factor == pytest.approx(optimizer.learning_rate, rel=1e-14)
        assert not optimizer.trigger_stopping("", verbose=False)


def test_constant():
    assert {Constant().factor(at(e)) for e in (0, 0.5, 9.9)} == {1.0}


def test_step():
    found = [Step(every=3, rate=0.5).factor(at(e)) for e in (0, 2.99, 3, 5.9, 6, 9.5)]
    assert found == [1, 1, 0.5, 0.5, 0.25, 0.125]
    with pytest.raises(ValueError, match="every must be above 0, got 0"):
        Step(every=0).factor(at(1))


def test_exponential():
    assert Exponential(0.9).factor(at(0)) == 1
    assert Exponential(0.9).factor(at(2.5)) == pytest.approx(0.9**2.5)


def test_cosine():
    plain = Cosine()
    assert [plain.factor(at(e)) for e in (0, 5, 10, 12)] == pytest.approx([1, 0.5, 0, 0])
    assert plain.factor(at(2.5)) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert Cosine(floor=0.2).factor(at(10)) == pytest.approx(0.2)
    assert Cosine(floor=0.2).factor(at(5)) == pytest.approx(0.6)


def test_cosine_warm_up():
    schedule = Cosine(warm_up=2, floor=0.1)
    assert [schedule.factor(at(e)) for e in (0, 0.5, 1, 2, 6, 10)] == pytest.approx([0, 0.25, 0.5, 1, 0.55, 0.1])
    assert Cosine(warm_up=10).factor(at(5)) == pytest.approx(0.5)
    assert Cosine(warm_up=10).factor(at(10)) == 0


def test_one_cycle():
    schedule = OneCycle(rise=0.25, start=0.1, end=0.01)
    assert schedule.factor(at(0)) == pytest.approx(0.1)
    assert schedule.factor(at(1.25)) == pytest.approx(0.55)
    assert schedule.factor(at(2.5)) == pytest.approx(1)
    assert schedule.factor(at(6.25)) == pytest.approx(0.505)
    assert schedule.factor(at(10)) == pytest.approx(0.01)
    assert schedule.factor(at(11)) == pytest.approx(0.01)
    rising = [schedule.factor(at(e)) for e in np.linspace(0, 2.5, 20)]
    falling = [schedule.factor(at(e)) for e in np.linspace(2.5, 10, 20)]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert OneCycle(rise=1.0).factor(at(10)) == pytest.approx(4e-6)
    assert OneCycle(rise=0.0).factor(at(0)) == 1


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_schedule_is_a_finite_function_and_a_value(name):
    schedule = registry.get(name)
    points = [Progress(7 * i, i / 3, 10, 60 * i, i // 10) for i in range(31)]
    factors = [schedule.factor(p) for p in points]
    assert all(isinstance(f, float) and 0 <= f <= 1 for f in factors)
    assert [pickle.loads(pickle.dumps(schedule)).factor(p) for p in points] == factors
    assert clone(schedule).get_params() == schedule.get_params()


def test_contract_of_the_registry():
    with pytest.raises(TypeError, match=r"has no method factor\(progress\)"):
        registry.resolve(object())
