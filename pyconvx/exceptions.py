"""The exceptions and warnings of pyconvx; every other bad value raises a plain ValueError or TypeError.

All but CheckpointError, which is about the disk, are ValueErrors, so that code written for scikit-learn (such
as ``error_score`` of a grid search) handles them like any other fit that failed.
"""

__all__ = [
    "CheckpointError",
    "DivergenceError",
    "FlatImagesWarning",
    "InputScaleWarning",
    "ModelFileError",
    "PluginError",
    "TrainingWarning",
]


class PluginError(ValueError):
    """A plugin is unknown, broken, claimed twice, or breaks its contract."""


class DivergenceError(ValueError):
    """A loss, weight or output is NaN or infinite, or a plugin made such a number from finite ones."""


class ModelFileError(ValueError):
    """A model file or pickle is damaged, foreign, or newer than this version."""


class CheckpointError(OSError):
    """A checkpoint cannot be written, belongs to another fit, or is being written by another fit."""


class TrainingWarning(UserWarning):
    """Training does what its parameters say, but hardly what was meant, such as steps of length 0."""


class InputScaleWarning(UserWarning):
    """Samples reach far beyond the range in which networks learn well, or uint8 samples use little of theirs."""


class FlatImagesWarning(UserWarning):
    """Rows that look like flattened images are taken for images with one row of pixels."""
