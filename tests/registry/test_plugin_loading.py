"""Packages whose plugins fail before they are used: each breaks its own name, and nothing else."""

import ctypes
import importlib
import sys

import numpy as np
import pytest
from good_plugins import FAMILIES, parameter
from small import fitted, images, quick, weights_of

from pyconvx import PluginError
from pyconvx.activations import tanh

X, Y = images()
KINDS = {family: "loss" if family == "losses" else family.removesuffix("s") for family in FAMILIES}
CODES = {
    "raises": ("raise RuntimeError('boom')", RuntimeError, "RuntimeError: boom"),
    "exits": ("raise SystemExit(3)", SystemExit, "SystemExit: 3"),
    "missing module": ("import no_such_module_here", ModuleNotFoundError, "no_such_module_here"),
    "missing attribute": ("x = 1", AttributeError, "has no attribute 'Bad'"),
    "does not compile": ("def f(:", SyntaxError, "SyntaxError"),
    "not a plugin": ("Bad = 3", (TypeError, PluginError), r"3 (has|needs|is)"),
    "no methods": ("class Bad:\n    pass", (TypeError, PluginError), r"Bad"),
    "constructor raises": (
        "from good_plugins import Scale\nclass Bad(Scale):\n    def __init__(self):\n        raise OSError('no')",
        OSError,
        "OSError: no",
    ),
}  # fmt: skip


def registry_of(family):
    return importlib.import_module(f"pyconvx.{family}").registry


def refused(clf, X, Y, error=PluginError):
    """Return what `fit` raises; estimator and data must stay as they were."""
    data, before = X.tobytes(), dict(vars(clf))
    with pytest.raises(error) as caught:
        fitted(X, Y, clf=clf)
    assert vars(clf) == before
    assert X.tobytes() == data
    return caught


@pytest.mark.parametrize("fault", CODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_broken_package_breaks_its_own_name_only(family, fault, install):
    code, cause, words = CODES[fault]
    group = f"pyconvx.{family}"
    name = "bad_" + fault.replace(" ", "_")  # one per fault: a registry remembers what it has loaded
    install("badplug", f"{name} = bad_mod:Bad", "bad_mod", code, group=group)
    install("acme", f"good_one = good_plugins:{FAMILIES[family][0]}", group=group)
    quick()  # nothing is imported before a name is used
    assert "bad_mod" not in sys.modules
    error = refused(quick(**parameter(family, name)), X, Y)
    assert error.match(rf"{KINDS[family]} {name!r} from badplug 1\.2 \(bad_mod:Bad\)")
    assert error.match(words)
    found = error.value.__cause__
    assert isinstance(found if found.__cause__ is None else found.__cause__, cause)
    row = next(row for row in registry_of(family).listing() if row.name == name)
    as_class = (family, fault) == ("layers", "constructor raises")  # the class itself is correct
    assert row.status.startswith("installed" if as_class else "broken: ")
    assert fitted(X, Y, **parameter(family, "good_one")).score(X, Y) >= 0
    fitted(X, Y)


@pytest.mark.parametrize("family", FAMILIES)
def test_ctrl_c_during_an_import_passes(family, install):
    install("badplug", "bad_one = bad_mod:Bad", "bad_mod", "raise KeyboardInterrupt", group=f"pyconvx.{family}")
    refused(quick(**parameter(family, "bad_one")), X, Y, KeyboardInterrupt)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fitted_classifier_stays_as_it_was(family, install):
    install("badplug", "bad_one = bad_mod:Bad", "bad_mod", CODES["raises"][0], group=f"pyconvx.{family}")
    clf = fitted(X, Y, warm_start=True)
    weights, found = weights_of(clf), clf.predict_proba(X)
    name, whole = FAMILIES[family][1], clf.get_params(deep=False)
    refused(clf.set_params(**parameter(family, "bad_one")), X, Y)
    assert weights_of(clf) == weights
    clf.set_params(**{name: whole[name]})
    np.testing.assert_array_equal(clf.predict_proba(X), found)
    fitted(X, Y, clf=clf)
    assert clf.t_ == 4 * len(X)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_name_that_two_packages_claim(family, install):
    group, target = f"pyconvx.{family}", f"good_plugins:{FAMILIES[family][0]}"
    install("acme", f"twice = {target}\nonce = {target}", group=group)
    install("zeta", "twice = other_mod:Bad", "other_mod", CODES["raises"][0], group=group)
    error = refused(quick(**parameter(family, "twice")), X, Y)
    assert error.match(rf"{KINDS[family]} 'twice' is claimed by .*(acme|zeta) 1\.2 .* and by .*(acme|zeta) 1\.2")
    assert "other_mod" not in sys.modules
    fitted(X, Y, **parameter(family, "once"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_built_ins_name_stays_the_built_ins(family, install):
    taken = {
        "activations": "relu", "architectures": "resnet_small", "initializers": "he_uniform",
        "layers": "batch_norm", "losses": "cross_entropy", "solvers": "sgd", "schedules": "constant",
    }[family]  # fmt: skip
    expected = weights_of(fitted(X, Y, **parameter(family, taken)))
    install("badplug", f"{taken} = bad_mod:Bad", "bad_mod", CODES["raises"][0], group=f"pyconvx.{family}")
    assert weights_of(fitted(X, Y, **parameter(family, taken))) == expected
    assert "bad_mod" not in sys.modules
    rows = {row.package: row.status for row in registry_of(family).listing() if row.name == taken}
    assert rows["badplug"].startswith("refused: ")
    with pytest.raises(PluginError, match=f"{taken!r} is built into pyconvx"):
        registry_of(family).register(taken, object())


class Functions(ctypes.Structure):
    """pyconvx_activation of the C header."""

    _fields_ = (
        ("abi", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("f_float", ctypes.c_void_p),
        ("df_float", ctypes.c_void_p), ("f_double", ctypes.c_void_p), ("df_double", ctypes.c_void_p),
    )  # fmt: skip


def capsule(tag, *struct):
    """Make a capsule, as the compiled module of a plugin does."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    KEPT.extend((Functions(*struct), tag))
    return new(ctypes.addressof(KEPT[-2]), tag, None)


KEPT = []  # a capsule owns neither its struct nor its name
TAG = b"pyconvx.activation.v1"


def built_ins():
    """Return the addresses of the functions of tanh."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    struct = Functions.from_address(pointer(tanh.capsule, TAG))
    return [getattr(struct, name) for name, _ in Functions._fields_]


class Compiled:
    """A plugin that is only a capsule."""

    capsule = None


CAPSULES = {
    "no capsule": (lambda: 3, "expected a PyCapsule named 'pyconvx.activation.v1', got 3"),
    "a capsule's name": (lambda: TAG, "expected a PyCapsule named"),
    "another tag": (lambda: capsule(TAG[:-1] + b"2", *built_ins()), r"got one named 'pyconvx.activation.v2'"),
    "no tag": (lambda: capsule(None, *built_ins()), "expected a PyCapsule named 'pyconvx.activation.v1'"),
    "another ABI": (lambda: capsule(TAG, 2, *built_ins()[1:]), "has ABI 2, this pyconvx needs 1: rebuild"),
    "ABI 0": (lambda: capsule(TAG, 0, *built_ins()[1:]), "has ABI 0, this pyconvx needs 1"),
    "no f_float": (lambda: capsule(TAG, *built_ins()[:2], None, *built_ins()[3:]), "lacks f_float: NULL"),
    "no df_float": (lambda: capsule(TAG, *built_ins()[:3], None, *built_ins()[4:]), "lacks df_float: NULL"),
    "no f_double": (lambda: capsule(TAG, *built_ins()[:4], None, *built_ins()[5:]), "lacks f_double: NULL"),
    "no df_double": (lambda: capsule(TAG, *built_ins()[:5], None), "lacks df_double: NULL"),
    "empty": (lambda: capsule(TAG, *built_ins()[:2]), "lacks f_float, df_float, f_double, df_double: NULL"),
}  # fmt: skip


@pytest.mark.parametrize("fault", CAPSULES)
def test_a_capsule_that_the_kernels_cannot_call(fault, monkeypatch, install):
    make, words = CAPSULES[fault]
    monkeypatch.setattr(Compiled, "capsule", make())
    install("badplug", "bad_capsule = capsules:Compiled", group="pyconvx.activations")
    monkeypatch.setitem(sys.modules, "capsules", sys.modules[__name__])
    error = refused(quick(activation="bad_capsule"), X, Y)
    assert error.match(r"activation 'bad_capsule' from badplug 1\.2 \(capsules:Compiled\)")
    assert error.match(words)
    assert refused(quick(activation=Compiled()), X, Y).match(words)
    fitted(X, Y, activation="tanh")


def test_a_capsule_of_ones_own_works(monkeypatch):
    monkeypatch.setattr(Compiled, "capsule", capsule(TAG, *built_ins()))
    own = fitted(X, Y, activation=Compiled(), initializer="he_normal")
    assert weights_of(own) == weights_of(fitted(X, Y, activation="tanh", initializer="he_normal"))


class Raising:
    """Not even its capsule can be read."""

    @property
    def capsule(self):
        raise RuntimeError("boom")


def test_an_object_that_raises_when_it_is_looked_at():
    error = refused(quick(activation=Raising()), X, Y)
    assert error.match(r"activation test_plugin_loading:Raising breaks its contract: RuntimeError: boom")


class NoStart:
    """A class that cannot be made."""

    def __init__(self):
        raise RuntimeError("no start")


@pytest.mark.parametrize("family", sorted({*FAMILIES} - {"layers"}))
def test_a_class_that_cannot_be_made(family):
    error = refused(quick(**parameter(family, NoStart)), X, Y)
    assert error.match(r"test_plugin_loading:NoStart breaks its contract: RuntimeError: no start")
