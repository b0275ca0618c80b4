"""Checks what an sdist and a wheel hold: sources, no tests in the wheel, its size, the right instructions.

python .ci/check_dist.py pyconvx-0.1.0.tar.gz pyconvx-0.1.0-*.whl
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

LIMIT = 6_000_000  # bytes of a wheel
# vector registers that a level must not use (here) and must use (below): SSE2 has neither, AVX2 no zmm
FORBIDDEN = {"baseline": ("%ymm", "%zmm"), "v3": ("%zmm",), "v4": ()}
WANTED = (
    "LICENSE",
    "Makefile",
    "pyconvx/_ext/conv.pyx",
    "pyconvx/_ext/README.md",
    "pyconvx/_ext/tile/__init__.pxd",
    "pyconvx/_ext/tile/microkernel.h",
    "pyconvx/_ext/tile/microkernel.pxd",
    "pyconvx/_ext/tile/tile.inc",
    "pyconvx/_ext/tuning.h",
    "pyconvx/include/pyconvx/activation.h",
    "pyconvx/py.typed",
    "tests/support/oracle.py",
)
REQUIRED = {"baseline": (), "v3": ("%ymm",), "v4": ("%zmm",)}


def output(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def check_sdist(path: Path) -> None:
    """Check that sources and tests are there, and nothing generated."""
    with tarfile.open(path) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    missing = [name for name in WANTED if name not in names]
    generated = [name for name in names if name.endswith((".so", ".pyc")) or name.startswith("build/")]
    if missing or generated:
        raise SystemExit(f"{path.name}: missing {missing}, generated {generated}")
    print(f"{path.name}: {path.stat().st_size:,} bytes, {len(names)} entries")


def check_wheel(path: Path) -> None:
    """Check that the wheel is small and stripped, and holds the package alone."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        names = archive.namelist()
        strange = [n for n in names if not n.startswith(("pyconvx/", "pyconvx-")) or n.endswith((".c", ".pyx"))]
        if size >= LIMIT or strange:
            raise SystemExit(f"{path.name}: {size:,} bytes (limit {LIMIT:,}), strange files {strange}")
        archive.extractall(folder)
        modules = sorted(Path(folder).rglob("*.so"))
        for module in modules:
            check_module(module)
    check_readme(size)
    print(f"{path.name}: {size:,} bytes, {len(modules)} modules, stripped")


def check_readme(size: int) -> None:
    """Check that the README quotes the size of the wheel; other versions of gcc make it a little different."""
    quoted = re.search(r"The wheel has ([\d.]+) MB", Path("README.md").read_text())
    if quoted is None or abs(float(quoted[1]) - size / 1e6) > 0.15:
        raise SystemExit(f"README.md says {quoted and quoted[0]!r}, the wheel has {size / 1e6:.2f} MB")


def check_module(module: Path) -> None:
    """Check that there is no symbol table, and no instruction beyond the level of the folder."""
    if shutil.which("readelf") and ".symtab" in output("readelf", "-S", "-W", str(module)):
        raise SystemExit(f"{module} is not stripped")
    level = module.parent.name if module.parent.name in FORBIDDEN else "baseline"
    if shutil.which("objdump") is None:
        return
    code = output("objdump", "-d", str(module))
    found = [register for register in FORBIDDEN[level] if register in code]
    lacking = [register for register in REQUIRED[level] if register not in code]
    if found or (lacking and module.name.startswith(("conv", "dense"))):
        raise SystemExit(f"{level}/{module.name}: holds {found}, lacks {lacking}")


if __name__ == "__main__":
    check_sdist(Path(sys.argv[1]))
    check_wheel(Path(sys.argv[2]))
