"""Checkpoints: a fit that is cut off and resumed ends as if nothing had happened; disks and locks."""

import copy
import itertools
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from places import SUPPORT
from small import Cut, cut_at, fitted, images, quick, weights_of

import pyconvx
from pyconvx import Checkpoint, CheckpointError, CNNClassifier, ModelFileError
from pyconvx.estimators.checkpoint import fingerprint_of
from pyconvx.training import Trainer

X, Y = images()
X_NEW, Y_NEW = images(seed=5)
CURVES = ("loss_curve_", "validation_scores_", "n_iter_", "t_", "best_loss_", "best_validation_score_")


CASES = {
    "plain": {},
    "everything": {
        "batch_norm": True, "dropout": 0.3, "learning_rate": "one_cycle", "solver": "adamw", "batch_size": 7,
    },
    "stops early": {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 1, "tol": 1.0},
    "adaptive": {"learning_rate": "adaptive", "solver": "sgd", "n_iter_no_change": 1, "tol": 10.0},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_resumed_ends_as_if_never_cut(case, epoch, tmp_path, monkeypatch):
    """A fit that is cut off and resumed ends with the bits of one that was not, whatever its parameters."""
    settings = {"max_iter": 6, **CASES[case]}
    whole = fitted(X, Y, **settings)
    checkpoint = Checkpoint(tmp_path / "fit")
    with monkeypatch.context() as patch:
        cut_at(epoch, patch)
        with pytest.raises(Cut):
            fitted(X, Y, **settings, checkpoint=checkpoint)
    resumed = fitted(X, Y, **settings, checkpoint=checkpoint, resume=True)
    assert weights_of(resumed) == weights_of(whole)
    for name in CURVES:
        assert getattr(resumed, name) == getattr(whole, name)
    again = fitted(X, Y, **settings, checkpoint=checkpoint, resume=True)
    assert weights_of(again) == weights_of(whole)
    assert again.n_iter_ == whole.n_iter_
    np.testing.assert_array_equal(pyconvx.load(tmp_path / "fit").predict(X_NEW), whole.predict(X_NEW))
    assert os.listdir(tmp_path) == ["fit"]


@pytest.mark.parametrize("case", ["plain", "stops early", "adaptive"])
def test_a_larger_max_iter_prolongs_a_fit(case, tmp_path):
    checkpoint = Checkpoint(tmp_path / "fit")
    settings = CASES[case]
    for epochs in (2, 3, 7):
        longer = fitted(X, Y, **settings, max_iter=epochs, checkpoint=checkpoint, resume=True)
        whole = fitted(X, Y, **settings, max_iter=epochs)
        assert weights_of(longer) == weights_of(whole)
        for name in CURVES:
            assert getattr(longer, name) == getattr(whole, name)
    assert (longer.n_iter_ < 7) == (case == "stops early")


def test_a_fit_that_was_cut_off_is_prolonged_or_shortened(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "fit")
    with monkeypatch.context() as patch:
        cut_at(3, patch)
        with pytest.raises(Cut):
            fitted(X, Y, max_iter=9, checkpoint=checkpoint)
    with pytest.raises(CheckpointError, match=r"holds 3 epochs, max_iter=2 is fewer: raise it to 3 or more$"):
        fitted(X, Y, max_iter=2, checkpoint=checkpoint, resume=True)
    for epochs in (3, 5, 12):
        resumed = fitted(X, Y, max_iter=epochs, checkpoint=checkpoint, resume=True)
        assert weights_of(resumed) == weights_of(fitted(X, Y, max_iter=epochs))


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_schedules_that_look_at_max_iter_cannot_be_prolonged(schedule, tmp_path):
    checkpoint = Checkpoint(tmp_path / "fit")
    fitted(X, Y, learning_rate=schedule, checkpoint=checkpoint)
    words = r"fit with max_iter=2, now it is 3\. learning_rate='\w+' spreads over max_iter .*: set max_iter=2, or"
    with pytest.raises(CheckpointError, match=words):
        fitted(X, Y, learning_rate=schedule, checkpoint=checkpoint, resume=True, max_iter=3)


def test_checkpoints_change_nothing(tmp_path):
    whole = fitted(X, Y)
    for every in ("epoch", 0, 0.5, 3600):
        assert weights_of(fitted(X, Y, checkpoint=Checkpoint(tmp_path / "fit", every))) == weights_of(whole)
    assert weights_of(fitted(X, Y, checkpoint=Checkpoint(str(tmp_path / "new")), resume=True)) == weights_of(whole)


def test_every_so_many_seconds(tmp_path, monkeypatch):
    """Hardly ever is once at the beginning and once at the end."""
    from pyconvx.estimators import checkpoint

    written = []
    monkeypatch.setattr(checkpoint, "write_file", lambda path, data: written.append(len(data)))
    fitted(X, Y, max_iter=5, checkpoint=Checkpoint(tmp_path / "fit", every=3600))
    assert len(written) == 2
    fitted(X, Y, max_iter=5, checkpoint=Checkpoint(tmp_path / "fit"))
    assert len(written) == 2 + 6


def test_a_warm_start_goes_on_from_its_own_checkpoint(tmp_path, monkeypatch):
    def half():
        return fitted(X, Y, warm_start=True)

    whole = fitted(X, Y, clf=half())
    path = Checkpoint(tmp_path / "fit")
    with monkeypatch.context() as patch:
        cut_at(1, patch)
        with pytest.raises(Cut):
            fitted(X, Y, clf=half().set_params(checkpoint=path))
    resumed = fitted(X, Y, clf=half().set_params(checkpoint=path, resume=True))
    assert weights_of(resumed) == weights_of(whole)
    assert resumed.n_iter_ == whole.n_iter_
    with pytest.raises(CheckpointError, match="the data are others"):
        fitted(X, Y, clf=fitted(X, Y, warm_start=True, random_state=1).set_params(
            random_state=0, checkpoint=path, resume=True))  # fmt: skip


@pytest.mark.parametrize(("data", "parameters", "words"), [
    ((X, Y), {"alpha": 0.1}, "alpha was 0.0001, is 0.1"),
    ((X, Y), {"max_iter": 3, "tol": 0.5}, "max_iter was 2, is 3; tol was"),
    ((X, Y), {"random_state": 1}, "random_state was 0, is 1"),
    ((X_NEW, Y), {}, "the data are others"),
    ((X, Y[::-1]), {}, "the data are others"),
    ((X[:20], Y[:20]), {}, r"X had shape \[30, 6, 6, 1\], has \[20, 6, 6, 1\]"),
    ((X, Y, np.arange(30) + 1.0), {}, "the data are others"),
    ((X, Y, {"X_val": X_NEW, "y_val": Y_NEW}), {}, "the data are others"),
])  # fmt: skip
def test_another_fit_is_refused(data, parameters, words, tmp_path):
    checkpoint = Checkpoint(tmp_path / "fit")
    fitted(X, Y, checkpoint=checkpoint)
    before = (tmp_path / "fit").read_bytes()
    clf = quick(checkpoint=checkpoint, resume=True, **parameters)
    with pytest.raises(CheckpointError, match=f"checkpoint of another fit: .*{words}"):
        fitted(*data, clf=clf)
    assert not hasattr(clf, "network_")
    assert (tmp_path / "fit").read_bytes() == before
    fitted(X, Y, checkpoint=checkpoint, resume=True, n_jobs=2, verbose=True)


def test_every_number_of_the_data_counts():
    """Arrays are hashed in pieces of 4 MB; the first, a middle and the last number of many pieces."""
    X = np.zeros((5, 3 << 20), np.uint8)
    found = {digest_of(X, np.zeros(5)), digest_of(X.astype(np.int8), np.zeros(5)), digest_of(X.T, np.zeros(5))}
    for place in ((0, 0), (2, 1 << 20), (4, -1)):
        X[place] = 1
        found.add(digest_of(X, np.zeros(5)))
        assert digest_of(np.asfortranarray(X), np.zeros(5)) in found
        X[place] = 0
    labels = [np.array(5), np.array(6), np.array(["a"]), np.array(["b"]), np.array(["a"], object), np.empty(0)]
    found |= {digest_of(X, y) for y in labels}
    assert len(found) == 12


def digest_of(*data):
    return fingerprint_of(CNNClassifier(), data, None)["data"]


def test_what_is_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="resume=True needs a checkpoint"):
        quick(resume=True).fit(X, Y)
    for wrong in ("path", Checkpoint(3), Checkpoint(tmp_path / "fit", every="batch"), Checkpoint("x", every=-1)):
        with pytest.raises(ValueError, match="'checkpoint' parameter"):
            quick(checkpoint=wrong).fit(X, Y)
    path = tmp_path / "fit"
    fitted(X, Y).save(path)
    with pytest.raises(ModelFileError, match="fit: it holds an estimator, but no checkpoint"):
        quick(checkpoint=Checkpoint(path), resume=True).fit(X, Y)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match="fit: truncated"):
        quick(checkpoint=Checkpoint(path), resume=True).fit(X, Y)


@pytest.mark.parametrize("every", ["epoch", 3600])
@pytest.mark.parametrize("random_state", [0, np.random.RandomState(3)])
def test_ctrl_c_keeps_the_last_whole_epoch(every, random_state, tmp_path, monkeypatch):
    """Even if no checkpoint was due; when resumed, the fit ends as if nothing had happened."""
    settings = {"max_iter": 4, "batch_size": 10}
    whole = fitted(X, Y, **settings, random_state=copy.deepcopy(random_state))
    checkpoint = Checkpoint(tmp_path / "fit", every)
    step, steps = Trainer._step, itertools.count(1)

    def interrupted(*arguments):
        if next(steps) == 8:  # of three an epoch
            raise KeyboardInterrupt
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fitted(X, Y, **settings, random_state=copy.deepcopy(random_state), checkpoint=checkpoint)
    assert pyconvx.load(tmp_path / "fit").n_iter_ == 2
    assert os.listdir(tmp_path) == ["fit"]
    resumed = quick(**settings, random_state=random_state, checkpoint=checkpoint, resume=True)
    assert weights_of(fitted(X, Y, clf=resumed)) == weights_of(whole)


def test_a_fit_without_a_seed_goes_on_with_the_one_it_drew(tmp_path, monkeypatch):
    settings = {"random_state": None, "max_iter": 3, "checkpoint": Checkpoint(tmp_path / "fit")}
    with monkeypatch.context() as patch:
        cut_at(1, patch)
        with pytest.raises(Cut):
            fitted(X, Y, **settings)
    drawn = pyconvx.load(tmp_path / "fit")._state.seed
    resumed = fitted(X, Y, **settings, resume=True)
    assert resumed._state.seed == drawn
    assert weights_of(resumed) == weights_of(fitted(X, Y, max_iter=3, random_state=Drawn(drawn)))


class Drawn(np.random.RandomState):
    """A generator whose first draw is known."""

    def __init__(self, value):
        super().__init__(0)
        self.value = value

    def randint(self, *_):
        """The known one."""
        return self.value


def test_a_terminated_fit_leaves_its_checkpoint(tmp_path):
    script = f"""
import sys
sys.path.insert(0, {str(SUPPORT)!r})
from small import images, quick
from pyconvx import Checkpoint
quick(max_iter=10**6, n_iter_no_change=10**6, checkpoint=Checkpoint({str(tmp_path / "fit")!r})).fit(*images())
"""
    with subprocess.Popen([sys.executable, "-c", script]) as fit:
        deadline = time.monotonic() + 60
        while not (tmp_path / "fit").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        fit.terminate()
        assert fit.wait(60) == -signal.SIGTERM
    assert pyconvx.load(tmp_path / "fit").predict(X).shape == Y.shape


def test_one_fit_at_a_time(tmp_path):
    """Another fit on the same path is refused while one runs, and only then."""
    from pyconvx.estimators.checkpoint import CheckpointWriter

    checkpoint = Checkpoint(tmp_path / "fit")
    with (
        CheckpointWriter(checkpoint, {}),
        pytest.raises(CheckpointError, match="another fit is writing this checkpoint"),
    ):
        quick(checkpoint=checkpoint).fit(X, Y)
    fitted(X, Y, checkpoint=checkpoint)
    assert os.listdir(tmp_path) == ["fit"]


def test_a_search_with_one_path_says_so(tmp_path):
    from sklearn.model_selection import GridSearchCV

    clf = quick(checkpoint=Checkpoint(tmp_path / "fit"), resume=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(CheckpointError, match="checkpoint of another fit"):
            GridSearchCV(clf, {"alpha": [1e-3, 1e-2]}, cv=2, error_score="raise").fit(X, Y)


def test_a_full_disk_costs_the_checkpoint_alone(tmp_path):
    """The limit falls between two checkpoints: a warning, the older one intact, the result returned."""
    script = f"""
import resource, signal, sys, warnings
sys.path.insert(0, {str(SUPPORT)!r})
from small import Cut, cut_at, fitted, images, quick, weights_of
from pyconvx import Checkpoint, load
from pyconvx.estimators.checkpoint import CheckpointWriter
X, y = images()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
save = CheckpointWriter.save
def limited(self, clf, done, *rest, **options):
    if done == 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    save(self, clf, done, *rest, **options)
CheckpointWriter.save = limited
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    clf = quick(max_iter=4, checkpoint=Checkpoint({str(tmp_path / "fit")!r})).fit(X, y)
messages = [str(w.message) for w in caught if w.category is RuntimeWarning]
assert len(messages) == 3 and all("was not written: [Errno 27]" in text for text in messages), messages
assert weights_of(clf) == weights_of(fitted(X, y, max_iter=4))
assert load({str(tmp_path / "fit")!r}).n_iter_ == 1
print("intact")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout.split() == ["intact"], run.stderr


def test_folders_that_cannot_be_written(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint can be written here: No such file") as caught:
        quick(checkpoint=Checkpoint(tmp_path / "nowhere" / "fit")).fit(X, Y)
    assert caught.value.errno == 2
    if os.path.isdir("/proc/self"):
        with pytest.raises(CheckpointError, match="no checkpoint can be written here"):
            quick(checkpoint=Checkpoint("/proc/self/fit")).fit(X, Y)


def test_killed_at_random_moments(tmp_path):
    script = SUPPORT / "killed_fits.py"
    run = subprocess.run(
        [sys.executable, script, "25", tmp_path], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.stdout.startswith("ends"), run.stdout + run.stderr
