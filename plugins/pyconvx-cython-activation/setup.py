"""Builds the one extension module; everything else is in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import pyconvx

FOLDER = "src/pyconvx_cython_activation"

squareplus = Extension(
    "pyconvx_cython_activation._squareplus",
    [f"{FOLDER}/_squareplus.pyx", f"{FOLDER}/functions.c"],
    depends=[f"{FOLDER}/functions.h"],
    include_dirs=[FOLDER, pyconvx.get_include()],
    # -O3: at -O2 gcc does not vectorise these loops, which halves the speed of the layer they
    # run in. Without errno, sqrt is an instruction. Never -ffast-math: NaN must stay NaN.
    extra_compile_args=["-O3", "-fno-math-errno", "-fno-trapping-math"],
)

setup(ext_modules=cythonize([squareplus], build_dir="build"))
