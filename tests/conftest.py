"""Real packages for the tests of plugins; how hard the fuzz tests try, and how many cases they ran.

    pytest                                    "ci": 1,000 cases and more, new ones at each run
    pytest --hypothesis-profile=nightly       50,000 and more; `make fuzz`

Cases are random in both, so that every run tests new ones; a failure prints how to replay it.
"""

import ctypes
import importlib
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fuzzing
import pytest
from hypothesis import HealthCheck, settings

LEAST = 50_000  # cases of a nightly run
# A shared machine may be slow: a case may take long, but must come to an end (fuzzing.SECONDS).
COMMON = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
}
settings.register_profile("ci", max_examples=fuzzing.CI_CASES, **COMMON)
settings.register_profile("nightly", max_examples=fuzzing.NIGHTLY_CASES, **COMMON)
settings.load_profile("ci")


def pytest_configure(config):
    fuzzing.stderr = os.dup(2)  # not captured yet: a hanging case shows where it hangs


def _nightly(config):
    return config.getoption("--hypothesis-profile") == "nightly"


def pytest_sessionfinish(session):
    if _nightly(session.config) and fuzzing.cases.total() < LEAST:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter, config):
    if not _nightly(config):
        return
    terminalreporter.section("fuzz cases")
    for name, count in sorted(fuzzing.cases.items()):
        terminalreporter.line(f"{count:>8,}  {name}")
    total = fuzzing.cases.total()
    terminalreporter.line(f"{total:>8,}  in all{'' if total >= LEAST else f': fewer than {LEAST:,}'}")


class _FloatingPoint(ctypes.Structure):
    """The fenv_t of glibc on x86-64, of which the word for vectors matters."""

    _fields_ = [("x87", ctypes.c_uint32 * 7), ("vectors", ctypes.c_uint32)]


def _rounding():
    """Return how this thread rounds, flushes subnormal numbers and traps; None if that is not known."""
    if platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc":
        return None
    state = _FloatingPoint()
    ctypes.CDLL("libm.so.6").fegetenv(ctypes.byref(state))
    return state.x87[0] & 0xFFFF, state.vectors & ~0x3F  # without the flags of past exceptions


@pytest.fixture(autouse=True)
def same_rounding():
    """No test leaves the processor in another mode."""
    before = _rounding()
    yield
    assert _rounding() == before


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
