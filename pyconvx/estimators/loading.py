"""load: a fitted classifier from the file that `CNNClassifier.save` wrote."""

import os

from pyconvx.estimators._saving import restored
from pyconvx.estimators.classifier import CNNClassifier
from pyconvx.exceptions import ModelFileError, PluginError
from pyconvx.persistence import StrPath, read_file, unpack

_KINDS = {"CNNClassifier": CNNClassifier}
_LONGEST_TEXT = 2000  # characters of an error, which may quote the file


def load(path: StrPath) -> CNNClassifier:
    """Read a fitted classifier that ``save`` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    CNNClassifier
        It predicts, and trains on, as the saved one did.

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
        return restored(_KINDS, document, arrays)  # type: ignore[no-any-return]
    except PluginError as error:
        raise PluginError(f"{where}: {str(error)[:_LONGEST_TEXT]}") from error
    except (ModelFileError, ValueError) as error:
        raise ModelFileError(f"{where}: {str(error)[:_LONGEST_TEXT]}") from error
