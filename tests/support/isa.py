"""The kernel modules of every instruction-set level that runs here, side by side in one process."""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

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


def check_threads_and_levels(module, run, dtype):
    """Run one kernel, ``run(module, dtype, n_threads)``, for 1 to 3 threads at each level.

    Any number of threads: equal bits. Levels with FMA: equal bits. Baseline: equal up to rounding.
    """
    by_level = {}
    for level in LEVELS:
        results = [run(load(module, level), dtype, n) for n in (1, 2, 3)]
        for other in results[1:]:
            for one, two in zip(results[0], other, strict=True):
                np.testing.assert_array_equal(one, two)
        by_level[level] = results[0]
    for level in FUSED:
        for one, two in zip(by_level[FUSED[0]], by_level[level], strict=True):
            np.testing.assert_array_equal(one, two)
    tolerance = 100 * np.finfo(dtype).eps
    for level in LEVELS:
        for one, two in zip(by_level["baseline"], by_level[level], strict=True):
            np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)
