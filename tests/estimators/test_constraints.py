"""The rules of parameters by themselves: what each accepts, from both sides of its limits, and its words."""

import numpy as np
import pytest
from small import quick

from pyconvx import CNNClassifier, PluginError, solvers
from pyconvx.estimators import constraints as rule
from pyconvx.estimators.declaration import rules_of
from pyconvx.losses import Huber
from pyconvx.solvers import Adam

RULES = rules_of(CNNClassifier)


def test_integers():
    three = rule.integer(3)
    assert three.text == "an int in the range [3, inf)"
    assert [three.accepts(v) for v in (2, 3, 4, np.int8(3))] == [False, True, True, True]
    assert not any(three.accepts(v) for v in (True, np.True_, 3.0, "3", None, [3]))


@pytest.mark.parametrize(
    ("above", "text"), [(False, "a float in the range [1, 3)"), (True, "a float in the range (1, 3)")]
)
def test_numbers(above, text):
    found = rule.real(1, 3, above=above)
    assert found.text == text
    assert [found.accepts(v) for v in (0.9, 1, 1.0, 1.1, 2.9, 3, 3.1)] == [
        False,
        not above,
        not above,
        True,
        True,
        False,
        False,
    ]
    assert all(found.accepts(v) for v in (2, np.float32(2), np.int64(2)))
    assert not any(found.accepts(v) for v in (True, np.True_, "2", None, np.nan, 2j, [2]))


def test_numbers_without_end():
    found = rule.real(0)
    assert found.text == "a float in the range [0, inf)"
    assert found.accepts(0)
    assert found.accepts(1e300)
    assert not found.accepts(np.inf)


def test_choices():
    found = rule.choice("a", "b")
    assert found.text == "a str among {'a', 'b'}"
    assert [found.accepts(v) for v in ("a", "b", "c", None, 3, ["a"])] == [True, True, False, False, False, False]


def test_switches_sizes_and_pairs():
    assert [rule.boolean.accepts(v) for v in (True, np.False_, 1, None)] == [True, True, False, False]
    assert [rule.nothing.accepts(v) for v in (None, False, 0)] == [True, False, False]
    assert [rule.verbosity.accepts(v) for v in (False, np.True_, 0, 3, -1, 1.0)] == [
        True,
        True,
        True,
        True,
        False,
        False,
    ]
    sizes = ((), (1,), [2, 3], np.array([1, 2]), (0,), (1, -1), (1.0,), (True,), 3, "12")
    assert [rule.sizes.accepts(v) for v in sizes] == [True] * 4 + [False] * 6
    pairs = (
        1,
        np.int64(2),
        (1, 2),
        [3, 4],
        np.array([1, 2]),
        range(1, 3),
        0,
        True,
        (1,),
        (1, 2, 3),
        (0, 1),
        (1, 0),
        None,
    )
    assert [rule.pair.accepts(v) for v in pairs] == [True] * 6 + [False] * 7


def test_either():
    found = rule.either(rule.integer(1), rule.nothing, rule.choice("auto"))
    assert found.text == "an int in the range [1, inf) or None or a str among {'auto'}"
    assert [found.accepts(v) for v in (1, None, "auto", 0, "other")] == [True, True, True, False, False]


def test_plugins():
    found = rule.plugin(solvers.registry, "auto")
    assert found.text == "the name of one of pyconvx.solvers, or such an object"
    assert all(found.accepts(v) for v in ("auto", "sgd", Adam(), Adam))
    with pytest.raises(PluginError, match="unknown solver 'none'"):
        found.accepts("none")
    with pytest.raises(TypeError, match="needs a class attribute slots"):
        found.accepts(object())
    assert not any(found.accepts(v) for v in (3, None, 0.1, np.True_, [], ("sgd",), {}, np.zeros(2)))


def raises(error):
    def accepts(value):
        raise error

    return rule.Rule(accepts, "right")


def test_the_first_broken_rule_is_reported():
    rules = {"a": rule.integer(1), "b": rule.integer(2), "c": rule.integer(3)}
    rule.check_parameters(quick(), {"a": 1, "b": 2, "c": 3, "d": None}, rules)
    with pytest.raises(
        ValueError, match=r"^The 'b' parameter of CNNClassifier must be an int .* Got 1 instead\.$"
    ):
        rule.check_parameters(quick(), {"a": 1, "b": 1, "c": 0}, rules)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(TypeError("why"), ValueError), (ValueError("why"), ValueError), (PluginError("why"), PluginError)],
)
def test_what_a_rule_raises(error, kind):
    words = r"^The 'a' parameter of CNNClassifier must be right\. Got 3 instead\. why$"
    with pytest.raises(ValueError, match=words) as caught:
        rule.check_parameters(quick(), {"a": 3}, {"a": raises(error)})
    assert type(caught.value) is kind
    assert caught.value.__cause__ is error
    with pytest.raises(type(error), match=r"^why$"):
        rule.check_parameters(quick(), {"a": "a name"}, {"a": raises(error)})


def test_paddings_and_precisions():
    padding, dtype = RULES["padding"].images, RULES["dtype"]
    good = ("same", "valid", 0, 2, (1, 2), ((1, 2), (0, 3)))
    bad = ("full", -1, 1.5, None, (1,), (1, 2, 3), ((1, 2), 3))
    assert [padding.accepts(value) for value in (*good, *bad)] == [True] * len(good) + [False] * len(bad)
    good = (None, "float32", "float64", np.float32, np.dtype(np.float64), float, "f4")
    bad = ("float16", "no such type", int, 3, np.float64(4), [], np.dtype(np.int64), object, "i4")
    assert [dtype.accepts(value) for value in (*good, *bad)] == [True] * len(good) + [False] * len(bad)


def test_names_of_scorers():
    scoring = RULES["scoring"]
    good = (None, "loss", "accuracy", "neg_log_loss", len)
    bad = ("", "Loss", "acuracy", 3, True, ["accuracy"])
    assert [scoring.accepts(value) for value in (*good, *bad)] == [True] * len(good) + [False] * len(bad)


def test_rules_by_axes():
    rules = {"a": rule.ByAxes(signals=rule.integer(1), images=rule.pair)}
    rule.check_parameters(quick(), {"a": (2, 3), "spatial_dims": 2}, rules)
    rule.check_parameters(quick(), {"a": 2, "spatial_dims": 1}, rules)
    with pytest.raises(
        ValueError, match=r"^The 'a' parameter .* must be an int in the range \[1, inf\)\. Got \(2, 3\)"
    ):
        rule.check_parameters(quick(), {"a": (2, 3), "spatial_dims": 1}, rules)


def test_shapes_and_windows_of_signals_and_images():
    shape, window, padding = RULES["image_shape"], RULES["kernel_size"], RULES["padding"]
    shapes = (None, (4,), [4, 2], (4, 5, 3), (0,), 4, "4", (4.0,))
    assert [shape.signals.accepts(v) for v in shapes] == [True, True, True] + [False] * 5
    assert [shape.images.accepts(v) for v in shapes] == [True, False, True, True] + [False] * 4
    windows = (3, (3, 2), (3,), 0, "3")
    assert [window.signals.accepts(v) for v in windows] == [True] + [False] * 4
    assert [window.images.accepts(v) for v in windows] == [True, True] + [False] * 3
    good, bad = (
        ("same", "valid", 0, 2, (1, 2), [0, 1], (1,)),
        ("full", -1, 1.5, None, (), (1, 2, 3), ((1, 2), (0, 3))),
    )
    assert [padding.signals.accepts(v) for v in (*good, *bad)] == [True] * len(good) + [False] * len(bad)


def test_losses_of_one_kind_of_targets():
    classes, values = rule.loss_for("classes"), rule.loss_for("values")
    assert classes.accepts("cross_entropy")
    assert all(values.accepts(loss) for loss in ("huber", "squared_error", Huber(2.0), Huber))
    with pytest.raises(
        ValueError, match="loss='huber' compares outputs with values, this estimator predicts classes"
    ):
        classes.accepts("huber")
    with pytest.raises(PluginError, match="unknown loss 'none'"):
        values.accepts("none")
    with pytest.raises(TypeError, match="value_and_gradient"):
        values.accepts(object())
    assert not values.accepts(3)
