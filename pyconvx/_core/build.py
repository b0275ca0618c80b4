"""How the compiled loops were built, and which instruction-set level of them runs."""

from pyconvx import _ext
from pyconvx._ext import cpu

LEVEL: str = _ext.LEVEL
AVAILABLE: tuple[str, ...] = _ext.AVAILABLE
OPENMP: int = cpu.openmp()  # its version, as yyyymm; 0 for a build without threads
