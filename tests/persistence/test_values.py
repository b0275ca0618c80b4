"""Values as JSON and back: each kind, its exact form in the file, and what is refused."""

import json
import math
import re
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from pyconvx import ModelFileError, PluginError, activations, initializers, solvers
from pyconvx.initializers import Constant
from pyconvx.layers import Conv2D, Residual
from pyconvx.persistence import Reader, Writer, values
from pyconvx.schedules import Exponential
from pyconvx.solvers import SGD, Adam

STORED = [
    (None, None),
    (True, True),
    (3, 3),
    ("text", "text"),
    (0.5, 0.5),
    (math.inf, {"float": "inf"}),
    (-math.inf, {"float": "-inf"}),
    ([1, [2.0, "a"]], [1, [2.0, "a"]]),
    ((1, ("b",)), {"tuple": [1, {"tuple": ["b"]}]}),
    ({1: (2,), "a": None}, {"dict": [[1, {"tuple": [2]}], ["a", None]]}),
    (np.float32(0.5), {"number": ["<f4", 0.5]}),
    (np.float64(math.inf), {"number": ["<f8", {"float": "inf"}]}),
    (np.int8(-3), {"number": ["|i1", -3]}),
    (np.uint64(2**63), {"number": ["<u8", 2**63]}),
    (np.True_, {"number": ["|b1", True]}),
    (np.str_("ab"), "ab"),
    (np.array(["b", "ab"]), {"strings": ["<U2", [2], ["b", "ab"]]}),
    (np.array([["b"], ["ab"]]), {"strings": ["<U2", [2, 1], ["b", "ab"]]}),
    (np.array([b"b"]), {"strings": ["|S1", [1], ["b"]]}),
    (np.empty((0, 2), "U3"), {"strings": ["<U3", [0, 2], []]}),
    (np.array([None, "a", 2.0, (1,)], object), {"objects": [[4], [None, "a", 2.0, {"tuple": [1]}]]}),
    (np.array([["a"], [None]], object), {"objects": [[2, 1], ["a", None]]}),
    (np.float32, "float32"),
    (np.dtype("f8"), "float64"),
    (np.int64, "int64"),
]


@pytest.mark.parametrize(("value", "stored"), STORED)
def test_every_kind(value, stored):
    writer = Writer()
    assert writer.write(value, "here") == stored
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert not writer.arrays
    assert not writer.plugins
    back = Reader({}).read(stored)
    if isinstance(value, np.ndarray):
        assert (back.dtype, back.shape) == (value.dtype, value.shape)
        assert back.tolist() == value.tolist()
    elif not isinstance(value, (np.dtype, type, np.str_)):
        assert type(back) is type(value)
        assert back == value


def test_nan():
    assert Writer().write(math.nan, "here") == {"float": "nan"}
    assert math.isnan(Reader({}).read({"float": "nan"}))


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i4", "u8", "?", ">f4"])
def test_arrays_lie_beside_the_document(kind):
    writer, first, second = Writer(), np.arange(6).reshape(2, 3).astype(kind), np.ones(2, kind)
    assert writer.write([first, second], "here") == [{"array": "values.0"}, {"array": "values.1"}]
    assert writer.arrays["values.0"] is first
    back = Reader(writer.arrays).read({"array": "values.0"})
    assert not np.shares_memory(back, first)
    np.testing.assert_array_equal(back, first)
    assert back.dtype == first.dtype


@pytest.mark.parametrize("kind", [complex, np.longdouble, "M8[s]", "V3"])
def test_arrays_that_a_file_does_not_hold(kind):
    with pytest.raises(TypeError, match=r"^here\[1\]: a model file holds no array of "):
        Writer().write([1, np.zeros(2, kind)], "here")


def test_random_states():
    state = np.random.RandomState(5)
    state.standard_normal(3)  # so that the state holds one number more
    writer = Writer()
    stored = writer.write(state, "seed")
    back = Reader(writer.arrays).read(json.loads(json.dumps(stored)))
    np.testing.assert_array_equal(back.standard_normal(9), state.standard_normal(9))


PLUGINS = [
    (Adam(beta_1=0.5), {"family": "solvers", "name": "adam"}, ("made_with", "beta_1", 0.5)),
    (Exponential(0.5), {"family": "schedules", "name": "exponential"}, None),
    (Conv2D(3, (1, 2)), {"family": "layers", "name": "conv2d"}, ("made_with", "kernel_size", {"tuple": [1, 2]})),
    (Constant(0.5), {"family": "initializers", "name": "constant"}, ("made_with", "value", 0.5)),
    (activations.gelu, {"family": "activations", "name": "gelu"}, None),
    (Residual((Conv2D(1),)), {"family": "layers", "name": "residual"}, None),
]


@pytest.mark.parametrize(("value", "named", "argument"), PLUGINS)
def test_built_in_plugins(value, named, argument):
    writer = Writer()
    stored = writer.write(value, "here")
    assert stored["plugin"].items() >= named.items()
    assert not writer.plugins
    if argument is not None:
        assert [argument[1], argument[2]] in stored["plugin"]["made_with"]["dict"]
    back = Reader({}).read(json.loads(json.dumps(stored)))
    assert type(back) is type(value)
    assert repr(back) == repr(value)


@dataclass(frozen=True)
class Half:
    """An initializer of this process."""

    value: float = 0.5

    def __call__(self, shape, fan_in, fan_out, rng):
        return np.full(shape, self.value)


class Scaled(BaseEstimator):
    """An initializer with get_params, around another."""

    def __init__(self, scale=1.0, inner=None):
        self.scale, self.inner = scale, inner

    def __call__(self, shape, fan_in, fan_out, rng):
        return np.full(shape, self.scale)


class Bare:
    """An initializer without fields."""

    def __call__(self, shape, fan_in, fan_out, rng):
        return np.zeros(shape)


def start(shape, fan_in, fan_out, rng):
    """An initializer that is a function."""
    return np.ones(shape)


NAMES = {"tests_half": Half, "tests_bare": Bare, "tests_start": start, "tests_scaled": Scaled}


@pytest.fixture(scope="module")
def _registered():
    for name, plugin in NAMES.items():
        initializers.registry.register(name, plugin)


@pytest.mark.usefixtures("_registered")
def test_other_plugins_are_noted():
    writer = Writer()
    stored = writer.write([Half(0.25), Bare(), start], "here")
    package = ("this process", "")
    assert writer.plugins == {("initializers", f"tests_{name}"): package for name in ("half", "bare", "start")}
    assert [item["plugin"]["made_with"] for item in stored] == [{"dict": [["value", 0.25]]}, {"dict": []}, None]
    back = Reader({}, [("initializers", "tests_half", "acme", "1.2")]).read(stored)
    assert back[0] == Half(0.25)
    assert type(back[1]) is Bare
    assert back[2] is start
    writer = Writer()
    writer.named("initializers", "tests_half")
    writer.named("initializers", "zeros")
    assert writer.plugins == {("initializers", "tests_half"): package}
    bare = Bare()
    bare.memory = 3
    with pytest.raises(TypeError, match=r"^here=.*Bare.*: to be saved, it must be a dataclass or have get_params"):
        Writer().write(bare, "here")


@pytest.mark.usefixtures("_registered")
def test_plugins_of_scikit_learns_kind():
    writer = Writer()
    stored = writer.write(Scaled(2.0, Scaled(3.0)), "here")
    inner = {"dict": [["inner", None], ["scale", 3.0]]}
    (key, found), scale = stored["plugin"]["made_with"]["dict"]
    assert (key, found["plugin"]["made_with"], scale) == ("inner", inner, ["scale", 2.0])
    back = Reader(writer.arrays).read(stored)
    assert (back.scale, back.inner.scale, back.inner.inner) == (2.0, 3.0, None)


@pytest.mark.usefixtures("_registered")
@pytest.mark.parametrize(
    ("value", "where"),
    [
        ((1, object()), "here[1]"),
        ({object(): 1}, "here"),
        (np.array([1, object()], object), "here[1]"),
        (np.complex64(1), "here"),
        (Half(object()), "here['value']"),
        ([{"a": (Scaled(print),)}], "here[0]['a'][0]['scale']"),
    ],
)
def test_messages_say_where(value, where):
    with pytest.raises(TypeError, match="^" + re.escape(where) + "=.*a model file holds no code"):
        Writer().write(value, "here")


def test_arrays_of_text_that_are_mostly_padding(monkeypatch):
    """Few bytes of a file could need very much memory: both sides of the limit for a whole file."""
    wide, one = np.dtype("U4"), np.array(["a"], "U4")  # 16 bytes for 4
    assert values._with_padding(0, wide, ["a"]) == 12
    assert values._with_padding(5, wide, ["a", "bcd"]) == 5 + 32 - 16
    assert values._with_padding(5, np.dtype("S1"), ["a", "b"]) == 5
    monkeypatch.setattr(values, "_MOST_PADDING", 24)
    writer, stored = Writer(), {"strings": ["<U4", [1], ["a"]]}
    assert writer.write([one, one], "here") == [stored, stored]
    assert len(Reader({}).read([stored, stored])) == 2
    words = "<U4 is too wide for 1 strings: make the array from a list of them"
    with pytest.raises(ValueError, match=f"^{words}"):
        writer.write(np.array(["abc"], "U4"), "here")
    with pytest.raises(ModelFileError, match=f"^damaged strings: {words}"):
        Reader({}).read([stored, stored, stored])


def test_an_array_stands_for_one_value():
    reader = Reader({"values.0": np.ones(3)})
    with pytest.raises(ModelFileError, match=r"array 'values\.0' stands for a second value"):
        reader.read([{"array": "values.0"}] * 2)


def test_longest_names():
    with pytest.raises(PluginError, match="unknown solver 'aaa"):
        Reader({}).look_up("solvers", "a" * 200)
    with pytest.raises(ModelFileError, match=r"^no plugin is called 'aaa"):
        Reader({}).look_up("solvers", "a" * 201)


@pytest.mark.parametrize("value", [object(), print, SGD, complex(1, 2), {1, 2}, b"bytes", str])
def test_what_no_name_leads_to(value):
    where = r"here\['a'\]\[0\]"
    with pytest.raises(
        TypeError, match=rf"^{where}=.*: a model file holds no code, and this is no registered plugin"
    ):
        Writer().write({"a": [value]}, "here")


def test_plugins_that_are_not_there():
    words = "the model needs solver 'lion' of acme 1.2: unknown solver 'lion'"
    with pytest.raises(PluginError, match=words):
        Reader({}, [("solvers", "lion", "acme", "1.2")])
    words = "the model needs solver 'lion' of a package that the file does not name: unknown solver 'lion'"
    with pytest.raises(PluginError, match=words):
        Reader({}).read({"plugin": {"family": "solvers", "name": "lion", "made_with": None}})
    for family, name in (("nothing", "adam"), (["solvers"], "adam"), ("solvers", 3)):
        with pytest.raises(ModelFileError, match=r"^no plugin is called "):
            Reader({}).look_up(family, name)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({}, "^a value must have one kind, got ''"),
        ({"b": 1, "a": 2}, "^a value must have one kind, got '(a, b|b, a)'"),
        ({"eval": "1"}, "^unknown kind of value 'eval'"),
        ({"tuple": {"a": 1}}, "^damaged tuple: a list was expected, got dict"),
        ({"tuple": "ab"}, "^damaged tuple: a list was expected, got str"),
        ({"dict": [[1]]}, "^damaged dict: "),
        ({"dict": [[[], 1]]}, "^damaged dict: "),
        ({"dict": "ab"}, "^damaged dict: a list was expected"),
        ({"float": "1.0"}, "^damaged float: '1.0'"),
        ({"array": "values.7"}, "^damaged array: 'values.7'"),
        ({"strings": "U1a"}, "^damaged strings: a list was expected"),
        ({"strings": ["U1", [1], "a"]}, "^damaged strings: a list was expected"),
        ({"strings": ["U1", [1], [3]]}, "^damaged strings: 'U1' for strings"),
        ({"strings": ["i4", [1], ["3"]]}, "^damaged strings: 'i4' for strings"),
        ({"strings": ["U1", [2], ["a"]]}, "^damaged strings: cannot reshape"),
        ({"objects": "ab"}, "^damaged objects: a list was expected"),
        ({"objects": [[1], "a"]}, "^damaged objects: a list was expected"),
        ({"objects": [[2], ["a"]]}, "^damaged objects: cannot reshape"),
        ({"number": "ab"}, "^damaged number: a list was expected"),
        ({"number": ["O", 1]}, "^damaged number: 'O' for a type of numbers or text"),
        ({"number": ["M8[s]", 1]}, r"^damaged number: 'M8\[s\]' for a type of numbers or text"),
        ({"number": ["i1", 300]}, "^damaged number: "),
        ({"random_state": "abcde"}, "^damaged random_state: a list was expected"),
        ({"plugin": {"name": "adam"}}, "^damaged plugin: 'family'"),
        ({"plugin": {"family": "solvers", "name": "adam"}}, "^damaged plugin: 'made_with'"),
        ({"plugin": {"family": "solvers", "name": "adam", "made_with": {"dict": [[1, 1]]}}}, "^damaged plugin"),
    ],
)  # fmt: skip
def test_damaged_values(stored, words):
    with pytest.raises(ModelFileError, match=words):
        Reader({}).read([stored])


def test_a_name_means_its_object_whatever_it_was_made_with():
    found = Reader({}).read({"plugin": {"family": "solvers", "name": "adam", "made_with": None}})
    assert repr(found) == repr(solvers.registry.get("adam"))
