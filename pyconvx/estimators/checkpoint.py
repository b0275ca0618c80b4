"""Checkpoints: what a fit has reached, in a file, so that a later fit goes on as if nothing had happened."""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyconvx._core.caller import warn_caller
from pyconvx._core.types import Array
from pyconvx.estimators import constraints as rule
from pyconvx.estimators.examples import Examples
from pyconvx.estimators.saving import restored, saved
from pyconvx.estimators.targets import Targets
from pyconvx.exceptions import CheckpointError, ModelFileError
from pyconvx.persistence import StrPath, Writer, pack, permissions_of, read_file, unpack, write_file

try:
    import fcntl
except ImportError:  # no such locks on this system: two fits may then write one file, each as a whole
    fcntl = None  # type: ignore[assignment]

# parameters that do not change what is learnt
_WITHOUT_EFFECT = {"n_jobs", "verbose", "checkpoint", "resume", "init_from"}  # of the last the numbers count


@dataclass(frozen=True)
class Checkpoint:
    """Where `fit` keeps what it has reached, and how often.

    Parameters
    ----------
    path : str or path-like
        A model file, which `pyconvx.load` reads too.
    every : "epoch" or float, default="epoch"
        At the end of each epoch, or of the first one after so many seconds.
    """

    path: StrPath
    every: Any = "epoch"


def is_checkpoint(value: Any) -> bool:
    """Return whether a parameter is a legal checkpoint."""
    if not isinstance(value, Checkpoint):
        return False
    every = value.every
    legal = every == "epoch" if isinstance(every, str) else rule.real(0).accepts(every)
    return legal and isinstance(value.path, (str, os.PathLike))


class CheckpointWriter:
    """Writes one fit's checkpoints; no other fit gets the path while it is open.

    Parameters
    ----------
    checkpoint : Checkpoint
    fingerprint : dict
        Of parameters and data, see `fingerprint_of`.

    Attributes
    ----------
    done : int
        Epochs of this fit that the checkpoint holds.
    stopped : bool or None
        Whether training ended early; None while it goes on.
    """

    def __init__(self, checkpoint: Checkpoint, fingerprint: dict[str, Any]) -> None:
        self._path, self._every = Path(checkpoint.path), checkpoint.every
        self._fingerprint = fingerprint
        self._lock: int
        self._written, self._pending = -np.inf, False
        self.done = 0
        self.stopped: bool | None = None

    def __enter__(self) -> "CheckpointWriter":
        try:
            permissions_of(self._path)
        except OSError as error:
            raise CheckpointError(f"no checkpoint can be written here: {error}") from error
        self._lock = _locked(self._path)
        return self

    def __exit__(self, *error: object) -> None:
        _release(self._path, self._lock)

    def resume(self, estimator: Any, targets: Targets, wanted: int) -> bool:
        """Give an estimator of these targets what the checkpoint holds; returns False if there is none.

        `wanted` is the number of epochs that `max_iter` stands for.
        """
        where = os.fspath(self._path)
        try:
            data = read_file(self._path)
        except FileNotFoundError:
            return False
        document, arrays = unpack(data, where)
        progress = document.get("progress") if isinstance(document, dict) else None
        if not isinstance(progress, dict) or set(progress) != {"fingerprint", "done", "stopped"}:
            raise ModelFileError(f"{where}: it holds an estimator, but no checkpoint of a fit")
        prolonged = _same_fit(where, progress["fingerprint"], self._fingerprint)
        try:
            before = restored({type(estimator).__name__: type(estimator)}, document, arrays)
        except ModelFileError as error:
            raise ModelFileError(f"{where}: {error}") from error
        if type(progress["done"]) is not int or progress["stopped"] not in (None, True, False):
            raise ModelFileError(f"{where}: damaged progress {progress['done']!r}, {progress['stopped']!r}")
        targets_there = before._target_type.of(before)
        if not targets.same_as(targets_there):
            raise ModelFileError(
                f"{where}: its {targets.noun} are {targets_there.shown()[:200]}, those of y {targets.shown()}"
            )
        if prolonged:
            _refuse_prolonging(where, estimator, before, progress["done"], wanted)
        estimator.network_, estimator._state = before.network_, before._state
        vars(estimator).update(targets_there.fitted())
        self.done, self.stopped = progress["done"], progress["stopped"]
        if self.stopped is False and self.done < wanted:
            self.stopped = None  # it ended because it had reached a smaller max_iter
        return True

    def save(self, estimator: Any, done: int, stopped: bool | None = None, *, now: bool = False) -> None:
        """Write the checkpoint if it is due; training goes on if that fails."""
        self.done, self.stopped, self._pending = done, stopped, True
        due = self._every == "epoch" or time.monotonic() - self._written >= self._every
        if not (due or now):
            return
        document, arrays = saved(estimator)
        document["progress"] = {"fingerprint": self._fingerprint, "done": done, "stopped": stopped}
        try:
            write_file(self._path, pack(document, arrays))
        except OSError as error:
            warn_caller(
                f"checkpoint {os.fspath(self._path)!r} was not written: {error}. Training goes on; what was there "
                "before is still there",
                RuntimeWarning,
            )
        self._written, self._pending = time.monotonic(), False

    def save_pending(self, estimator: Any, done: int) -> None:
        """Write what an interrupted fit has reached, if that is `done` epochs and not written yet."""
        if self._pending and done == self.done:
            self.save(estimator, done, self.stopped, now=True)


def fingerprint_of(estimator: Any, data: Sequence[Array], validation: Examples | None) -> Any:
    """Return what two fits have in common that end alike: parameters, and a hash of the data."""
    writer = Writer()
    parameters = {}
    for name, value in estimator.get_params(deep=False).items():
        if name not in _WITHOUT_EFFECT:
            parameters[name] = json.dumps(writer.write(value, name))
    digest = hashlib.sha256()
    for array in (*writer.arrays.values(), *data):
        _add(digest, array)
    if validation is not None:
        for array in (validation.X, validation.y, validation.weights):
            _add(digest, array)
    return {"parameters": parameters, "shape": list(data[0].shape), "data": digest.hexdigest()}


def _add(digest: Any, array: Array) -> None:
    """Hash kind, shape and numbers of an array, a piece at a time."""
    digest.update(f"{array.dtype.str} {array.shape} ".encode())
    if array.dtype.kind == "O":
        digest.update(repr(array.tolist()).encode())
        return
    array = np.atleast_1d(array)
    rows = max(1, (1 << 22) // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        digest.update(np.ascontiguousarray(array[start : start + rows]).data)


def _refuse_prolonging(where: str, estimator: Any, before: Any, done: int, wanted: int) -> None:
    """Refuse another max_iter if the epochs so far would have been others with it."""
    if estimator._has_plan():
        raise CheckpointError(
            f"{where} is the checkpoint of a fit with max_iter={before.max_iter}, now it is {estimator.max_iter}. "
            f"learning_rate={estimator.learning_rate!r} spreads over max_iter epochs, so all steps would be "
            f"others: set max_iter={before.max_iter}, or resume=False to begin anew"
        )
    if done > wanted:
        raise CheckpointError(
            f"{where} holds {done} epochs, max_iter={estimator.max_iter} is fewer: raise it to {done} or more"
        )


def _same_fit(where: str, there: Any, here: dict[str, Any]) -> bool:
    """Refuse to go on with another fit's checkpoint, and say what differs; return whether max_iter does."""
    if there == here:
        return False
    if not isinstance(there, dict) or not isinstance(there.get("parameters"), dict):
        raise ModelFileError(f"{where}: it holds no checkpoint of a fit")
    old, new = there["parameters"], here["parameters"]
    names = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    if names == ["max_iter"] and {**there, "parameters": new} == here:
        return True
    changed = [f"{name} was {old.get(name)}, is {new.get(name)}" for name in names]
    if there.get("shape") != here["shape"]:
        changed.append(f"X had shape {there.get('shape')}, has {here['shape']}")
    raise CheckpointError(
        f"{where} is the checkpoint of another fit: {'; '.join(changed) or 'the data are others'}. "
        "Restore what differs, give another path, or set resume=False"
    )


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _locked(path: Path) -> int:
    """Return the descriptor of a lock that ends with the process; CheckpointError if another fit holds it."""
    lock = _lock_of(path)
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            what = f"no checkpoint can be written here: {error.strerror}"
            raise CheckpointError(error.errno, what, str(path)) from error
        if fcntl is None:
            return descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            what = "another fit is writing this checkpoint: give each fit a path of its own, and none to a search"
            raise CheckpointError(error.errno, what, str(path)) from error
        except FileNotFoundError:
            pass  # its last owner has just removed it
        os.close(descriptor)


def _release(path: Path, descriptor: int) -> None:
    """Remove the lock while it is still held, so that nobody locks a file that is already removed."""
    try:
        os.unlink(_lock_of(path))
    except OSError:
        pass  # somebody else has removed it, or the directory has become read-only: a lock holds no data
    finally:
        os.close(descriptor)
