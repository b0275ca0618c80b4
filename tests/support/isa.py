"""The kernel modules of every instruction-set level that runs here, side by side in one process."""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

from pyconvx import _ext

LEVELS = _ext.AVAILABLE
# Bits are promised among levels with FMA; the baseline rounds each product and agrees to rounding.
FUSED = tuple(level for level in LEVELS if level != "baseline")


@cache
def load(kernel: str, level: str) -> ModuleType:
    """Import one module at one level, whatever level `pyconvx` itself has chosen."""
    (path,) = (Path(_ext.__file__).parent / level).glob(f"{kernel}.*.so")
    spec = importlib.util.spec_from_file_location(f"pyconvx._ext.{kernel}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert level == module.LEVEL
    return module
