"""Plugins from a module with ``from __future__ import annotations``: the same checks as for any other."""

import pickle
import sys
import types
from dataclasses import dataclass

import good_plugins
import postponed_plugins
import pytest
from small import fitted, images, weights_of

from pyconvx import testing
from pyconvx._core.fields import field_types
from pyconvx.layers import Conv2D, Layer
from pyconvx.losses import CrossEntropy
from pyconvx.registry import Registry
from pyconvx.registry.families import FAMILIES

X, Y = images()


@pytest.mark.parametrize("family", good_plugins.FAMILIES)
def test_they_train_like_the_same_plugins_elsewhere(family):
    name = good_plugins.FAMILIES[family][0]
    elsewhere = CrossEntropy if family == "losses" else getattr(good_plugins, name)
    one, other = (
        fitted(X, Y, **good_plugins.parameter(family, kind()))
        for kind in (elsewhere, getattr(postponed_plugins, name))
    )
    assert weights_of(one) == weights_of(other)


@pytest.mark.parametrize("family", FAMILIES)
def test_they_pass_their_check(family):
    check = getattr(testing, FAMILIES[family].check_name)
    check(getattr(postponed_plugins, good_plugins.FAMILIES[family][0])())


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"inverse": 1}, TypeError, r"^Scale: inverse must be a bool, got 1$"),
        ({"inverse": "no"}, TypeError, r"^Scale: inverse must be a bool, got 'no'$"),
        ({"start": "1"}, TypeError, r"^Scale: start must be a float, got '1'$"),
        ({"start": True}, TypeError, r"^Scale: start must be a float, got True$"),
        ({"start": float("inf")}, ValueError, r"^Scale: start must be finite, got inf$"),
    ],
)
def test_fields_of_a_layer_are_checked(fields, error, words):
    with pytest.raises(error, match=words):
        postponed_plugins.Scale(**fields)


def test_a_type_that_cannot_be_evaluated_is_passed_over():
    types = field_types(postponed_plugins.Scale)
    assert types == {"start": float, "inverse": bool, "table": "Missing | None"}
    layer = postponed_plugins.Scale(2, table=[1, [2]])
    assert layer.table == (1, (2,))
    assert pickle.loads(pickle.dumps(layer)) == layer


@dataclass(frozen=True)
class Mixed(postponed_plugins.Scale):
    """Its own annotations are evaluated at once or quoted; those that it inherits are postponed."""

    own: bool = False
    quoted: "bool" = False
    float: "float" = 1.0  # a field with the name of its type
    registry: "Registry[Missing] | None" = None  # noqa: F821


@dataclass(frozen=True)
class Plain(Mixed):
    """Declares `inverse` once more, as something else."""

    inverse: int = 0


class Undecorated(Plain):
    """Is not a dataclass itself."""


def test_each_annotation_is_evaluated_where_it_is_declared():
    for kind in (Plain, Undecorated):
        assert field_types(kind) == {
            "start": float, "inverse": int, "table": "Missing | None", "own": bool, "quoted": bool, "float": float,
            "registry": "Registry[Missing] | None",
        }  # fmt: skip
    assert Undecorated(inverse=3).inverse == 3
    for name in ("own", "quoted"):
        with pytest.raises(TypeError, match=f"^Undecorated: {name} must be a bool, got 1$"):
            Undecorated(**{name: 1})
    with pytest.raises(TypeError, match=r"^Mixed: float must be a float, got 'x'$"):
        Mixed(float="x")


def test_a_class_whose_module_is_gone(monkeypatch):
    module = types.ModuleType("short_lived")
    monkeypatch.setitem(sys.modules, "short_lived", module)
    vars(module).update(dataclass=dataclass, Layer=Layer)
    code = "@dataclass(frozen=True)\nclass Made(Layer):\n    flag: 'bool' = False\n    other: 'Unknown' = 3\n"
    exec(code, vars(module))
    monkeypatch.delitem(sys.modules, "short_lived")
    with pytest.raises(TypeError, match=r"^Made: flag must be a bool, got 1$"):
        module.Made(flag=1)


def test_built_in_layers_as_before():
    assert field_types(Conv2D)["bias"] is bool
