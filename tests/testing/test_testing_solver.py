"""check_solver on solvers that are each wrong in one way."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from pyconvx import testing
from pyconvx.solvers import SGD

Array = Any


class Descent(BaseEstimator):
    """A correct solver: p -= rate g."""

    slots: ClassVar[int] = 0

    def step(
        self, parameters: Array, gradients: Array, slots: Array, learning_rate: float, t: int, *,
        n_weights: int, n_threads: int = 1,
    ) -> None:  # fmt: skip
        parameters -= learning_rate * gradients


class Ascent(Descent):
    def step(self, parameters, gradients, slots, learning_rate, t, *, n_weights, n_threads=1):
        parameters += learning_rate * gradients


class Still(Descent):
    def step(self, parameters, gradients, slots, learning_rate, t, *, n_weights, n_threads=1):
        parameters = parameters - learning_rate * gradients


class WritesGradients(Descent):
    def step(self, parameters, gradients, slots, learning_rate, t, *, n_weights, n_threads=1):
        gradients *= learning_rate
        parameters -= gradients


class SolverNaN(Descent):
    def step(self, parameters, gradients, slots, learning_rate, t, *, n_weights, n_threads=1):
        parameters -= np.float32(learning_rate) * (gradients if t < 3 else np.nan * gradients)


class Noisy(Descent):
    def step(self, parameters, gradients, slots, learning_rate, t, *, n_weights, n_threads=1):
        parameters -= learning_rate * gradients * np.random.default_rng().uniform(size=parameters.shape)


class Remembers(Descent):
    def step(self, parameters, gradients, slots, learning_rate, t, *, n_weights, n_threads=1):
        last = 0 if t == 1 else getattr(self, "last", 0)
        self.last = gradients.copy()
        parameters -= learning_rate * (gradients + last)


class ThreadsMatter(Descent):
    def step(self, parameters, gradients, slots, learning_rate, t, *, n_weights, n_threads=1):
        parameters -= learning_rate * gradients * (1 + 1e-3 * n_threads)


class DecaysAll(Descent):
    def step(self, parameters, gradients, slots, learning_rate, t, *, n_weights, n_threads=1):
        parameters *= 1 - 0.01 * learning_rate
        parameters -= learning_rate * gradients


class Grows(Descent):
    def step(self, parameters, gradients, slots, learning_rate, t, *, n_weights, n_threads=1):
        parameters[:n_weights] *= 1 + 0.01 * learning_rate
        parameters -= learning_rate * gradients


@dataclass
class NotCloned(SGD):
    def __post_init__(self) -> None:
        self.momentum = float(self.momentum) + 0.0


class SolverParameters(Descent):
    def step(self, parameters, gradients):
        parameters -= gradients


class NoSlots(Descent):
    slots: ClassVar[Any] = None


class SolverLambda(Descent):
    def __reduce__(self):
        return (lambda: None), ()


def test_right_solver():
    testing.check_solver(Descent())


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (Ascent, "does not reduce a quadratic"),
        (Still, "leaves the parameters as they are"),
        (WritesGradients, "writes its gradients"),
        (SolverNaN, "step 3 leaves NaN"),
        (Noisy, "a second run gives other numbers"),
        (Remembers, "remembers something outside its slots"),
        (ThreadsMatter, "two threads give other numbers"),
        (DecaysAll, "moves biases and norms"),
        (Grows, "makes weights grow"),
        (SolverParameters, r"has step\(parameters, gradients\), expected step\(parameters, gradients, slots"),
        (NoSlots, "needs a class attribute slots"),
        (SolverLambda, "cannot be pickled"),
    ],
)
def test_wrong_solver(wrong, reason):
    with pytest.raises(AssertionError, match=f"(?s)solver .*{wrong.__name__}.*: .*{reason}"):
        testing.check_solver(wrong())


def test_parameters_that_clone_loses():
    with pytest.raises(AssertionError, match=r"sklearn.base.clone raised RuntimeError"):
        testing.check_solver(NotCloned(momentum=np.float64(0.5)))
