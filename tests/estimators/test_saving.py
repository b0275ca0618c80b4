"""Model files: what comes back, what is refused, and what survives a damaged file or disk."""

import json
import os
import pickle
import struct
import subprocess
import sys

import joblib
import mutated_files
import numpy as np
import pytest
from places import SUPPORT
from sklearn.base import clone
from small import fitted, images, quick, weights_of

import pyconvx
from pyconvx import CNNClassifier, ModelFileError, PluginError, activations, initializers
from pyconvx.estimators.saving import saved
from pyconvx.layers import Activation, BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D, Residual
from pyconvx.persistence import container, pack, unpack, write_file
from pyconvx.schedules import Cosine
from pyconvx.solvers import SGD, AdamW

X, Y = images()
X_NEW, Y_NEW = images(seed=5)
NAMES = np.array(["a", "bb", "ccc"])

CASES = {
    "defaults": {},
    "batch norm": {"batch_norm": True, "dropout": 0.2, "activation": "gelu"},
    "arrays": {"filters": np.array([4, 3]), "hidden_layer_sizes": [8], "kernel_size": np.int64(3)},
    "objects": {
        "layers": [
            Conv2D(3, initializer=initializers.VarianceScaling(1.5)), Activation(activations.registry.get("tanh")),
            Residual((Conv2D(3, padding="same"), BatchNorm()), (Conv2D(3, 1),)), MaxPool2D(2), Dropout(0.1),
            Flatten(), "activation", Dense(4),
        ],
        "solver": SGD(momentum=0.5), "learning_rate": Cosine(),
    },
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3, "max_iter": 3},
    "no tolerance": {"tol": 0.0, "class_weight": {0: 1.0, np.int64(1): 2.5, 2: 1}, "dtype": np.float32},
    "generator": {"random_state": np.random.RandomState(3), "solver": AdamW(weight_decay=0.1)},
}  # fmt: skip


def through_file(clf, tmp_path):
    clf.save(tmp_path / "clf.pyconvx", for_training=True)
    return pyconvx.load(tmp_path / "clf.pyconvx")


@pytest.mark.parametrize("case", CASES)
def test_loaded_equals_saved(case, tmp_path):
    """Predictions, parameters, attributes; and a further epoch, bit for bit."""
    clf = fitted(X, Y, **CASES[case])
    loaded = through_file(clf, tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(X_NEW), clf.predict_proba(X_NEW))
    same = {"dtype": loaded.dtype, "random_state": loaded.random_state}
    assert repr(loaded.get_params()) == repr({**clf.get_params(), **same})
    for name in vars(clf):
        assert hasattr(loaded, name)
    for name in ("loss_curve_", "best_loss_", "n_iter_", "t_", "validation_scores_", "n_parameters_"):
        assert getattr(loaded, name) == getattr(clf, name)
    assert weights_of(loaded) == weights_of(clf)
    assert isinstance(clone(loaded), CNNClassifier)
    if isinstance(clf.random_state, np.random.RandomState):
        assert loaded.random_state.randint(1 << 30) == clf.random_state.randint(1 << 30)
    for one in (clf, loaded):
        one.set_params(early_stopping=False, class_weight=None, max_iter=5)
    assert weights_of(clf.partial_fit(X, Y)) == weights_of(loaded.partial_fit(X, Y))


@pytest.mark.parametrize("labels", [
    NAMES[Y], NAMES[Y].astype(object), Y - 1.0, (Y > 0), Y.astype(np.uint8),
])  # fmt: skip
def test_labels(labels, tmp_path):
    clf = fitted(X, labels)
    loaded = through_file(clf, tmp_path)
    assert loaded.classes_.dtype == clf.classes_.dtype
    np.testing.assert_array_equal(loaded.predict(X_NEW), clf.predict(X_NEW))


def test_column_names(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X[:, :, 0, 0], columns=list("abcdef"))
    clf = fitted(frame, Y)
    loaded = through_file(clf, tmp_path)
    assert loaded.feature_names_in_.tolist() == list("abcdef")
    np.testing.assert_array_equal(loaded.predict(frame), clf.predict(frame))


@pytest.mark.parametrize(("parameters", "words"), [
    ({"scoring": lambda *_: 0.0}, "scoring=.*holds no code"),
    ({"solver": type("Mine", (SGD,), {})()}, "solver=.*no registered plugin"),
])  # fmt: skip
def test_what_cannot_be_saved(parameters, words, tmp_path):
    with pytest.raises(TypeError, match=words):
        fitted(X, Y, **parameters).save(tmp_path / "clf")
    assert not list(tmp_path.iterdir())


def test_arrays_are_there_for_other_readers(tmp_path):
    """The layout is that of safetensors: little more than the header's JSON is needed."""
    clf = fitted(X, Y)
    clf.save(tmp_path / "clf")
    data = (tmp_path / "clf").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    for name, array in clf.network_.parameters.items():
        start, end = header[name]["data_offsets"]
        found = np.frombuffer(data[8 + length + start : 8 + length + end], "<f8").reshape(header[name]["shape"])
        np.testing.assert_array_equal(found, array)
    assert length % 8 == 0


# -------------------------------------------------------------------------------------- plugins

PROVIDED = """
from pyconvx import activations
activations.registry.register("tests_doubled", type("Doubled", (), {
    "forward": lambda self, x: 2 * x, "backward": lambda self, dy, x, y: 2 * dy})())
"""


def test_missing_plugins_are_named(tmp_path):
    """A process that does not know the name of an activation cannot load what one that knows it has saved."""
    script = (
        PROVIDED
        + f"""
import sys
sys.path.insert(0, {str(SUPPORT)!r})
from small import fitted, images
fitted(*images(), activation="tests_doubled").save({str(tmp_path / "clf")!r})
"""
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    with pytest.raises(PluginError, match=r"clf: the model needs activation 'tests_doubled' of this process"):
        pyconvx.load(tmp_path / "clf")


def test_a_file_imports_nothing(tmp_path):
    """Names that look like modules are names; the canary is never imported."""
    (tmp_path / "canary_module.py").write_text("raise SystemExit('imported')")
    sys.path.insert(0, str(tmp_path))
    try:
        clf = fitted(X, Y)
        clf.save(tmp_path / "clf")
        document, arrays = unpack((tmp_path / "clf").read_bytes(), "clf")
        for name in ("canary_module", "canary_module:f", "../canary_module", "os.system"):
            changed = json.loads(json.dumps(document))
            changed["parameters"]["solver"] = {"plugin": {"family": "solvers", "name": name, "made_with": {}}}
            write_file(tmp_path / "other", pack(changed, arrays))
            with pytest.raises(PluginError, match="needs solver"):
                pyconvx.load(tmp_path / "other")
        assert "canary_module" not in sys.modules
    finally:
        sys.path.remove(str(tmp_path))


# --------------------------------------------------------------------------------- damaged files


@pytest.fixture(scope="module")
def small_file():
    return mutated_files.small_model()


def refused(data):
    with pytest.raises(ModelFileError):
        unpack(bytes(data), "damaged")


def test_every_prefix_and_every_bit(small_file):
    for end in range(len(small_file)):
        refused(small_file[:end])
    for place in range(len(small_file)):
        for bit in range(8):
            data = bytearray(small_file)
            data[place] ^= 1 << bit
            refused(data)
    refused(small_file + b"\0")


@pytest.mark.parametrize(("data", "words"), [
    (b"", "the file is empty"),
    (pickle.dumps({"a": 1}), "looks like a pickle, which is not read"),
    (b"PK\3\4" + bytes(200), "looks like a zip archive"),
    (bytes(300), "not a model file of pyconvx"),
    ((1 << 63).to_bytes(8, "little") + container._START + bytes(100), "header claims 9,223,372,036,854,775,808"),
    ((4096).to_bytes(8, "little") + container._START + bytes(100), r"truncated \(need 4,104 bytes, have"),
])  # fmt: skip
def test_what_else_a_file_may_be(data, words, tmp_path):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ModelFileError, match=f"file: .*{words}"):
        pyconvx.load(tmp_path / "file")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("compress", [0, 3, ("lzma", 3)])
def test_no_code_of_a_file_runs(compress, tmp_path):
    path, sprung = tmp_path / "clf", tmp_path / "sprung"
    joblib.dump(Trap(sprung), path, compress=compress)
    np.savez(tmp_path / "arrays.npz", a=np.ones(3))
    for file in (path, tmp_path / "arrays.npz"):
        with pytest.raises(ModelFileError, match="not a model file of pyconvx"):
            pyconvx.load(file)
        with pytest.raises(ModelFileError, match="not a model file of pyconvx"):
            quick(checkpoint=pyconvx.Checkpoint(file), resume=True).fit(X, Y)
    assert not sprung.exists()
    joblib.load(path)
    assert sprung.exists()


def with_checksum(header, data=b""):
    """A file around a header, valid or not, whose checksum is right."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return mutated_files.with_right_checksum(len(text).to_bytes(8, "little") + text + data)


def test_arrays_at_odd_addresses(tmp_path):
    """Ours begin at multiples of their numbers' sizes; those of another writer may follow an array of bytes."""
    labels = np.array([False, True, True, True, False])[np.arange(len(X)) % 5]
    clf = fitted(X, np.int8(labels))
    document, arrays = saved(clf)
    header, pieces, end = {"__metadata__": metadata(document=json.dumps(document))}, [], 0
    arrays |= {"values.0": arrays["values.0"].astype(np.int8)}
    assert next(iter(arrays)) == "values.0"
    codes = {"int8": "I8", "float64": "F64"}
    for name, array in arrays.items():
        size = array.nbytes
        header[name] = {
            "dtype": codes[array.dtype.name], "shape": [*array.shape], "data_offsets": [end, end + size],
        }  # fmt: skip
        pieces.append(array.tobytes())
        end += size
    text = json.dumps(header, separators=(",", ":")).encode()
    data = with_checksum(text + b" " * (-len(text) % 8), b"".join(pieces))
    assert not all(array.flags.aligned for array in unpack(data, "clf")[1].values())
    (tmp_path / "clf").write_bytes(data)
    copy = pyconvx.load(tmp_path / "clf")
    assert copy.predict_proba(X).tobytes() == clf.predict_proba(X).tobytes()
    for each in (clf, copy):
        each.partial_fit(X, np.int8(labels))
    assert weights_of(copy) == weights_of(clf)


def metadata(**changes):
    return {"sha256": "0" * 64, "format": "pyconvx", "version": "1", "document": "{}"} | changes


ARRAY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def one_array(**changes):
    return {"__metadata__": metadata(), "a": ARRAY | changes}


HEADERS = {
    "newer": ({"__metadata__": metadata(version="2")}, "written in format 2, this pyconvx reads format 1"),
    "no version": ({"__metadata__": {"sha256": "0" * 64, "document": "{}"}}, "must be the strings"),
    "number for text": ({"__metadata__": metadata(version=1)}, "must be the strings"),
    "one more": ({"__metadata__": metadata(more="x")}, "must be the strings"),
    "document": ({"__metadata__": metadata(document="{")}, "document: its JSON is damaged"),
    "deep document": ({"__metadata__": metadata(document="[" * 100_000)}, "nested too deeply"),
    "not a number": ({"__metadata__": metadata(document='{"a": NaN}')}, "NaN is no number"),
    "endless": ({"__metadata__": metadata(document='{"a": 1e999}')}, "1e999 is too large"),
    "many digits": ({"__metadata__": metadata(document='{"a": ' + "9" * 9999 + "}")}, "damaged"),
    "twice in the document": ({"__metadata__": metadata(document='{"a": 1, "a": 2}')}, "a key stands twice"),
    "entry": ({"__metadata__": metadata(), "a": [1]}, "expected dtype, shape and data_offsets"),
    "dtype": (one_array(dtype="O"), "unknown dtype 'O'"),
    "dtype of no kind": (one_array(dtype=["F32"]), "unknown dtype"),
    "overlap": ({"__metadata__": metadata(), "a": ARRAY, "b": ARRAY}, "16 bytes expected from 16 on"),
    "hole": (one_array(data_offsets=[8, 24]), "16 bytes expected from 0 on"),
    "span": (one_array(data_offsets=[0, 12]), "16 bytes expected from 0 on"),
    "negative": (one_array(shape=[-2, -2]), "must be lists of sizes"),
    "bool for a size": (one_array(shape=[True, 4]), "must be lists of sizes"),
    "float for a size": (one_array(shape=[2.0, 2]), "must be lists of sizes"),
    "overflow": (one_array(shape=[1 << 61, 1 << 61], data_offsets=[0, 0]), "expected from 0 on"),
    "axes": (one_array(shape=[1] * 40, data_offsets=[0, 4]), "must be lists of sizes"),
    "beyond the end": (one_array(shape=[1 << 40], data_offsets=[0, 4 << 40]), "truncated"),
    "three offsets": (one_array(data_offsets=[0, 16, 16]), "must be lists of sizes"),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_headers(case):
    """Refused before anything is made from them, though the checksum is right."""
    header, words = HEADERS[case]
    with pytest.raises(ModelFileError, match=words):
        unpack(with_checksum(header, bytes(16) if "a" in header else b""), "file")


def test_header_text():
    start = container._START + b"0" * 64 + b'"'
    for text, words in (
        (start + b"\xff}}", "damaged"),
        (start + b'},"a":' + b"[" * 100_000, "nested too deeply"),
        (start + b',"sha256":"x"}}', "a key stands twice"),
        (start + b'},"a":Infinity}', "Infinity is no number"),
        (start + b"}}", "must be the strings"),
    ):
        with pytest.raises(ModelFileError, match=words):
            unpack(with_checksum(text), "file")


def test_every_array_comes_back():
    rng = np.random.default_rng(0)
    arrays = {
        f"{dtype} {shape}": rng.integers(0, 2, shape).astype(dtype)
        for dtype in container._DTYPES.values() for shape in ((), (0,), (3,), (2, 0, 3), (2, 3, 1))
    }  # fmt: skip
    arrays |= {"big-endian": np.arange(3, dtype=">i4"), "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    document, found = unpack(pack({"a": [1, "x", None, 0.1]}, arrays), "file")
    assert document == {"a": [1, "x", None, 0.1]}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
        assert not found[name].flags.writeable


def document_of(clf, tmp_path):
    clf.save(tmp_path / "clf")
    return unpack((tmp_path / "clf").read_bytes(), "clf")


CHANGES = {
    "another estimator": (lambda d, a: d.update(estimator="Pipeline"), "holds no estimator, but 'Pipeline'"),
    "no estimator": (lambda d, a: d.pop("estimator"), "KeyError"),
    "no list": (lambda d, a: d.update(plugins=3), "holds no estimator"),
    "unknown parameter": (lambda d, a: d["parameters"].update(gpu=True), "unexpected keyword"),
    "illegal parameter": (lambda d, a: d["parameters"].update(max_iter=-1), "'max_iter' parameter"),
    "attribute": (lambda d, a: d["attributes"].update(predict=1), "it names"),
    "no classes": (lambda d, a: d["attributes"].pop("classes_"), "it names"),
    "fewer classes": (lambda d, a: d["attributes"].update(classes_={"tuple": [1]}), "classes_ cannot be"),
    "two classes": (
        lambda d, a: d["attributes"].update(classes_={"strings": ["<U1", [2], ["a", "b"]]}),
        r"2 classes, but the network gives \(3,\)",
    ),
    "features": (lambda d, a: d["attributes"].update(n_features_in_=35), "35 features, but the network takes"),
    "counter": (lambda d, a: d["training"].update(epoch=-1), "epoch cannot be -1"),
    "curve": (lambda d, a: d["training"].update(loss_curve=["a"]), "loss_curve cannot be"),
    "shape": (lambda d, a: d["network"].update(input_shape=[6, 6]), "input_shape must be three sizes"),
    "input": (lambda d, a: d["network"].update(input_shape=[6, 6, 2]), "conv2d_1.kernel must be an array"),
    "precision": (lambda d, a: d["network"].update(dtype="float16"), "dtype must be"),
    "other precision": (lambda d, a: d["network"].update(dtype="float32"), "there is .*float64"),
    "frozen": (lambda d, a: d["network"].update(frozen=["x"]), "frozen names"),
    "no layers": (lambda d, a: d["network"].update(layers={"tuple": []}), "arrays"),
    "text for layers": (lambda d, a: d["network"].update(layers={"tuple": ["conv2d"]}), "holds no estimator"),
    "no kernel": (lambda d, a: a.pop("conv2d_1.kernel"), "conv2d_1.kernel must be an array .* there is none"),
    "one array more": (lambda d, a: a.update(more=np.ones(3)), "no layer has the arrays more"),
    "solver's memory": (lambda d, a: a.update({"training.slots": np.ones((2, 3))}), "the solver's memory"),
    "best weights": (
        lambda d, a: a.update({"training.buffer": np.ones(3), "training.state_buffer": np.ones(0)}),
        "weights training.buffer are another network's",
    ),
    "kind": (lambda d, a: d["parameters"].update(solver={"eval": "1"}), "unknown kind of value 'eval'"),
    "two kinds": (lambda d, a: d["parameters"].update(solver={"tuple": [], "dict": []}), "must have one kind"),
    "array": (lambda d, a: d["parameters"].update(filters={"array": "nowhere"}), "damaged array"),
    "objects": (lambda d, a: d["parameters"].update(filters={"objects": [[1 << 40], []]}), "damaged objects"),
    "strings": (lambda d, a: d["parameters"].update(filters={"strings": ["O", [1], ["a"]]}), "damaged strings"),
    "family": (
        lambda d, a: d["parameters"].update(solver={"plugin": {"family": "os", "name": "system"}}),
        "no plugin is called",
    ),
    "arguments": (
        lambda d, a: d["parameters"].update(
            solver={"plugin": {"family": "solvers", "name": "sgd", "made_with": {"dict": [["rate", 1]]}}}
        ),
        "damaged plugin",
    ),
    "wide layer": (
        lambda d, a: d["network"]["layers"]["tuple"][0]["plugin"]["made_with"]["dict"][0].__setitem__(1, 1 << 60),
        "must be an array of shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_parts_that_do_not_fit(case, tmp_path):
    """Files with a right checksum whose parts contradict one another."""
    change, words = CHANGES[case]
    document, arrays = document_of(fitted(X, Y), tmp_path)
    change(document, arrays)
    write_file(tmp_path / "changed", pack(document, arrays))
    with pytest.raises(ModelFileError, match=f"changed: .*{words}"):
        pyconvx.load(tmp_path / "changed")


def test_mutated_files(capsys):
    """Random damage; `python tests/support/mutated_files.py 100000` does more of it."""
    mutated_files.main(2000)
    assert "checksum right: ModelFileError" in capsys.readouterr().out


@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop"])
def test_a_file_without_memory_holds_the_weights_alone(solver, tmp_path):
    clf = fitted(X, Y, solver=solver, hidden_layer_sizes=(200,))
    weights = clf.network_.buffer.nbytes + clf.network_.state_buffer.nbytes
    clf.save(tmp_path / "small")
    clf.save(tmp_path / "large", for_training=True)
    small, large = ((tmp_path / name).stat().st_size for name in ("small", "large"))
    assert small - weights < 8000
    assert large - small > clf._state.slots.nbytes - 100
    loaded = pyconvx.load(tmp_path / "small")
    np.testing.assert_array_equal(loaded.predict_proba(X_NEW), clf.predict_proba(X_NEW))
    assert (loaded.n_iter_, loaded.t_, loaded.loss_curve_) == (clf.n_iter_, clf.t_, clf.loss_curve_)


def test_training_goes_on_with_a_new_memory(tmp_path):
    """As if another solver had trained before: the weights and counters stay, Adam begins."""
    clf = fitted(X, Y, max_iter=5, shuffle=False)
    clf.save(tmp_path / "model")
    loaded = pyconvx.load(tmp_path / "model")
    clf._state.slots[:] = 0
    clf._state.step = 0
    for one in (clf, loaded):
        one.partial_fit(X, Y)
    assert weights_of(loaded) == weights_of(clf)
    assert loaded.n_iter_ == clf.n_iter_ == 6
    again = through_file(loaded, tmp_path)
    assert weights_of(again.partial_fit(X, Y)) == weights_of(loaded.partial_fit(X, Y))


def test_a_warm_start_after_early_stopping_keeps_the_best(tmp_path):
    clf = fitted(X, Y, early_stopping=True, validation_fraction=0.3, max_iter=6, warm_start=True, random_state=1)
    clf.save(tmp_path / "model")
    loaded = pyconvx.load(tmp_path / "model").set_params(scoring=lambda estimator, X, y: -1e9)
    best = weights_of(loaded)
    assert best == weights_of(clf)
    assert weights_of(fitted(X, Y, clf=loaded)) == best
