"""Declared parameters: the constructor, the rules and the docstring that are made of them, and inheritance."""

import inspect

import pytest
from sklearn.base import BaseEstimator, clone

from pyconvx import CNNClassifier, CNNRegressor, ImageScaler
from pyconvx.estimators import constraints as rule
from pyconvx.estimators.declaration import estimator, parameter, rules_of


@estimator
class Base(BaseEstimator):
    """Is a base.

    Parameters
    ----------
    {parameters}
    """

    size: int = parameter(default=3, rule=rule.integer(1), kind="int", text="How large.")
    name: str = parameter(default="a", rule=None, kind="str", text="What it is called.", kw_only=False)


class Between(Base):
    """Declares nothing."""


@estimator
class Child(Between):
    """Adds a parameter, and changes one."""

    size: int = parameter(default=4, rule=rule.integer(2), kind="int", text="How large.")
    other: bool = parameter(default=True, rule=rule.boolean, kind="bool", text="Whether there is another.")


def test_the_constructor_assigns_what_is_declared():
    assert str(inspect.signature(Base)) == "(name: str = 'a', *, size: int = 3) -> None"
    value = [1]
    made = Base(value, size=value)
    assert made.name is made.size is value  # anything: fit checks it
    assert vars(Base()) == Base().get_params() == {"name": "a", "size": 3}
    with pytest.raises(TypeError):
        Base("a", 3)
    with pytest.raises(TypeError, match="wrong"):
        Base(wrong=1)


def test_parameters_are_inherited():
    assert Between(size=5).get_params() == {"name": "a", "size": 5}
    assert Child().get_params() == {"name": "a", "size": 4, "other": True}
    assert clone(Child("b", other=False)).get_params() == {"name": "b", "size": 4, "other": False}
    assert repr(Child("b")) == "Child(name='b')"
    assert Child() != Child()


def test_rules():
    assert list(rules_of(Base)) == ["size"]
    assert list(rules_of(Child())) == ["size", "other"]
    assert [rules_of(kind)["size"].accepts(1) for kind in (Base, Between, Child)] == [True, True, False]


def test_the_docstring():
    described = inspect.cleandoc(Base.__doc__).partition("----------\n")[2]
    assert described.strip() == (
        'name : str, default="a"\n    What it is called.\nsize : int, default=3\n    How large.'
    )
    assert Child.__doc__ == "Adds a parameter, and changes one."


@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor, ImageScaler])
def test_every_parameter_of_an_estimator_is_described_once_and_has_a_rule(kind):
    names = list(inspect.signature(kind).parameters)
    for name in names:
        assert kind.__doc__.count(f"\n    {name} : ") == 1
    assert "{parameters}" not in kind.__doc__
    assert rules_of(kind).keys() == set(names) - {"n_jobs"}  # which the threads check
    for name, checked in rules_of(kind).items():
        default = kind().get_params()[name]
        by_axes = [checked.rule(n) for n in (1, 2)] if isinstance(checked, rule.ByAxes) else [checked]
        assert all(one.accepts(default) for one in by_axes)
