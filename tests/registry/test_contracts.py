"""The comparison of a plugin's signatures with the contract."""

import math

import pytest

from pyconvx.registry import Registry
from pyconvx.registry.contracts import require


class Wanted:
    """The prototype."""

    def work(self, x, y, *, n_threads: int = 1) -> int: ...

    def __call__(self, x): ...


def named(function):
    return type("Plugin", (), {"work": function, "__repr__": lambda self: "Plugin()"})()


@pytest.mark.parametrize(
    "good",
    [
        lambda self, x, y, *, n_threads=1: 0,
        lambda self, a, b, /, n_threads=1, more=2: 0,
        lambda self, *arrays, **options: 0,
        lambda self, x, y, z=3, *, n_threads: 0,
    ],
)
def test_signatures_that_do(good):
    require(named(good), Wanted.work)


@pytest.mark.parametrize(
    ("bad", "found", "why"),
    [
        (lambda self, x, *, n_threads=1: 0, r"\(x, \*, n_threads=1\)", "too many positional arguments"),
        (
            lambda self, x, y, z, *, n_threads=1: 0,
            r"\(x, y, z, \*, n_threads=1\)",
            "missing a required argument: 'z'",
        ),
        (lambda self, x, y: 0, r"\(x, y\)", "got an unexpected keyword argument 'n_threads'"),
        (
            lambda self, x, y, n_threads=1, *, m: 0,
            r"\(x, y, n_threads=1, \*, m\)",
            "missing a required .*argument: 'm'",
        ),
    ],
)
def test_signatures_that_do_not(bad, found, why):
    words = rf"^Plugin\(\) has work{found}, expected work\(x, y, \*, n_threads=1\): {why}"
    with pytest.raises(TypeError, match=words) as caught:
        require(named(bad), Wanted.work)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("attribute", [None, 3])
def test_no_method_at_all(attribute):
    words = r"^Plugin\(\) has no method work\(x, y, \*, n_threads=1\)$"
    with pytest.raises(TypeError, match=words):
        require(named(attribute), Wanted.work)
    with pytest.raises(TypeError, match=r"^3 has no method work"):
        require(3, Wanted.work)
    with pytest.raises(TypeError, match=r"^3 has no method __call__\(x\)$"):
        require(3, Wanted.__call__)


def test_functions_and_compiled_ones():
    require(lambda x: 0, Wanted.__call__)
    require(math.sin, Wanted.__call__)
    require(max, Wanted.__call__)  # has no signature
    with pytest.raises(
        TypeError, match=r"has __call__\(\), expected __call__\(x\): too many positional arguments"
    ):
        require(lambda: 0, Wanted.__call__)


class Own:
    """A plugin."""


def refuse(plugin):
    if isinstance(plugin, float):
        raise TypeError("floats are no plugins")
    if isinstance(plugin, int):
        raise RuntimeError("broken")


def test_how_a_registry_calls_an_object(install):
    install("acme", "good = naming:Good\nplain = naming:plain", "naming")
    registry = Registry("pyconvx.initializers", refuse)
    assert registry.kind == "initializer"
    assert repr(registry) == "Registry('pyconvx.initializers')"
    good = registry.get("good")
    assert registry.describe(good) == "initializer 'good' from acme 1.2 (naming:Good)"
    assert registry.describe(registry.get("plain")) == "initializer 'plain' from acme 1.2 (naming:plain)"
    assert registry.describe(Own()) == "initializer test_contracts:Own"
    registry.register("own", Own)
    assert registry.describe(Own()) == "initializer 'own' from this process (test_contracts:Own)"
    assert registry.describe(registry.get("zeros")).startswith("initializer 'zeros' from pyconvx ")
    assert Registry("pyconvx.losses", refuse).describe(Own()) == "loss test_contracts:Own"


def test_what_resolving_raises():
    registry = Registry("pyconvx.initializers", refuse)
    with pytest.raises(TypeError, match=r"^floats are no plugins$"):
        registry.resolve(0.5)
    with pytest.raises(
        ValueError, match=r"^initializer builtins:int breaks its contract: RuntimeError: broken$"
    ) as caught:
        registry.resolve(3)
    assert type(caught.value.__cause__) is RuntimeError
    with pytest.raises(
        ValueError, match=r"^initializer 'three' from this process \(builtins:int\) breaks .*: broken$"
    ):
        registry.register("three", 3)
    with pytest.raises(
        ValueError, match=r"^unknown initializer 'zzz': Group 'pyconvx\.initializers' has .*, zeros\. A"
    ):
        registry.get("zzz")
    with pytest.raises(
        ValueError, match=r"^unknown initializer 'he_norm': did you mean 'he_normal' or '\w+' or '\w+'\? G"
    ):
        registry.get("he_norm")
    with pytest.raises(ValueError, match=r"^unknown nothing 'zzz': Group 'tests\.nothings' has no names\. A name"):
        Registry("tests.nothings", refuse).get("zzz")
    assert isinstance(Registry("pyconvx.layers", refuse, instantiate=False).resolve(Own), type)
    assert isinstance(registry.resolve(Own), Own)
