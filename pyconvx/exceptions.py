"""The errors that are pyconvx's own; every other bad value is a plain ValueError or TypeError.

All of them are ValueErrors, so that code written for scikit-learn (``error_score`` of a grid
search, for one) treats them as it treats any other failed fit.
"""

__all__ = ["DivergenceError", "ModelFileError", "PluginError"]


class PluginError(ValueError):
    """A plugin is unknown, broken, claimed twice, or does not keep its contract."""


class DivergenceError(ValueError):
    """Training met a loss or a weight that is not finite."""


class ModelFileError(ValueError):
    """A model file or pickle is damaged, foreign, or newer than this version."""
