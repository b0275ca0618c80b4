"""The adapters around foreign plugins: made at look-up, transparent, never stored; built-ins have none."""

import copy
import importlib
import pickle

import numpy as np
import pytest
from good_plugins import FAMILIES, Descent, Entropy, Halving, Tanh, Uniform, parameter
from sklearn.base import clone
from small import fitted, images, quick, weights_of

from pyconvx import PluginError, activations, initializers, schedules, solvers
from pyconvx.initializers import Dirac
from pyconvx.layers import Activation, Conv2D
from pyconvx.network import Network
from pyconvx.ops import capsules
from pyconvx.registry import Registry
from pyconvx.registry.families import registry_of
from pyconvx.registry.guard import Guard, at, unguarded
from pyconvx.schedules import Progress

X, Y = images(dtype=np.float32)
GOOD = {
    "activations": Tanh,
    "initializers": Uniform,
    "losses": Entropy,
    "schedules": Halving,
    "solvers": Descent,
}


def registry(family):
    return importlib.import_module(f"pyconvx.{family}").registry


@pytest.mark.parametrize("family", GOOD)
def test_foreign_plugins_are_guarded_once_whether_name_class_or_object(family, install):
    name, kind = f"guarded_{family}", GOOD[family]
    install("acme", f"{name} = good_plugins:{kind.__name__}", group=f"pyconvx.{family}")
    plugin = kind()
    assert registry(family).resolve(plugin).plugin is plugin
    for value in (name, kind, plugin):
        resolved = registry(family).resolve(value)
        assert isinstance(resolved, Guard)
        assert isinstance(resolved, registry(family).guard)
        assert type(resolved.plugin) is kind
        assert type(registry(family).verified(value)) is kind
    assert type(registry(family).get(name)) is kind


@pytest.mark.parametrize("family", GOOD)
def test_built_ins_are_not(family):
    for name in registry(family).names():
        if registry(family).claimed(name).status == "built-in":
            assert not isinstance(registry(family).resolve(name), Guard)


@pytest.mark.parametrize("family", GOOD)
def test_an_adapter_travels_and_compares_as_its_plugin(family):
    guarded = registry(family).resolve(GOOD[family]())
    for other in (pickle.loads(pickle.dumps(guarded)), copy.deepcopy(guarded)):
        assert type(other) is type(guarded)
        assert other.registry is guarded.registry
        assert (other == guarded) == (other.plugin == guarded.plugin)
    assert guarded == registry(family).resolve(guarded.plugin)
    assert hash(guarded) == hash(registry(family).resolve(guarded.plugin))
    assert guarded != guarded.at("conv2d_1")


def test_only_a_family_s_own_registry_travels():
    assert pickle.loads(pickle.dumps(solvers.registry)) is solvers.registry
    with pytest.raises(TypeError, match=r"^cannot pickle Registry\('pyconvx\.solvers'\), which is not the family"):
        pickle.dumps(Registry("pyconvx.solvers", print))
    with pytest.raises(PluginError, match="no family of plugins has the group 'tests'"):
        registry_of("tests")


def test_at_and_unguarded():
    plugin = Tanh()
    guarded = activations.registry.resolve(plugin)
    assert str(guarded) == "activation good_plugins:Tanh"
    assert str(at(guarded, "conv2d_1")) == "activation good_plugins:Tanh at 'conv2d_1'"
    assert str(guarded) == "activation good_plugins:Tanh"
    assert unguarded(guarded) is plugin
    assert at(plugin, "conv2d_1") is unguarded(plugin) is plugin


@pytest.mark.parametrize("family", FAMILIES)
def test_estimators_hold_the_user_s_own_object(family):
    plugin = getattr(importlib.import_module("good_plugins"), FAMILIES[family][0])()
    given = parameter(family, plugin)
    ((name, value),) = given.items()
    clf = fitted(X, Y, **given)
    assert clf.get_params(deep=False)[name] is value
    assert (value[0] if family == "layers" else value) is plugin
    twice = fitted(X, Y, clf=clone(clf))
    travelled = pickle.loads(pickle.dumps(clf))
    assert not isinstance(getattr(travelled, name), Guard)
    assert weights_of(twice) == weights_of(clf) == weights_of(travelled)
    assert weights_of(travelled.partial_fit(X, Y)) == weights_of(clf.partial_fit(X, Y))


def test_the_solver_s_memory_is_the_plugin_s():
    clf = fitted(X, Y, solver=Descent(), warm_start=True)
    assert clf._state.solver == "Descent"
    steps = clf._state.step
    fitted(X, Y, clf=clf)  # the same solver continues
    assert clf._state.step > steps
    fitted(X, Y, clf=clf.set_params(solver="sgd"))
    assert clf._state.solver == "SGD"
    assert clf._state.step == steps


class Squared:
    """An activation with a capsule and with array methods."""

    capsule = capsules.capsule("tanh")
    initializer = "xavier_normal"

    def forward(self, x):
        raise AssertionError("the kernels call the capsule")

    def backward(self, dy, x, y):
        raise AssertionError("the kernels call the capsule")


class NoCapsule(Tanh):
    """An activation whose capsule is None, which means that it has none."""

    capsule = None
    initializer = "xavier_normal"


def test_a_foreign_capsule_runs_inside_the_kernels():
    def networks(*functions):
        layers = [[Conv2D(4), Activation(function)] for function in functions]
        return [Network(chosen, (6, 6, 1), seed=3) for chosen in layers]

    guarded, built_in, arrays = networks(Squared(), "tanh", NoCapsule())
    assert [len(network.steps) for network in (guarded, built_in, arrays)] == [1, 1, 2]
    function = activations.registry.resolve(Squared())
    assert function.capsule is Squared.capsule
    assert activations.initializer_of(function) == "xavier_normal"
    assert not hasattr(activations.registry.resolve(NoCapsule()), "capsule")
    one, other = (fitted(X, Y, activation=f, initializer="he_normal") for f in (Squared(), "tanh"))
    assert weights_of(one) == weights_of(other)


class Turning(Tanh):
    """Its attributes fail once it is in use."""

    broken = False

    @property
    def capsule(self):
        if self.broken:
            raise RuntimeError("boom")

    @property
    def initializer(self):
        if self.broken:
            raise RuntimeError("boom")
        return "zeros"


class Forgetful(Descent):
    """Its number of slots fails once it is in use."""

    broken = False

    @property
    def slots(self):
        if self.broken:
            raise RuntimeError("boom")
        return 1


@pytest.mark.parametrize(
    ("family", "kind", "name"),
    [
        ("activations", Turning, "capsule"),
        ("activations", Turning, "initializer"),
        ("solvers", Forgetful, "slots"),
    ],
)
def test_attributes_are_guarded_too(family, kind, name, monkeypatch):
    guarded = registry(family).resolve(kind())
    monkeypatch.setattr(kind, "broken", True)
    with pytest.raises(
        PluginError, match=rf"^{family[:-1]} test_guard:{kind.__name__}: {name} raised RuntimeError"
    ):
        getattr(guarded, name)


def test_a_foreign_dirac_may_start_equal_filters():
    class Own(Dirac):
        """Another package's subclass."""

    quick(filters=(2,), initializer=Own())
    Network([Conv2D(2)], (6, 6, 1), initializer=Own())


def test_calls_outside_of_estimators_are_guarded_as_well():
    factor = schedules.registry.resolve(type("Late", (Halving,), {"factor": lambda self, progress: "1"}))
    with pytest.raises(PluginError, match="factor returned '1', expected a number"):
        factor.factor(Progress())
    flat = initializers.registry.resolve(lambda shape, fan_in, fan_out, rng: np.zeros(3))
    with pytest.raises(PluginError, match=r"it returned an array of shape \(3,\), float64, expected .* \(2, 2\)"):
        at(flat, "conv2d_1.kernel")((2, 2), 1, 1, np.random.default_rng(0))
