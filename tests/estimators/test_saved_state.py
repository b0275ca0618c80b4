"""What a classifier's file and a checkpoint say of it, by themselves: names, rules, fingerprints, locks."""

import os

import numpy as np
import pytest
from small import fitted, images, quick

from pyconvx import Checkpoint, CheckpointError, ModelFileError, PluginError, load
from pyconvx.estimators import checkpoint as points
from pyconvx.estimators import saving
from pyconvx.estimators.examples import Examples
from pyconvx.estimators.targets import ClassTargets
from pyconvx.persistence import pack, unpack
from pyconvx.solvers import Adam

X, Y = images()


def test_rules():
    assert [saving._is_count(v) for v in (0, 2**62 - 1, 2**62, -1, True, 1.0)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert [saving._is_number(v) for v in (1.0, float("nan"), 1, "1.0", None)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert [saving._is_curve(v) for v in ([], [1.0], [1.0, 2], (1.0,), None)] == [True, True, False, False, False]
    rule = saving._or_none(saving._is_number)
    assert [rule(v) for v in (None, 1.0, 1)] == [True, True, False]


def test_plain_numbers():
    got = saving._plain([np.float64(1.5), [np.int8(2)], "a"])
    assert got == [1.5, [2], "a"]
    assert [type(value) for value in (got[0], got[1][0])] == [float, int]
    array = np.ones(2)
    assert saving._plain(array) is array


def test_tables():
    rules = {"a": saving._is_count, "b": saving._is_number, "c": saving._is_count}
    saving._check({"a": 1, "b": 1.0, "c": 2}, rules)
    saving._check({"a": 1, "b": 1.0}, rules, {"c"})
    for values in ({"a": 1, "b": 1.0}, {"a": 1, "b": 1.0, "c": 1, "d": 1}, {}):
        with pytest.raises(ModelFileError, match=r"^it names .*, expected a, b, c$"):
            saving._check(values, rules, {"a"} if "d" in values else ())
    with pytest.raises(ModelFileError, match=r"^b cannot be 1$"):
        saving._check({"a": 1, "b": 1, "c": 2}, rules)
    with pytest.raises(ModelFileError, match=rf"^a cannot be {'x' * 80}$"):
        saving._check({"a": "x" * 90, "b": 1.0, "c": 2}, rules)
    with pytest.raises(ModelFileError, match=rf"^it names {'y' * 200}, expected"):
        saving._check({"y" * 300: 1}, rules)


def test_the_document():
    clf = fitted(X, Y, early_stopping=True, validation_fraction=0.4, solver=Adam(beta_1=0.8), activation="tanh")
    document, arrays = saving.saved(clf)
    assert document.keys() == {"estimator", "parameters", "attributes", "network", "training", "plugins"}
    assert document["estimator"] == "CNNClassifier"
    assert document["plugins"] == []
    assert document["parameters"].keys() == clf.get_params(deep=False).keys() - {
        "checkpoint",
        "resume",
        "init_from",
    }
    assert document["parameters"]["activation"] == "tanh"
    assert document["parameters"]["solver"]["plugin"]["name"] == "adam"
    assert document["network"]["input_shape"] == [6, 6, 1]
    assert document["network"]["dtype"] == "float64"
    assert document["network"]["frozen"] == []
    assert "feature_names_in_" not in document["attributes"]
    assert document["attributes"]["n_iter_"] == clf.n_iter_
    assert document["attributes"]["scales_uint8_"] is False
    assert document["training"].keys() == saving._STATE.keys()
    assert document["training"]["solver"] == "Adam"
    names = set(clf.network_.parameters) | {"training.slots", "training.buffer", "training.state_buffer"}
    assert {name for name in arrays if not name.startswith("values.")} == names
    assert not any(name.startswith("training.b") for name in saving.saved(fitted(X, Y))[1])
    loaded = saving.restored({"CNNClassifier": type(clf)}, *unpack(pack(document, arrays), "file"))
    attributes = {name: value for name, value in vars(clf).items() if name.endswith("_") and name != "network_"}
    assert len(attributes) >= 15
    for name, value in attributes.items():
        np.testing.assert_array_equal(getattr(loaded, name), value)
    assert loaded._state.best.buffer.flags.writeable
    np.testing.assert_array_equal(loaded._state.best.buffer, clf._state.best.buffer)
    np.testing.assert_array_equal(loaded._state.slots, clf._state.slots)
    assert loaded.get_params()["solver"].beta_1 == 0.8


def single(arrays, name):
    arrays[name] = arrays[name].astype(np.float32)


DAMAGED = {
    "flat memory": (lambda d, a: a.update({"training.slots": np.empty(0)}), r"solver's memory has shape \(0,\)"),
    "memory of another kind": (lambda d, a: single(a, "training.slots"), "the solver's memory has shape"),
    "memory without an axis": (
        lambda d, a: a.update({"training.slots": a["training.slots"][0]}), "the solver's memory has shape"
    ),
    "best weights": (lambda d, a: a.update({"training.buffer": np.ones(3)}), "training.buffer are another"),
    "best states": (lambda d, a: a.update({"training.state_buffer": np.ones(3)}), "training.buffer are another"),
    "best kind": (lambda d, a: single(a, "training.buffer"), "training.buffer are another"),
    "half of the best": (lambda d, a: a.pop("training.state_buffer"), "KeyError: 'training.state_buffer'"),
    "four sizes": (lambda d, a: d["network"].update(input_shape=[6, 6, 1, 1]), "input_shape must be three sizes"),
    "no size": (lambda d, a: d["network"].update(input_shape=[6, 0, 1]), "input_shape must be three sizes"),
    "a tuple": (lambda d, a: d["network"].update(input_shape={"tuple": [6, 6, 1]}), "must be three sizes"),
    "frozen numbers": (lambda d, a: d["network"].update(frozen=[1]), "frozen must be names, got"),
    "frozen text": (lambda d, a: d["network"].update(frozen="x"), "frozen must be names, got"),
    "names of columns": (
        lambda d, a: d["attributes"].update(feature_names_in_={"objects": [[1], ["a"]]}), "1 names for 6 features"
    ),
    "no classes": (
        lambda d, a: d["attributes"].update(classes_={"strings": ["U1", [0], []]}), "classes_ cannot be"
    ),
    "long name": (lambda d, a: d.update(estimator="e" * 90), f"it holds no estimator, but '{'e' * 80}'$"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_parts_that_do_not_fit(case):
    change, words = DAMAGED[case]
    clf = fitted(X, Y, early_stopping=True, validation_fraction=0.4)
    document, arrays = unpack(pack(*saving.saved(clf)), "file")
    change(document, arrays)
    with pytest.raises(ModelFileError, match=words):
        saving.restored({"CNNClassifier": type(clf)}, document, arrays)


def test_precision_and_plugins_of_a_file():
    clf = fitted(X.astype(np.float32), Y)
    document, arrays = unpack(pack(*saving.saved(clf)), "file")
    loaded = saving.restored({"CNNClassifier": type(clf)}, document, arrays)
    assert loaded.network_.dtype == np.float32
    document["plugins"] = [["solvers", "lion", "acme", "1.2"]]
    with pytest.raises(PluginError, match=r"needs solver 'lion' of acme 1\.2: unknown"):
        saving.restored({"CNNClassifier": type(clf)}, document, arrays)


def test_errors_of_loading_begin_with_the_path(tmp_path):
    path = tmp_path / "clf"
    document, arrays = saving.saved(fitted(X, Y))
    cases = {
        "not a model file of pyconvx": b"x" * 200,
        "it holds no estimator, but 'Other'": pack({**document, "estimator": "Other"}, arrays),
        "the model needs solver 'lion'": pack({**document, "plugins": [["solvers", "lion", "", ""]]}, arrays),
    }
    for words, data in cases.items():
        path.write_bytes(data)
        with pytest.raises((ModelFileError, PluginError), match=f"^{path}: {words}"):
            load(str(path))
        with pytest.raises((ModelFileError, PluginError), match=f"^{path}: {words}"):
            load(path)


def test_what_is_a_checkpoint(tmp_path):
    good = (Checkpoint("x"), Checkpoint(tmp_path, 0), Checkpoint("x", 0.5), Checkpoint("x", "epoch"))
    bad = (
        "x",
        None,
        Checkpoint(3),
        Checkpoint("x", True),
        Checkpoint("x", -1),
        Checkpoint("x", None),
        Checkpoint("x", "x"),
    )
    assert [points.is_checkpoint(value) for value in (*good, *bad)] == [True] * 4 + [False] * 7


def test_fingerprints():
    weights = np.ones(len(X))
    print_of = points.fingerprint_of
    first = print_of(quick(), (X, Y, weights), None)
    assert first["shape"] == [30, 6, 6, 1]
    assert first["parameters"]["alpha"] == "0.0001"
    assert not first["parameters"].keys() & {"n_jobs", "verbose", "checkpoint", "resume"}
    assert first == print_of(quick(n_jobs=2, verbose=True), (np.asfortranarray(X), Y, weights), None)
    others = [(X + 1e-9, Y, weights), (X, Y[::-1], weights), (X, Y, weights * 2), (X.astype("f4"), Y, weights)]
    for data in others:
        assert print_of(quick(), data, None)["data"] != first["data"]
    held = [
        Examples(rows, labels, Y, values, values, rows)
        for rows, labels, values in (
            (X, Y, weights),
            (X + 1, Y, weights),
            (X, Y[::-1], weights),
            (X, Y, weights * 2),
        )
    ]
    assert len({print_of(quick(), (X, Y, weights), v)["data"] for v in (None, *held)}) == 5
    assert not any("__" in name for name in print_of(quick(solver=Adam()), (X, Y, weights), None)["parameters"])
    with pytest.raises(TypeError, match=r"^scoring=.*: a model file holds no code"):
        print_of(quick(scoring=print), (X, Y, weights), None)
    seeds = [
        print_of(quick(random_state=np.random.RandomState(s)), (X, Y, weights), None)["data"] for s in (0, 0, 1)
    ]
    assert seeds[0] == seeds[1] != seeds[2]


class Collected:
    """Takes the pieces that a hash would."""

    def __init__(self):
        self.pieces = []

    def update(self, piece):
        self.pieces.append(bytes(piece))


def test_pieces_of_an_array():
    def pieces(array):
        found = Collected()
        points._add(found, array)
        return found.pieces

    array = np.arange(6.0).reshape(3, 2)
    assert pieces(array) == [b"<f8 (3, 2) ", array.tobytes()]
    assert pieces(array.T)[1] == np.ascontiguousarray(array.T).tobytes()
    assert pieces(np.array(["a", None], object)) == [b"|O (2,) ", b"['a', None]"]
    assert pieces(np.empty((0, 3))) == [b"<f8 (0, 3) "]
    wide = np.zeros((5, 1 << 18))  # two rows are 4 MiB
    wide[:, 0] = range(5)
    found = pieces(wide)
    assert [len(piece) for piece in found[1:]] == [2 << 21, 2 << 21, 1 << 21]
    assert b"".join(found[1:]) == wide.tobytes()
    assert len(pieces(np.zeros((2, 1 << 20)))) == 3


def test_what_differs():
    here = {"parameters": {"alpha": "1", "tol": "2"}, "shape": [3], "data": "x"}
    points._same_fit("file", dict(here), here)
    for there in ({}, None, {"parameters": 3}, []):
        with pytest.raises(ModelFileError, match=r"^file: it holds no checkpoint of a fit"):
            points._same_fit("file", there, here)
    cases = {
        "tol was 3, is 2. Restore": {**here, "parameters": {"alpha": "1", "tol": "3"}},
        "alpha was None, is 1; tol was 3, is 2. Restore": {**here, "parameters": {"tol": "3"}},
        "beta was 1, is None. Restore": {**here, "parameters": {**here["parameters"], "beta": "1"}},
        r"X had shape \[4\], has \[3\]. Restore": {**here, "shape": [4]},
        r"tol was 3, is 2; X had shape None, has \[3\]. Restore": {"parameters": {"alpha": "1", "tol": "3"}},
        "the data are others. Restore": {**here, "data": "y"},
    }
    for words, there in cases.items():
        with pytest.raises(CheckpointError, match=f"^file is the checkpoint of another fit: {words}"):
            points._same_fit("file", there, here)


def test_locks(tmp_path):
    path = tmp_path / "fit"
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        lock = points._locked(path)
        assert os.listdir(tmp_path) == [".fit.lock"]
        assert not (tmp_path / ".fit.lock").stat().st_mode & 0o111
        with pytest.raises(CheckpointError, match="another fit is writing this checkpoint") as caught:
            points._locked(path)
        assert caught.value.filename == str(path)
        assert isinstance(caught.value.__cause__, BlockingIOError)
        points._release(path, lock)
        assert os.listdir(tmp_path) == []
    lock = points._locked(path)
    (tmp_path / ".fit.lock").unlink()
    points._release(path, lock)
    with pytest.raises(CheckpointError, match=r"no checkpoint can be written here: No such file") as caught:
        points._locked(tmp_path / "nowhere" / "fit")
    assert (caught.value.errno, caught.value.filename) == (2, str(tmp_path / "nowhere" / "fit"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_progress_that_does_not_fit(tmp_path):
    clf = fitted(X, Y)
    path = tmp_path / "fit"
    document, arrays = saving.saved(clf)
    good = {"fingerprint": {"parameters": {}, "shape": [30]}, "done": 1, "stopped": None}
    with points.CheckpointWriter(Checkpoint(path), good["fingerprint"]) as saver:
        assert not saver.resume(clf, ClassTargets.of(clf), 3)
        assert (saver.done, saver.stopped) == (0, None)
        for done, stopped in ((1, None), (2, True), (3, False)):
            path.write_bytes(pack({**document, "progress": {**good, "done": done, "stopped": stopped}}, arrays))
            new = quick()
            assert saver.resume(new, ClassTargets.of(clf), 3)
            assert (saver.done, saver.stopped) == (done, stopped)
            np.testing.assert_array_equal(new.network_.buffer, clf.network_.buffer)
            assert new.classes_.tolist() == [0, 1, 2]
        path.write_bytes(pack({**document, "progress": {**good, "fingerprint": {"parameters": {"a": 1}}}}, arrays))
        with pytest.raises(CheckpointError, match=f"^{path} is the checkpoint of another fit"):
            saver.resume(quick(), ClassTargets.of(clf), 3)
        cases = {
            "holds an estimator, but no checkpoint": [None, 3, {**good, "more": 1}, {"done": 1}],
            "damaged progress": [{**good, "done": 1.0}, {**good, "done": True}, {**good, "stopped": 3}],
        }
        for words, values in cases.items():
            for value in values:
                path.write_bytes(pack({**document, "progress": value}, arrays))
                with pytest.raises(ModelFileError, match=f"^{path}: .*{words}"):
                    saver.resume(quick(), ClassTargets.of(clf), 3)
        path.write_bytes(pack([1], {}))
        with pytest.raises(ModelFileError, match=f"^{path}: .*no checkpoint"):
            saver.resume(quick(), ClassTargets.of(clf), 3)
        path.write_bytes(pack({**document, "estimator": "Other", "progress": good}, arrays))
        with pytest.raises(ModelFileError, match=f"^{path}: it holds no estimator, but 'Other'"):
            saver.resume(quick(), ClassTargets.of(clf), 3)


def test_when_a_checkpoint_is_due(tmp_path):
    clf, path = fitted(X, Y), tmp_path / "fit"
    with points.CheckpointWriter(Checkpoint(path, 3600), {}) as saver:
        saver.save(clf, 1)
        path.unlink()
        saver.save(clf, 2)
        assert not path.exists()
        saver.save(clf, 3, True, now=True)
        document, _ = unpack(path.read_bytes(), "file")
        assert document["progress"] == {"fingerprint": {}, "done": 3, "stopped": True}
        assert (saver.done, saver.stopped) == (3, True)
        path.unlink()
        saver.save(clf, 4)
        assert not path.exists()
        assert (saver.done, saver.stopped) == (4, None)
    with points.CheckpointWriter(Checkpoint(path, 0), {"a": 1}) as saver:
        saver.save(clf, 1)
        path.unlink()
        saver.save(clf, 2)
        assert unpack(path.read_bytes(), "file")[0]["progress"] == {
            "fingerprint": {"a": 1},
            "done": 2,
            "stopped": None,
        }
    words = f"checkpoint '{path}' was not written: .*no regular file"
    with points.CheckpointWriter(Checkpoint(path), {}) as saver:
        path.unlink()
        path.mkdir()
        with pytest.warns(RuntimeWarning, match=words):
            saver.save(clf, 1)
    with pytest.raises(CheckpointError, match=r"no checkpoint can be written here: .*no regular file"):
        points.CheckpointWriter(Checkpoint(path), {}).__enter__()
