"""Real packages for the tests of plugins."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

GROUP = "pyconvx.initializers"
GOOD = "class Good:\n    def __call__(self):\n        return 'good'\n\ndef plain():\n    return 'plain'\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Return a function that writes a package to a folder on sys.path: metadata, entry points, module."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(
        package: str, entries: str, module: str = "", code: str = GOOD, folder: str = "", group: str = GROUP
    ) -> Path:
        root = tmp_path / folder
        info = root / f"{package.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{entries}\n")
        if module:
            (root / f"{module}.py").write_text(code)
        importlib.invalidate_caches()
        return info

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]
