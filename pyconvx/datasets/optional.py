"""Packages that pyconvx does without until they are needed."""

import importlib
from typing import Any


def require(module: str, package: str, extra: str) -> Any:
    """Import a module of an optional package; ImportError with a hint if it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise ImportError(f'this needs {package}: pip install "pyconvx[{extra}]"') from error
