"""What a bug report needs: versions, processor level, threads, plugins."""

import importlib.metadata
import platform
import sys

from pyconvx._core.build import AVAILABLE, LEVEL, OPENMP
from pyconvx._core.threads import available_cpus, resolve_threads
from pyconvx.registry.families import FAMILIES

_PACKAGES = ("pyconvx", "numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl")


def show_versions() -> None:
    """Print versions, the instruction-set level in use, OpenMP, thread counts and foreign plugins.

    Examples
    --------
    >>> import pyconvx
    >>> pyconvx.show_versions()  # doctest: +ELLIPSIS
    python: 3...
    """
    lines = {"python": sys.version.replace("\n", " "), "machine": platform.platform()}
    for package in _PACKAGES:
        lines[package] = importlib.metadata.version(package)
    lines["instruction set"] = f"{LEVEL} (available: {', '.join(AVAILABLE)})"
    lines["OpenMP"] = str(OPENMP) if OPENMP else "no: built without threads"
    lines["threads"] = f"{resolve_threads(None)} by default, {available_cpus()} processors available"
    foreign = [
        f"{row.name} ({family.group}) from {row.package} {row.version}: {row.status}"
        for family in FAMILIES.values()
        for row in family.registry.listing()
        if row.status != "built-in"
    ]
    lines["plugins"] = "; ".join(foreign) or "none besides the built-in ones"
    for name, value in lines.items():
        print(f"{name}: {value}")
