"""The check of schedules: pure functions of the progress, with finite factors that are not negative."""

import math
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

from sklearn.base import clone

from pyconvx.schedules import Progress, registry, uses_max_epochs
from pyconvx.testing._common import call, check_pickle, expect, subject

__all__ = ["check_schedule"]

STEPS = 25  # of an epoch
SAMPLES = 800


def check_schedule(plugin: object) -> None:
    """Check that a schedule keeps its contract.

    Parameters
    ----------
    plugin : str or object
        A registered name, a schedule, or a class of them that needs no arguments.

    Raises
    ------
    AssertionError
        If a factor is not a number, NaN, infinite or negative, at the start, in the middle or after the end
        of trainings of one to a thousand epochs; if all factors are 0; if it raises, changes the progress,
        or gives another factor for the same progress when asked again, in another order, from a pickled
        copy or from a clone; if it depends on ``max_epochs`` without saying so (``uses_max_epochs = True``); if
        scikit-learn's `clone` loses its parameters, or it cannot be pickled.
    PluginError
        For a name that cannot be looked up.
    """
    schedule, who = subject(registry, plugin)
    copy = check_pickle(schedule, who)
    cloned = call(who, "sklearn.base.clone", clone, schedule, safe=False)
    points = _points()
    first = _factors(schedule, who, points)
    expect(max(first) > 0, who, "gives the factor 0 throughout: nothing would be learned")
    backwards = _factors(schedule, who, points[::-1])[::-1]
    for what, again in (
        ("later, in another order", backwards),
        ("from a pickled copy", _factors(copy, who, points)),
        ("from a clone", _factors(cloned, who, points)),
    ):
        for point, one, other in zip(points, first, again, strict=True):
            expect(one == other, who, f"gives {one!r} for {point}, and {other!r} {what}")
    if not uses_max_epochs(schedule):
        _check_without_plan(schedule, who, points)


def _check_without_plan(schedule: Any, who: str, points: Sequence[Progress]) -> None:
    """Check that factors are the same in longer trainings: estimators go on after max_epochs then."""
    for point in points:
        longer = replace(point, max_epochs=2 * point.max_epochs)
        one, other = _factor(schedule, who, point), _factor(schedule, who, longer)
        expect(
            one == other, who,
            f"gives {one!r} for {point}, and {other!r} if max_epochs is {longer.max_epochs}: a schedule that "
            "depends on it needs a class attribute uses_max_epochs = True",
        )  # fmt: skip


def _points() -> list[Progress]:
    """Return stages of short and long trainings: starts, steps within epochs, ends, and what may follow them."""
    points = []
    for max_epochs in (1, 2, 10, 1000):
        for part in (0.0, 0.01, 0.25, 0.5, 0.99, 1.0, 1.5, 3.0):
            step = round(part * max_epochs * STEPS)
            epoch = step / STEPS
            seen, stalls = SAMPLES * math.floor(epoch), math.floor(epoch / 20)
            points.append(Progress(step, epoch, max_epochs, seen, stalls))
    return points


def _factor(schedule: Any, who: str, point: Progress) -> float:
    """Return one factor after its checks; the schedule must not change the progress."""
    given = Progress(**vars(point))
    factor = call(who, f"factor of {point}", schedule.factor, given)
    expect(given == point, who, f"factor changes the progress that it is given, {point}")
    number = isinstance(factor, Real)
    expect(number, who, f"factor of {point} returned {type(factor).__name__}, not a number: {factor!r}")
    expect(math.isfinite(factor), who, f"factor of {point} is {factor!r}")
    expect(factor >= 0, who, f"factor of {point} is negative, {factor!r}: training would climb")
    return float(factor)


def _factors(schedule: Any, who: str, points: Sequence[Progress]) -> list[float]:
    """Return the factors of several stages, in their order."""
    return [_factor(schedule, who, point) for point in points]
