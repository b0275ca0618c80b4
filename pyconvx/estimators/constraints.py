"""Which values of constructor parameters are legal, in scikit-learn's words.

`fit` checks them, never `__init__`. Nothing here knows an estimator: the rules stand beside the parameters, see
`declaration`.
"""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Number
from typing import Any, NamedTuple

import numpy as np

from pyconvx import losses
from pyconvx._core.numbers import require_real
from pyconvx.exceptions import PluginError
from pyconvx.registry import Registry


def _no_hint(value: Any) -> str:
    return ""


class Rule(NamedTuple):
    """What a value must be: a test, its description, and what else somebody who gave a value may have meant."""

    accepts: Callable[[Any], bool]
    text: str
    hint: Callable[[Any], str] = _no_hint


class ByAxes(NamedTuple):
    """One rule for signals and another for images: the parameter ``spatial_dims`` chooses."""

    signals: Rule
    images: Rule

    def rule(self, spatial_dims: int) -> Rule:
        """Return the rule for so many axes."""
        return self.signals if spatial_dims == 1 else self.images


AnyRule = Rule | ByAxes


def _is_int(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, (bool, np.bool_))


def integer(low: int) -> Rule:
    """Accept an int of at least `low`."""
    return Rule(lambda v: _is_int(v) and v >= low, f"an int in the range [{low}, inf)")


def real(low: float, high: float = np.inf, *, above: bool = False) -> Rule:
    """Accept a number from `low` to below `high`; `above` excludes `low` itself."""

    def accepts(value: Any) -> bool:
        try:
            number = require_real("", value)
        except TypeError:
            return False
        return (low < number if above else low <= number) and number < high

    return Rule(accepts, f"a float in the range {'(' if above else '['}{low}, {high})")


def choice(*values: Any) -> Rule:
    """Accept one of some words."""
    text = "a str among {" + ", ".join(repr(v) for v in values) + "}"
    return Rule(lambda v: isinstance(v, str) and v in values, text)


def listed(value: Any) -> list[Any] | None:
    """Return the members of a sequence of any kind, a range or an array too; None for what is none."""
    if isinstance(value, np.ndarray):
        return list(value) if value.ndim == 1 else None
    return list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else None


share = Rule(lambda v: real(0).accepts(v) and v <= 1, "a float in the range [0, 1]")
boolean = Rule(lambda v: isinstance(v, (bool, np.bool_)), "an instance of 'bool'")
nothing = Rule(lambda v: v is None, "None")
endless = Rule(lambda v: isinstance(v, (float, np.floating)) and v == np.inf, "numpy.inf")
verbosity = Rule(lambda v: isinstance(v, (bool, np.bool_)) or (_is_int(v) and v >= 0), "a bool or an int >= 0")
sizes = Rule(
    lambda v: (members := listed(v)) is not None and all(_is_int(i) and i >= 1 for i in members),
    "a sequence of ints in the range [1, inf)",
)
pair = Rule(
    lambda v: (_is_int(v) and v >= 1) or (sizes.accepts(v) and len(v) == 2),
    "an int in the range [1, inf) or a pair of them",
)


def either(*rules: Rule) -> Rule:
    """Accept what any of some rules accepts."""
    return Rule(lambda v: any(r.accepts(v) for r in rules), " or ".join(r.text for r in rules))


def plugin(registry: Registry[Any], *others: str, hint: Callable[[Any], str] = _no_hint) -> Rule:
    """Accept a registered name, an object that keeps the family's contract, or one of some other words.

    An unknown name is a PluginError that lists what there is; the family says what an object lacks.
    """

    def accepts(value: Any) -> bool:
        if isinstance(value, str):
            return value in others or registry.get(value) is not None
        if value is None or isinstance(value, (Number, np.bool_, list, tuple, dict, np.ndarray)):
            return False  # nobody's plugin: which methods it lacks would say little
        return registry.resolve(value) is not None

    return Rule(accepts, f"the name of one of pyconvx.{registry.group.partition('.')[2]}, or such an object", hint)


def loss_for(*kinds: str) -> Rule:
    """Accept a loss, or the name of one, that compares outputs with targets of one of these kinds."""
    family = plugin(losses.registry)

    def accepts(value: Any) -> bool:
        if not family.accepts(value):
            return False
        check_loss(value, kinds)
        return True

    return Rule(accepts, family.text)


def check_loss(loss: Any, kinds: Sequence[str]) -> None:
    """Raise ValueError if a loss compares outputs with targets of no such kind."""
    compared = losses.base.target_kind(losses.registry.resolve(loss))
    if compared not in kinds:
        what = " or ".join(kinds)
        raise ValueError(f"loss={loss!r} compares outputs with {compared}, this estimator predicts {what}")


def check_parameters(estimator: object, values: Mapping[str, Any], rules: Mapping[str, AnyRule]) -> None:
    """Raise ValueError for the first parameter that breaks its rule."""
    for name, stated in rules.items():
        value = values[name]
        rule = stated.rule(values["spatial_dims"]) if isinstance(stated, ByAxes) else stated
        words = f"The {name!r} parameter of {type(estimator).__name__} must be {rule.text}. Got {value!r} instead."
        try:
            accepted = rule.accepts(value)
        except (TypeError, ValueError) as error:
            if isinstance(value, str):
                raise
            kind = PluginError if isinstance(error, PluginError) else ValueError
            raise kind(f"{words} {error}") from error
        if not accepted:
            raise ValueError(f"{words} {rule.hint(value)}".rstrip())
