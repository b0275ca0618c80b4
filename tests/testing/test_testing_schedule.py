"""check_schedule on schedules that are each wrong in one way."""

import itertools
import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from pyconvx import testing


@dataclass
class Right(BaseEstimator):
    """A correct schedule: ``rate ** (epoch / max_epochs)``."""

    rate: float = 0.5

    uses_max_epochs: ClassVar[bool] = True

    def factor(self, progress):
        return self.rate ** (progress.epoch / progress.max_epochs)


class Array(Right):
    def factor(self, progress):
        return np.array([0.5])


class Text(Right):
    def factor(self, progress):
        return "0.5"


class Nothing(Right):
    def factor(self, progress):
        pass


class ScheduleNaN(Right):
    def factor(self, progress):
        return np.nan if progress.epoch > progress.max_epochs else 1.0


class Infinite(Right):
    def factor(self, progress):
        return float("inf") if progress.step == 0 else 1.0 / progress.step


class Negative(Right):
    def factor(self, progress):
        return 1.0 - progress.epoch / progress.max_epochs


class Zero(Right):
    def factor(self, progress):
        return 0.0


class Table(Right):
    """It has no factor for the time after training."""

    def factor(self, progress):
        return [1.0, 0.5, 0.25][int(2 * progress.epoch / progress.max_epochs)]


class Short(Right):
    """It divides by 0 in a training of one epoch."""

    def factor(self, progress):
        return 1 / (progress.max_epochs - 1)


class Noisy(Right):
    def factor(self, progress):
        return random.random() + 0.1


class Remembers(Right):
    """It falls at each call."""

    def __init__(self, rate=0.5):
        self.rate = rate
        self.calls = itertools.count()

    def factor(self, progress):
        return self.rate ** next(self.calls)

    def __reduce__(self):
        return type(self), (self.rate,)


class Writes(Right):
    def factor(self, progress):
        object.__setattr__(progress, "stalls", 0)
        return 1.0


class Unpickled(Right):
    """Its pickle loses the parameter."""

    def __getstate__(self):
        return {"rate": 1.0}


class Uncloned(Right):
    """It has a second number that is not a parameter."""

    def __init__(self, rate=0.5):
        self.rate, self.scale = rate, 2.0

    def factor(self, progress):
        return self.scale * self.rate

    def half(self):
        self.scale = 1.0
        return self


class ScheduleLambda(Right):
    def __reduce__(self):
        return (lambda: None), ()


class ScheduleParameters(Right):
    def factor(self, epoch, step):
        return 1.0


class Undeclared(Right):
    uses_max_epochs: ClassVar[bool] = False


class Declared(Right):
    uses_max_epochs = "yes"


class Plain:
    """A correct schedule that does not subclass BaseEstimator."""

    def factor(self, progress):
        return np.float32(0.5)


@pytest.mark.parametrize("right", [Right(), Right, Right(0.9), Plain(), "cosine"])
def test_right_schedule(right):
    testing.check_schedule(right)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (Array, r"factor of Progress\(step=0, .*\) returned ndarray, not a number"),
        (Text, "returned str, not a number: '0.5'"),
        (Nothing, "returned NoneType, not a number: None"),
        (ScheduleNaN, r"factor of Progress\(.*epoch=1.52, max_epochs=1.* is nan"),
        (Infinite, r"factor of Progress\(step=0, .* is inf"),
        (Negative, r"is negative, -0\.52: training would climb"),
        (Zero, "gives the factor 0 throughout"),
        (Table, "raised IndexError: list index out of range"),
        (Short, r"factor of Progress\(.*max_epochs=1, .* raised ZeroDivisionError"),
        (Noisy, "later, in another order"),
        (Remembers, "later, in another order"),
        (Writes, "factor changes the progress"),
        (Unpickled, "from a pickled copy"),
        (ScheduleLambda, "cannot be pickled"),
        (Undeclared, "needs a class attribute uses_max_epochs = True"),
        (Declared, "uses_max_epochs='yes', expected True or False"),
        (ScheduleParameters, r"has factor\(epoch, step\), expected factor\(progress\)"),
    ],
)
def test_wrong_schedule(wrong, reason):
    with pytest.raises(AssertionError, match=f"(?s)schedule .*{wrong.__name__}.*: .*{reason}"):
        testing.check_schedule(wrong())


def test_what_clone_loses():
    testing.check_schedule(Uncloned())
    with pytest.raises(AssertionError, match=r"gives 0\.5 for Progress\(step=0, .*, and 1\.0 from a clone"):
        testing.check_schedule(Uncloned().half())


@dataclass
class Altered(Right):
    """Its constructor alters a parameter."""

    def __post_init__(self):
        self.rate = float(self.rate) + 0.0


def test_parameters_that_clone_refuses():
    with pytest.raises(AssertionError, match=r"sklearn.base.clone raised RuntimeError"):
        testing.check_schedule(Altered(rate=np.float64(0.5)))
