"""Plugins that break their contract while a classifier uses them: the error, and the classifier after it."""

import functools
import itertools

import numpy as np
import pytest
from good_plugins import Descent, Entropy, Halving, Scale, Tanh, Uniform
from small import fitted, images, quick, weights_of

from pyconvx import DivergenceError, PluginError
from pyconvx.layers import Activation, Conv2D, MaxPool2D, ParameterSpec

X, Y = images(dtype=np.float32)
BATCH = {"batch_size": 10, "max_iter": 3}  # three steps an epoch
SECOND_EPOCH = 4  # calls before the one in the middle of the second epoch


def spoiled(good, method, fault, at):
    """Return a subclass of a good plugin that replaces the result of call number `at` by that of `fault`."""
    original, numbers = getattr(good, method), itertools.count()

    @functools.wraps(original)
    def bad(self, *arguments, **keywords):
        result = original(self, *arguments, **keywords)
        return fault(result, *arguments) if next(numbers) == at else result

    return type("Spoiled", (good,), {method: bad, "__module__": __name__})()


def stack(layer):
    """Return layers with this one in the middle."""
    return {"layers": [Conv2D(4, padding="same"), layer, MaxPool2D(2)]}


def raises(error):
    def fault(result, *arguments):
        raise error

    return fault


def nan(array, *_):
    return np.full_like(array, np.nan)


def writes(place, name=None):
    """Return a fault that writes an argument, or an array in it."""

    def fault(result, *arguments):
        array = arguments[place] if name is None else arguments[place][name]
        array[...] = 0
        return result

    return fault


def of_array(shape, short):
    """Return faults of a call whose result must be a float32 array, and the message for each."""
    expected = rf"expected an array of shape \({shape}\), float32"
    return {
        "shape": (lambda y, *_: y[..., :-1], rf"returned an array of shape \({short}\), float32, {expected}"),
        "float64": (lambda y, *_: y.astype(np.float64), rf"an array of shape \({shape}\), float64, {expected}"),
        "int": (lambda y, *_: y.astype(np.int64), rf"an array of shape \({shape}\), int64, {expected}"),
        "object": (lambda y, *_: y.astype(object), rf"an array of shape \({shape}\), object, {expected}"),
        "list": (lambda y, *_: y.tolist(), rf"returned \[\[.*, {expected}"),
        "nothing": (lambda *_: None, f"returned None, {expected}"),
        "NaN": (nan, "made NaN or infinity of finite numbers"),
        "infinity": (lambda y, *_: y / np.float32(0), "made NaN or infinity of finite numbers"),
    }


RAISES = {
    "raises": (raises(RuntimeError("boom")), "raised RuntimeError: boom"),
    "Ctrl-C": (raises(KeyboardInterrupt), ""),
    "exits": (raises(SystemExit), ""),
    "no memory": (raises(MemoryError), ""),
}
NUMBER = {
    "nothing": (lambda *_: None, "returned None, expected a number"),
    "text": (lambda *_: "1", "returned '1', expected a number"),
    "complex": (lambda *_: 1j, "returned 1j, expected a number"),
    "array": (lambda *_: np.ones(1), r"returned an array of shape \(1,\), float64, expected a number"),
    "NaN": (lambda *_: np.nan, "made NaN or infinity of finite numbers"),
    "infinity": (lambda *_: np.float32(np.inf), "made NaN or infinity of finite numbers"),
}
MAP = of_array("10, 6, 6, 4", "10, 6, 6, 3")
READ_ONLY = "raised ValueError: assignment destination is read-only"
LAYER_FORWARD = {
    **{name: (lambda found, *a, f=f: (f(found[0], *a), found[1]), words) for name, (f, words) in MAP.items()},
    "no cache": (lambda found, *_: found[0], "expected an array and what backward needs"),
    "three": (lambda found, *_: (*found, 1), "expected an array and what backward needs"),
    "writes x": (writes(0), READ_ONLY),
    "writes a parameter": (writes(1, "factor"), READ_ONLY),
}  # fmt: skip


def gradient_of_nan(dx, dy, cache, params, grads, context):
    grads["factor"][...] = np.nan
    return dx


def moved_to_nan(found, parameters, *_):
    parameters[0] = np.nan


def slot_of_nan(found, parameters, gradients, slots, *_):
    slots[0, 0] = np.nan


# family, method -> the plugin, what a message calls its place, faults
USES = {
    "activation.forward": (Tanh, "activation_1", RAISES | MAP | {"writes x": (writes(0), READ_ONLY)}),
    "activation.backward": (
        Tanh, "activation_1",
        RAISES | MAP | {f"writes {name}": (writes(i), READ_ONLY) for i, name in enumerate(("dy", "x", "y"))},
    ),
    "layer.forward": (Scale, "spoiled_1", RAISES | LAYER_FORWARD),
    "layer.backward": (
        Scale, "spoiled_1",
        RAISES | MAP | {
            "writes dy": (writes(0), READ_ONLY),
            "writes a parameter": (writes(2, "factor"), READ_ONLY),
            "gradient": (gradient_of_nan, r"\(the gradient of factor\) made NaN"),
        },
    ),
    "loss.value_and_gradient": (
        Entropy, "",
        RAISES | NUMBER | {
            "writes logits": (writes(0), READ_ONLY),
            "writes targets": (writes(1), READ_ONLY),
            "writes weights": (writes(2), READ_ONLY),
            "gradient": (lambda value, *a: a[3].fill(np.inf) or value, r"\(the gradient\) made NaN or infinity"),
        },
    ),
    "solver.step": (
        Descent, "",
        RAISES | {
            "returns": (lambda found, parameters, *_: parameters, "expected None: it changes the param"),
            "NaN": (moved_to_nan, "step made NaN"),
            "NaN in slots": (slot_of_nan, r"step \(its slots\) made NaN"),
            "writes gradients": (writes(1), READ_ONLY),
        },
    ),
    "schedule.factor": (Halving, "", RAISES | NUMBER),
}  # fmt: skip
CASES = [(use, fault) for use, (_, _, faults) in USES.items() for fault in faults]


def parameters(use, plugin):
    family = use.partition(".")[0]
    if family in ("activation", "layer"):
        return stack(Activation(plugin) if family == "activation" else plugin)
    return {{"schedule": "learning_rate"}.get(family, family): plugin}


def expect(error, use, place, words, caught):
    """Check the error: its class, and family, class, place and method of the plugin in its message."""
    family, _, method = use.partition(".")
    wanted = DivergenceError if "NaN" in words else PluginError
    if words == "":
        assert type(error) in (KeyboardInterrupt, SystemExit, MemoryError)
        return
    assert type(error) is wanted
    at = f" at '{place}'" if place else ""
    assert str(error).startswith(f"{family} test_plugin_use:Spoiled{at}: {method}")
    caught.match(words)
    if " raised " in f" {words}":
        assert type(error.__cause__).__name__ in words


@pytest.mark.parametrize(("use", "fault"), CASES)
def test_a_fault_in_the_middle_of_an_epoch(use, fault):
    good, place, faults = USES[use]
    spoil, words = faults[fault]
    data = X.copy()
    clf = quick(**BATCH, **parameters(use, spoiled(good, use.partition(".")[2], spoil, SECOND_EPOCH)))
    with np.errstate(divide="ignore", invalid="ignore"), pytest.raises(BaseException, match=r".*") as caught:
        fitted(data, Y, clf=clf)
    expect(caught.value, use, place, words, caught)
    assert data.tobytes() == X.tobytes()
    whole = fitted(X, Y, **BATCH | {"max_iter": 1}, **parameters(use, good()))
    assert weights_of(clf) == weights_of(whole)
    assert (clf.n_iter_, clf.t_, clf.loss_curve_) == (1, len(X), whole.loss_curve_)
    np.testing.assert_array_equal(clf.predict_proba(X), whole.predict_proba(X))
    # and training continues as after a normal fit
    assert weights_of(clf.partial_fit(X, Y)) == weights_of(whole.partial_fit(X, Y))


def in_float64(faults):
    """Return the same faults for a call whose result must be float64."""
    known = {name: (fault, words.replace("float32", "float64")) for name, (fault, words) in faults.items()}
    del known["float64"]
    return known | {"float32": (lambda y, *_: y.astype(np.float32), "shape .*, float32, expected .*, float64")}


STARTS = RAISES | in_float64(of_array("36, 8", "36, 7"))


@pytest.mark.parametrize("fault", STARTS)
def test_an_initializer_s_fault_leaves_the_classifier_unfitted(fault):
    spoil, words = STARTS[fault]
    clf = quick(filters=(1,), kernel_size=6, pool_size=1, initializer=spoiled(Uniform, "__call__", spoil, 1))
    before = dict(vars(clf))
    with np.errstate(divide="ignore"), pytest.raises(BaseException, match=r".*") as caught:
        clf.fit(X, Y)
    assert vars(clf) == before
    expect(caught.value, "initializer.it", "dense_1.weights", words, caught)
    fitted(X, Y, clf=clf)  # the fault was in one call only


ANNOUNCED = {
    "list": ("output_shape", lambda shape, *_: list(shape), r"returned \[6, 6, 4\], expected a tuple of ints"),
    "nothing": ("output_shape", lambda *_: None, "returned None, expected a tuple of ints"),
    "floats": ("output_shape", lambda *_: (6.0, 6, 4), r"returned \(6.0, 6, 4\), expected a tuple of ints"),
    "empty map": ("output_shape", lambda *_: (0, 6, 4), r"returned \(0, 6, 4\), .* ints of at least 1"),
    "raises": ("output_shape", raises(RuntimeError("boom")), "output_shape raised RuntimeError: boom"),
    "does not fit": ("output_shape", raises(ValueError("no")), "layer 1, .* cannot take input of shape .*: no"),
    "no dict": ("parameters", lambda *_: None, "parameters returned None, expected a dict"),
    "no names": ("parameters", lambda *_: {3: ParameterSpec((4,))}, "returned {3: .*, expected a dict of names"),
    "no specs": ("parameters", lambda *_: {"factor": (4,)}, r"returned \(4,\), .*a ParameterSpec .* 'factor'"),
    "no size": ("parameters", lambda *_: {"factor": ParameterSpec((0,))}, "expected .*of positive sizes"),
    "kind": ("parameters", lambda *_: {"factor": ParameterSpec((4,), kind="big")}, "expected .*a kind of"),
    "raises in parameters": ("parameters", raises(ValueError("boom")), "parameters raised ValueError: boom"),
}  # fmt: skip


@pytest.mark.parametrize("fault", ANNOUNCED)
def test_a_layer_that_announces_nonsense(fault):
    method, spoil, words = ANNOUNCED[fault]
    layer = spoiled(Scale, method, spoil, 0)
    clf = quick(**stack(layer))
    before = dict(vars(clf))
    with pytest.raises(ValueError, match=words) as caught:
        clf.fit(X, Y)
    assert (type(caught.value) is PluginError) == (fault != "does not fit")
    assert fault == "does not fit" or caught.match("layer test_plugin_use:Spoiled")
    assert vars(clf) == before


def test_a_layer_whose_map_is_not_the_announced_one():
    layer = spoiled(Scale, "forward", lambda found, *_: (found[0][:, :3].copy(), found[1]), 0)
    with pytest.raises(
        PluginError, match=r"returned an array of shape \(30, 3, 6, 4\), .*expected .*\(30, 6, 6, 4\)"
    ):
        quick(**stack(layer)).fit(X, Y)


def test_a_fault_in_the_first_epoch_leaves_the_starting_weights():
    clf = quick(**BATCH, **stack(spoiled(Scale, "forward", raises(RuntimeError("boom")), 1)))
    with pytest.raises(PluginError):
        clf.fit(X, Y)
    assert clf.n_iter_ == 0
    assert clf.predict(X).shape == Y.shape
    np.testing.assert_array_equal(clf.network_.parameters["spoiled_1.factor"], np.ones(4))


PREDICTING = ("predict", "predict_proba", "decision_function", "feature_maps", "compiled")


def predicted(clf, how):
    if how == "compiled":
        return clf.compile_predictor()(X)
    return clf.feature_maps(X, -1) if how == "feature_maps" else getattr(clf, how)(X)


@pytest.mark.parametrize("how", PREDICTING)
@pytest.mark.parametrize("use", ["activation.forward", "layer.forward"])
def test_a_fault_while_predicting(use, how):
    good, place, faults = USES[use]
    expected = predicted(fitted(X, Y, **parameters(use, good())), how)
    for fault in ("raises", "shape", "NaN", "writes x"):
        spoil, words = faults[fault]
        plugin = spoiled(good, "forward", spoil, 4)  # two calls per epoch: a batch, a trial
        clf = fitted(X, Y, **parameters(use, plugin))
        with pytest.raises(ValueError, match=words.replace("10", "30")) as caught:
            predicted(clf, how)
        expect(caught.value, use, place, words.replace("10", "30"), caught)
        np.testing.assert_array_equal(predicted(clf, how), expected)


PROBABILITIES = RAISES | in_float64(of_array("30, 3", "30, 2")) | {"writes": (writes(0), READ_ONLY)}


@pytest.mark.parametrize("how", ["predict_proba", "predict_log_proba"])
@pytest.mark.parametrize("fault", PROBABILITIES)
def test_probabilities_that_are_none(fault, how):
    spoil, words = PROBABILITIES[fault]
    expected = getattr(fitted(X, Y, loss=Entropy()), how)(X)
    clf = fitted(X, Y, loss=spoiled(Entropy, "predictions", spoil, 2))  # one call per epoch
    with np.errstate(all="ignore"), pytest.raises(BaseException, match=r".*") as caught:
        getattr(clf, how)(X)
    expect(caught.value, "loss.predictions", "", words, caught)
    np.testing.assert_array_equal(getattr(clf, how)(X), expected)
