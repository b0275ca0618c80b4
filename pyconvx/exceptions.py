"""The errors that are pyconvx's own; every other bad value is a plain ValueError or TypeError.

All but CheckpointError, which is about the disk, are ValueErrors, so that code written for scikit-learn
(``error_score`` of a grid search, for one) treats them as it treats any other failed fit.
"""

__all__ = ["CheckpointError", "DivergenceError", "ModelFileError", "PluginError"]


class PluginError(ValueError):
    """A plugin is unknown, broken, claimed twice, or does not keep its contract."""


class DivergenceError(ValueError):
    """A loss, a weight or an output is NaN or infinite, or a plugin made such a number of finite ones."""


class ModelFileError(ValueError):
    """A model file or pickle is damaged, foreign, or newer than this version."""


class CheckpointError(OSError):
    """A checkpoint cannot be written, is another fit's, or another fit is writing it."""
