"""Full and failing disks, and writers that die: what was saved before stays intact, and training continues."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from places import PYTHONPATH, SUPPORT
from small import fitted, images, weights_of

import pyconvx
from pyconvx import Checkpoint, ModelFileError
from pyconvx.estimators.checkpoint import CheckpointWriter
from pyconvx.persistence import write_file

X, Y = images()
HERE = str(SUPPORT)
OLD, NEW = b"old" * 1000, b"new" * 2000


# --- every call to the operating system, one after the other ---------------------------------------


def at_call(number, action, monkeypatch):
    """Make the n-th call for writing a file do `action` first; return the names of the calls so far."""
    calls = []

    def watched(name, original):
        def call(*arguments, **keywords):
            calls.append(name)
            if len(calls) == number:
                action()
            return original(*arguments, **keywords)

        return call

    for name in ("listdir", "open", "write", "fsync", "close", "replace"):
        monkeypatch.setattr(os, name, watched(name, getattr(os, name)))
    return calls


def test_data_reach_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        calls = at_call(0, None, patch)
        write_file(tmp_path / "file", NEW)
    steps = ["listdir", "open", "write", "fsync", "close", "replace", "open", "fsync", "close"]
    assert calls == steps


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_any_call_may_fail(code, tmp_path, monkeypatch):
    """The error is raised; the file is the old one or, after the rename, the new one; nothing else is left."""

    def fail():
        raise OSError(code, os.strerror(code))

    for number in range(1, 9):  # the last is the closing of the directory, all is done by then
        path = tmp_path / str(number) / "file"
        path.parent.mkdir()
        path.write_bytes(OLD)
        with monkeypatch.context() as patch:
            calls = at_call(number, fail, patch)
            with pytest.raises(OSError, match=os.strerror(code)) as caught:
                write_file(path, NEW)
        assert caught.value.errno == code
        assert path.read_bytes() == (NEW if "replace" in calls[: number - 1] else OLD)
        assert os.listdir(path.parent) == ["file"]


def test_ctrl_c_at_any_call(tmp_path, monkeypatch):
    """Check that there is the old file or the new one, and nothing beside it."""

    def interrupt():
        raise KeyboardInterrupt

    for number in range(1, 10):
        path = tmp_path / str(number) / "file"
        path.parent.mkdir()
        path.write_bytes(OLD)
        with monkeypatch.context() as patch:
            calls = at_call(number, interrupt, patch)
            with pytest.raises(KeyboardInterrupt):
                write_file(path, NEW)
        assert path.read_bytes() == (NEW if "replace" in calls[: number - 1] else OLD)
        assert os.listdir(path.parent) == ["file"]


KILLED = """
import os, signal, sys
import pytest
from test_disk import NEW, OLD, at_call
from pyconvx.persistence import write_file
path = sys.argv[1]
for number in range(1, 10):
    write_file(path, OLD)
    assert os.listdir(os.path.dirname(path)) == ["file"]
    child = os.fork()
    if child == 0:
        at_call(number, lambda: os.kill(os.getpid(), signal.SIGKILL), pytest.MonkeyPatch())
        write_file(path, NEW)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert open(path, "rb").read() == (NEW if number > 6 else OLD)
print("done")
"""


def test_killed_at_every_call(tmp_path):
    """The file is the complete old or new one; the next writer removes the leftovers of the killed one."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", KILLED, str(tmp_path / "file")]
    run = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.stdout == "done\n", run.stderr


def test_a_failed_checkpoint_is_told_and_nothing_more(tmp_path, monkeypatch):
    """The checkpoint of epoch 2 fails: the older one loads, and training ends with the same result."""
    count, fsync = [0], os.fsync

    def failing(descriptor):
        count[0] += 1
        if count[0] == 5:  # twice for each checkpoint, the first of them before training
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    seen = []
    checkpoint = Checkpoint(tmp_path / "fit")
    monkeypatch.setattr(os, "fsync", failing)
    save = CheckpointWriter.save

    def watched(self, clf, done, *rest, **options):
        save(self, clf, done, *rest, **options)
        seen.append(pyconvx.load(tmp_path / "fit").n_iter_)

    monkeypatch.setattr(CheckpointWriter, "save", watched)
    with pytest.warns(RuntimeWarning, match="was not written: .*Input/output error.* Training goes on"):
        clf = fitted(X, Y, max_iter=3, checkpoint=checkpoint)
    assert seen == [0, 1, 1, 3]
    assert weights_of(clf) == weights_of(fitted(X, Y, max_iter=3))


# --- real file systems -----------------------------------------------------------------------------

MOUNTED = f"""
import errno, os, subprocess, sys, warnings
sys.path.insert(0, {HERE!r})
from small import fitted, images, quick, weights_of
import pyconvx
from pyconvx import Checkpoint, CheckpointError
X, y = images()
folder = sys.argv[1]
path = os.path.join(folder, "fit")
def fit_and_warnings(**parameters):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf = quick(**parameters).fit(X, y)
    return clf, [str(w.message) for w in caught if w.category is RuntimeWarning]
"""
FULL = """
clf, warned = fit_and_warnings(filters=(40,), max_iter=3, checkpoint=Checkpoint(path))
assert len(warned) == 3 and all("No space left on device" in text for text in warned), warned
assert weights_of(clf) == weights_of(fitted(X, y, filters=(40,), max_iter=3))
older = pyconvx.load(path)
assert older.n_iter_ == 0
assert os.listdir(folder) == ["fit"]
try:
    clf.save(os.path.join(folder, "model"), for_training=True)
except OSError as error:
    assert error.errno == errno.ENOSPC
else:
    raise AssertionError("not refused")
assert os.listdir(folder) == ["fit"]
# with free space again the same fit continues, to the same result
subprocess.run(["mount", "-o", "remount,size=4m", folder], check=True)
resumed, warned = fit_and_warnings(filters=(40,), max_iter=3, checkpoint=Checkpoint(path), resume=True)
assert not warned and weights_of(resumed) == weights_of(clf)
print("done")
"""
READ_ONLY = """
clf, warned = fit_and_warnings(checkpoint=Checkpoint(path))
assert not warned
before = open(path, "rb").read()
subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
try:
    quick(checkpoint=Checkpoint(path)).fit(X, y)
except CheckpointError as error:
    assert error.errno == errno.EROFS and "no checkpoint can be written here: Read-only file system" in str(error)
else:
    raise AssertionError("not refused")
try:
    clf.save(path)
except OSError as error:
    assert error.errno == errno.EROFS and error.filename.startswith(folder)
else:
    raise AssertionError("not refused")
assert open(path, "rb").read() == before
assert pyconvx.load(path).predict(X).shape == (30,)
print("done")
"""


def mounts():
    """Return whether file systems can be mounted here, by root or in a new name space."""
    unshare = shutil.which("unshare")
    test = ["--mount", "--map-root-user", "--user", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return bool(unshare) and subprocess.run([unshare, *test], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not mounts(), reason="no file systems can be mounted here")
@pytest.mark.parametrize("case", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_file_systems(case, tmp_path):
    """A tmpfs with space for one checkpoint only, and one that became read-only."""
    script = Path(tmp_path, "script.py")
    script.write_text(MOUNTED + case)
    folder = tmp_path / "mounted"
    folder.mkdir()
    run = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "--user", "sh", "-c",
         f'mount -t tmpfs -o size=128k tmpfs "{folder}" && "{sys.executable}" "{script}" "{folder}"'],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.stdout == "done\n", run.stdout + run.stderr


WRITERS = f"""
import sys
sys.path.insert(0, {HERE!r})
from small import fitted, images
path, number = sys.argv[1], int(sys.argv[2])
clf = fitted(*images(), random_state=number)
print(flush=True)
for _ in range(12):
    clf.save(path)
"""


def test_writers_at_the_same_time(tmp_path):
    """A reader finds one or the other, always complete; no writer removes the temporary file of another."""
    path = tmp_path / "model"
    expected = [weights_of(fitted(X, Y, random_state=number)) for number in range(3)]
    fitted(X, Y, random_state=0).save(path)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITERS, path, str(number)], stdout=subprocess.PIPE)
        for number in range(3)
    ]
    for writer in writers:
        writer.stdout.readline()
    while any(writer.poll() is None for writer in writers):
        assert weights_of(pyconvx.load(path)) in expected
    for writer in writers:
        writer.stdout.close()
        assert writer.wait() == 0
    assert os.listdir(tmp_path) == ["model"]


def test_saving_over_a_file_that_is_mapped(tmp_path):
    """A reader that has the old file open can still read it; the name belongs to the new one."""
    path = tmp_path / "model"
    fitted(X, Y).save(path)
    before = path.read_bytes()
    mapped = np.memmap(path, np.uint8, "r")
    fitted(X, Y, random_state=1).save(path)
    assert mapped.tobytes() == before
    assert weights_of(pyconvx.load(path)) == weights_of(fitted(X, Y, random_state=1))


# --- models that are saved -----------------------------------------------------------------------


def test_what_is_no_file(tmp_path):
    clf = fitted(X, Y)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"old")
    os.symlink(tmp_path / "file", tmp_path / "link")
    for name in ("folder", "pipe", "link"):
        with pytest.raises(OSError, match=name):
            clf.save(tmp_path / name)
    for name in ("folder", "pipe", "absent"):
        with pytest.raises(OSError, match=name):
            pyconvx.load(tmp_path / name)
    with pytest.raises(ModelFileError, match="link: truncated"):  # followed when reading
        pyconvx.load(tmp_path / "link")
    with pytest.raises(OSError, match="nowhere"):
        clf.save(tmp_path / "nowhere" / "clf")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "link", "pipe"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """A limit on the size of files replaces a full disk."""
    script = f"""
import resource, signal, sys
sys.path.insert(0, {str(SUPPORT)!r})
from small import fitted, images, quick
clf = fitted(*images())
clf.save({str(tmp_path / "clf")!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    fitted(*images(), filters=(40,)).save({str(tmp_path / "clf")!r}, for_training=True)
except OSError as error:
    print(error.errno)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout.strip() == "27", run.stderr  # EFBIG
    assert os.listdir(tmp_path) == ["clf"]
    np.testing.assert_array_equal(pyconvx.load(tmp_path / "clf").predict(X), fitted(X, Y).predict(X))
