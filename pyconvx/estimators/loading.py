"""load: a fitted estimator from the file that its `save` wrote."""

import importlib
import os
from typing import Any

from pyconvx.estimators.base import BaseCNN
from pyconvx.estimators.saving import restored
from pyconvx.exceptions import ModelFileError, PluginError
from pyconvx.persistence import StrPath, read_file, unpack

_LONGEST_TEXT = 2000  # characters of an error, which may quote the file


def load(path: StrPath) -> Any:
    """Read a fitted estimator that ``save`` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    estimator
        Of the class that was saved, such as `CNNClassifier`. It predicts, and trains on, as the saved one did.

    Raises
    ------
    ModelFileError
        If the file is damaged, no model file, or of a newer format.
    PluginError
        If it needs a plugin that is not installed; the text names its package and version.
    OSError
        If it cannot be read.

    Notes
    -----
    No code is run from the file: it holds JSON and numbers under a checksum. A checksum finds damage, it does
    not tell who wrote the file.
    """
    where = os.fspath(path)
    document, arrays = unpack(read_file(path), where)
    try:
        return restored(_kinds(), document, arrays)
    except PluginError as error:
        raise PluginError(f"{where}: {str(error)[:_LONGEST_TEXT]}") from error
    except (ModelFileError, ValueError) as error:
        raise ModelFileError(f"{where}: {str(error)[:_LONGEST_TEXT]}") from error


def _kinds() -> dict[str, type[BaseCNN]]:
    """Return the estimators that a file may hold: those of this package, by name."""
    package = importlib.import_module("pyconvx.estimators")
    public = {name: getattr(package, name) for name in package.__all__}
    return {name: kind for name, kind in public.items() if isinstance(kind, type) and issubclass(kind, BaseCNN)}
