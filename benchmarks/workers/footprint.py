"""What a package costs before it does anything: seconds to import it, bytes on the disk."""

import importlib
import importlib.metadata
import importlib.util
import re
import time
from pathlib import Path
from typing import Any

from common import Answer, answer


def seconds(package: str, **_: Any) -> Answer:
    """Return the time of ``import package`` in a process that has imported scikit-learn's model selection."""
    importlib.import_module("sklearn.model_selection")
    started = time.perf_counter()
    importlib.import_module(package)
    return {"figures": [time.perf_counter() - started]}


def size(package: str, **_: Any) -> Answer:
    """Return the MB of the package, and of what it requires unless scikit-learn requires it too."""
    common = _required("scikit-learn") | {"scikit-learn"}
    names = (_required(package) | {package}) - common
    return {"figures": [sum(map(_bytes, names)) / 1e6], "packages": sorted(names)}


def _required(package: str) -> set[str]:
    """Return the installed packages that this one needs, without extras."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        for requirement in importlib.metadata.requires(waiting.pop()) or []:
            name = re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
            if "extra ==" in requirement or name in found or not _installed(name):
                continue
            found.add(name)
            waiting.append(name)
    return found


def _installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _bytes(package: str) -> int:
    """Return the size of all files of the package without bytecode; for an editable install, of its folder."""
    files = importlib.metadata.files(package) or []
    paths = {Path(str(file.locate())) for file in files}
    spec = importlib.util.find_spec(package.replace("-", "_")) if package == "pyconvx" else None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        paths.update(Path(folder).rglob("*"))
    return sum(p.stat().st_size for p in paths if p.is_file() and "__pycache__" not in p.parts)


if __name__ == "__main__":
    answer(seconds=seconds, size=size)
