"""Files that are replaced as a whole or not at all, even if the process dies or the disk is full."""

import os
import secrets
import socket
import stat
from pathlib import Path

StrPath = str | os.PathLike[str]

_BINARY = getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY


def write_file(path: StrPath, data: bytes) -> None:
    """Replace a file: write a temporary one beside it, sync it to the disk, and rename it.

    Raises
    ------
    OSError
        If it cannot be written, or the path is not a regular file. The file is then as it was before.
    """
    target = Path(path)
    mode = permissions_of(target)
    _remove_leftovers(target)
    temporary = target.with_name(f"{_stem(target)}{os.getpid()}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, _NEW, 0o666)
    try:
        _write(descriptor, temporary, data, mode)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(target.parent)


def read_file(path: StrPath) -> bytes:
    """Return the bytes of a regular file; OSError for anything else, also for a pipe without a writer."""
    descriptor = os.open(path, _READ)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{os.fspath(path)!r} is no regular file")
    with open(descriptor, "rb") as file:
        return file.read()


def permissions_of(target: Path) -> int | None:
    """Return the permissions of the file that a new one replaces, None if there is none; OSError for no file."""
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "no regular file"
        raise OSError(f"{os.fspath(target)!r} is {kind}: give the path of a file")
    return stat.S_IMODE(mode)


def _write(descriptor: int, temporary: Path, data: bytes, mode: int | None) -> None:
    """Write a new file and close it; when this returns, its data are on the disk."""
    try:
        if mode is not None:
            os.chmod(temporary, mode)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    """Make the rename permanent, on systems that can open a directory."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stem(target: Path) -> str:
    """Return how the names of this machine's temporary files begin; the number of the writing process follows."""
    return f".{target.name}.{socket.gethostname()}."


def _remove_leftovers(target: Path) -> None:
    """Delete the temporary files of processes that were killed while they wrote."""
    start = _stem(target)
    for name in os.listdir(target.parent):
        if not (name.startswith(start) and name.endswith(".tmp")):
            continue
        process = name[len(start) :].partition(".")[0]
        if process.isdigit() and not _lives(int(process)):
            target.with_name(name).unlink(missing_ok=True)


def _lives(process: int) -> bool:
    """Return whether a process with this number is running."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
