"""The cost of loading a file: its size limits memory and work, whatever it declares."""

import json
import random
import sys
import tracemalloc

import mutated_files
import numpy as np
import pytest
from fuzzing import watched
from mutated_files import with_right_checksum

import pyconvx
from pyconvx import ModelFileError, PluginError
from pyconvx.persistence import container, pack, unpack

# docs/guide/model-files.md promises them
FACTOR, CONSTANT = 64, 8 << 20
CALLS = 4  # calls of functions per byte, in addition to those for a small model
SOME_CALLS = 100_000


@pytest.fixture(scope="module")
def model():
    data = mutated_files.small_model()
    return data, *unpack(data, "model")


def cost_of_loading(path):
    """Return the outcome, the peak of Python's and NumPy's memory, and the number of calls."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += 1

    tracemalloc.start()
    sys.setprofile(count)
    try:
        with watched():
            pyconvx.load(path)
        outcome = "loaded"
    except (ModelFileError, PluginError) as error:
        outcome = str(error)
    finally:
        sys.setprofile(None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return outcome, peak, calls


def assert_cheap(path, data):
    path.write_bytes(data)
    outcome, peak, calls = cost_of_loading(path)
    assert peak <= FACTOR * len(data) + CONSTANT, (outcome[:300], len(data), peak)
    assert calls <= CALLS * len(data) + SOME_CALLS, (outcome[:300], len(data), calls)
    assert len(outcome) < 5000 + len(str(path))
    return outcome


def layer(name, **made_with):
    values = [[key, value] for key, value in made_with.items()]
    return {"plugin": {"family": "layers", "name": name, "made_with": {"dict": values}}}


def same_path(depth):
    """Return residual blocks inside one another."""
    inner = layer("flatten")
    for _ in range(depth):
        inner = layer(
            "residual", layers={"tuple": [inner]}, skip={"tuple": [inner]} if depth < 14 else {"tuple": []}
        )
    return inner


def stack(*layers):
    return lambda d, a: d["network"].update(layers={"tuple": list(layers)})


def value(stored):
    return lambda d, a: d["parameters"].update(filters=stored)


def many_norms(d, a):
    d["network"]["layers"] = {"tuple": [layer("batch_norm")] * 1000}
    for name in list(a):
        if not name.startswith("training"):
            del a[name]
    for i in range(1, 1001):
        for part in ("gamma", "beta", "running_mean", "running_variance"):
            a[f"batchnorm_{i}.{part}"] = np.ones(1)


def array_many_times(d, a):
    a["values.9"] = np.zeros(1 << 18)
    d["parameters"]["filters"] = [{"array": "values.9"}] * 1000


HUGE = 1 << 31
DOCUMENTS = {
    "wide dense": stack(layer("flatten"), layer("dense", units=10**9)),
    "wide convolution": stack(layer("conv2d", filters=1 << 40, kernel_size=3)),
    "far taps": stack(layer("max_pool2d", pool_size=2, stride=1, padding=HUGE - 1, dilation=HUGE)),
    "far taps in a wide image": lambda d, a: (
        d["network"].update(input_shape=[HUGE - 1, 1, 1]),
        stack(layer("max_pool2d", pool_size=2, stride=3, padding=HUGE - 1, dilation=HUGE))(d, a),
    ),
    "wide image": lambda d, a: d["network"].update(input_shape=[1 << 40, 1 << 20, 1]),
    "many layers": stack(*[layer("flatten")] * 10_000),
    "many norms": many_norms,
    "blocks in blocks": stack(same_path(60)),
    "branching blocks": stack(same_path(9)),
    "many frozen": lambda d, a: d["network"].update(frozen=[f"conv2d_1.kernel{i}" for i in range(10_000)]),
    "one array for many values": array_many_times,
    "wide text": value({"strings": ["<U1000000000", [1], ["a"]]}),
    "wide text, many times": value([{"strings": ["<U100000", [1], ["a"]]}] * 3000),
    "one long text among short ones": value({"strings": ["<U30000", [20_001], ["a" * 30_000, *["b"] * 20_000]]}),
    "text without values": value({"strings": ["<U9", [1 << 40], []]}),
    "objects without values": value({"objects": [[0, 1 << 62], []]}),
    "a long number": value({"number": ["<U1000000000", "a"]}),
    "a number like an array": value({"number": ["(1000000000,)f8", 1.0]}),
    "lists": value([[]] * 60_000),
    "dicts": value([{"dict": []}] * 20_000),
    "tuples": value([{"tuple": []}] * 20_000),
    "nested lists": value(json.loads("[" * 300 + "]" * 300)),
    "an unknown kind": value({"x" * 2_000_000: 1}),
    "many kinds": value({f"x{i}": 1 for i in range(40_000)}),
    "a long name of a plugin": value(
        {"plugin": {"family": "solvers", "name": "s" * 2_000_000, "made_with": None}}
    ),
    "a long name of a family": value({"plugin": {"family": "s" * 2_000_000, "name": "sgd", "made_with": None}}),
    "many plugins": lambda d, a: d.update(plugins=[["solvers", "sgd", "x", "1"]] * 10_000),
    "a long estimator": lambda d, a: d.update(estimator="x" * 2_000_000),
    "long parameters": lambda d, a: d["parameters"].update({"x" * 2_000_000: 1}),
    "a long activation": stack(layer("activation", activation="relu" * 100_000)),
    "code for a dtype": value({"number": ["5)", 1]}),
    "code for a parameter": lambda d, a: d["parameters"].update(dtype="(1+1)f4"),
    "damaged code for a parameter": lambda d, a: d["parameters"].update(dtype="5)"),
    "a long dtype": value({"number": ["f" * 2_000_000, 1]}),
    "large numbers": value([int("9" * 4000)] * 300),
}
LEGAL = ("many plugins", "large numbers")  # unusual, but harmless


@pytest.mark.parametrize("case", DOCUMENTS)
def test_hostile_documents(case, model, tmp_path):
    _, document, arrays = model
    document = json.loads(json.dumps(document))
    arrays = dict(arrays)
    DOCUMENTS[case](document, arrays)
    outcome = assert_cheap(tmp_path / "file", pack(document, arrays))
    assert (outcome == "loaded") == (case in LEGAL)


def around(header):
    """Return a file with this text as its header, and a correct checksum."""
    return with_right_checksum(len(header).to_bytes(8, "little") + header)


START = container._START + b"0" * 64 + b'","format":"pyconvx","version":"1","document":"'
ENTRY = b',"%d":{"dtype":"F32","shape":[%s],"data_offsets":[0,0]}'
HEADERS = {
    "huge tensors": START
    + b'{}"}'
    + b"".join(ENTRY % (i, b"4611686018427387903,4611686018427387903") for i in range(2000))
    + b"}",
    "many axes": START + b'{}"},"a":{"dtype":"F32","shape":[' + b"1," * 500_000 + b'1],"data_offsets":[0,4]}}',
    "empty tensors": START
    + b'{}"}'
    + b"".join(ENTRY % (i, b"0,4611686018427387903") for i in range(20_000))
    + b"}",
    "a deep header": START + b'{}"},"a":' + b"[" * 500_000,
    "a deep document": START + b"[" * 500_000 + b'"}}',
    "a long document": START + b"[],".join([b"["] + [b""] * 60_000) + b'0]"}}',
    "a header of spaces": START + b'{}"}}' + b" " * 3_000_000,
    "wide characters": START + b'{}\xf0\x9f\x98\x80"}' + b" " * 2_000_000 + b"}",
    "escapes": START + b"\\u0041" * 100_000 + b'"}}',
    "one key many times": START + b'{}"}' + b',"a":1' * 60_000 + b"}",
    "long digits": START + b'{}"},"a":' + b"9" * 2_000_000 + b"}",
}


@pytest.mark.parametrize("case", HEADERS)
def test_hostile_headers(case, tmp_path):
    assert assert_cheap(tmp_path / "file", around(HEADERS[case])) != "loaded"


def test_longest_header(tmp_path):
    """The header declares a length near the limit, but the file has no data."""
    for length in (container.LARGEST_HEADER, container.LARGEST_HEADER + 1, (1 << 64) - 1):
        data = length.to_bytes(8, "little") + container._START + bytes(200)
        assert assert_cheap(tmp_path / "file", data) != "loaded"


def test_mutated_files_are_cheap(model, tmp_path):
    chance = random.Random(1)
    for i in range(300):
        data = mutated_files.mutated(model[0], chance)
        assert_cheap(tmp_path / "file", with_right_checksum(data) if i % 2 else data)


def test_good_file_is_cheap(tmp_path):
    """The bound holds for real models: weights are read once and copied once."""
    from small import fitted, images, quick

    fitted(*images(), clf=quick(hidden_layer_sizes=(3000, 300), max_iter=1)).save(
        tmp_path / "clf", for_training=True
    )
    size = (tmp_path / "clf").stat().st_size
    assert size > 20 << 20
    outcome, peak, _ = cost_of_loading(tmp_path / "clf")
    assert outcome == "loaded"
    assert peak < 2.5 * size
