"""Builds the extension modules; everything else about the package stands in pyproject.toml.

Each ``.pyx`` is translated once and its C file compiled once per instruction-set
level, into ``pyconvx/_ext/<level>/``; ``pyconvx/_ext/__init__.py`` picks the level at import.

Environment
-----------
PYCONVX_NO_OPENMP=1   build without threads
PYCONVX_DEBUG=1       bounds, initialisation and None checks in the Cython code, assertions in C
PYCONVX_SANITIZE=...  address, undefined or thread: with that sanitizer, which ends the process at a finding
SOURCE_DATE_EPOCH     time that the files of an sdist bear, 1980 without it: the same sources give the same bytes
"""

import copy
import gzip
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

SOURCE = Path("pyconvx/_ext")
KERNELS = (
    "activations", "avg_pool", "batch_norm", "batches", "channels", "conv", "conv_gradient", "conv_input",
    "conv_winograd", "dense", "losses", "max_pool", "random", "softmax", "solver_steps",
)  # fmt: skip
DEBUG = os.environ.get("PYCONVX_DEBUG") == "1"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
    "cdivision": True,
    "embedsignature": True,
}
# No -ffast-math: it flushes subnormals in the whole process and breaks NaN.
# The vector width matters to clang alone, which otherwise halves AVX-512 vectors.
FLAGS = ["-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-mprefer-vector-width=512"]
X86_LEVELS = {"baseline": [], "v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4"]}
SANITIZERS = {None: "", "address": "address", "undefined": "undefined,float-cast-overflow", "thread": "thread"}
SANITIZER = SANITIZERS[os.environ.get("PYCONVX_SANITIZE")]
# Python's own flags hold -fwrapv, under which no overflow of an integer is a fault
SANITIZER_FLAGS = [f"-fsanitize={SANITIZER}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-fno-wrapv"]
IS_X86 = platform.machine() in ("x86_64", "AMD64")
LEVELS = X86_LEVELS if IS_X86 else {"baseline": []}
UTILITY = "pyconvx._ext._cyutility"


def openmp_flags():
    """Flags that compile and link a parallel loop here, or none."""
    if os.environ.get("PYCONVX_NO_OPENMP") == "1":
        return []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
        compiler = os.environ.get("CC", "cc").split()
        command = [*compiler, "-fopenmp", str(source), "-o", str(Path(folder, "probe"))]
        try:
            found = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            found = False
    if not found:
        print("pyconvx: no OpenMP here, building without threads", file=sys.stderr)
    return ["-fopenmp"] if found else []


def extension(name, source, level="baseline", openmp=()):
    flags = FLAGS if IS_X86 else FLAGS[:-1]
    sanitizer = SANITIZER_FLAGS if SANITIZER else []
    optimisation = ["-O1", "-g", "-UNDEBUG"] if DEBUG or SANITIZER else ["-O3", "-DNDEBUG", "-g0"]
    return Extension(
        f"pyconvx._ext.{name}",
        [source],
        include_dirs=["pyconvx/_ext", "pyconvx/include"],
        define_macros=[("PYCONVX_LEVEL", f'"{level}"')],
        depends=[str(p) for kind in ("h", "inc", "pxd") for p in sorted(SOURCE.rglob(f"*.{kind}"))]
        + ["pyconvx/include/pyconvx/activation.h"],
        # -march goes last, so that no CFLAGS of the builder raises or lowers a level
        extra_compile_args=[*optimisation, *sanitizer, *flags, *openmp, *LEVELS[level]],
        extra_link_args=[*sanitizer[:1], *openmp, *([] if DEBUG or SANITIZER else ["-Wl,-s"])],
    )


def extensions():
    """The modules with their .pyx sources: metadata and sdist need no Cython run."""
    openmp = openmp_flags()
    modules = [extension("cpu", str(SOURCE / "cpu.pyx"), openmp=openmp)]
    for level in LEVELS:
        for kernel in KERNELS:
            modules.append(extension(f"{level}.{kernel}", str(SOURCE / f"{kernel}.pyx"), level, openmp))
    return modules


class build_levels(build_ext):
    """Translate each .pyx once, then compile its C file for each level, in parallel."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self):
        from Cython.Build import cythonize

        build = Path("build/cython-debug" if DEBUG else "build/cython")
        translated = cythonize(
            [Extension(f"pyconvx._ext.{name}", [str(SOURCE / f"{name}.pyx")]) for name in ("cpu", *KERNELS)]
            # this last one Cython writes itself, into build_dir
            + [Extension(UTILITY, ["pyconvx/_ext/_cyutility.c"])],
            build_dir=str(build),
            compiler_directives=DIRECTIVES,
            shared_utility_qualified_name=UTILITY,
            include_path=["."],
        )
        c_files = {module.name.rpartition(".")[2]: module.sources for module in translated}
        for module in self.extensions:
            module.sources = list(c_files[module.name.rpartition(".")[2]])
        shared = extension("_cyutility", c_files["_cyutility"][0])
        shared._full_name = shared.name  # as setuptools sets on the modules it was given
        shared._links_to_dynamic = shared._needs_stub = False
        shared._file_name = self.get_ext_filename(shared.name)
        self.extensions.append(shared)
        self.ext_map[shared.name] = self.ext_map["_cyutility"] = shared
        if self.inplace:
            for level in LEVELS:
                (SOURCE / level).mkdir(exist_ok=True)
        super().run()

    def build_extension(self, module):
        # every level compiles the same conv.c: a folder each, or they overwrite one another's conv.o
        alone = copy.copy(self)
        alone.build_temp = os.path.join(self.build_temp, module.name)
        super(build_levels, alone).build_extension(module)


class same_bytes(sdist):
    """An archive that depends on the files' names, contents and executable bits alone."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, owner=None, group=None):
        if format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, owner, group)
        time = int(os.environ.get("SOURCE_DATE_EPOCH", 315_532_800))

        def plain(entry):
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = time
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            return entry

        path = f"{base_name}.tar.gz"
        with (
            open(path, "wb") as file,
            gzip.GzipFile("", "wb", mtime=time, fileobj=file) as packed,
            tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(Path(root_dir or ".", base_dir), base_dir, filter=plain)  # in the order of names
        return path


setup(ext_modules=extensions(), cmdclass={"build_ext": build_levels, "sdist": same_bytes})
