"""pyconvx: convolutional networks for people who live in scikit-learn.

CNNClassifier        predicts classes
CNNRegressor         predicts numbers
CNNTransformer       what a layer sees, as features for other estimators
ImageScaler          standardises the channels of images
load                 an estimator from a file
Checkpoint           where a fit keeps what it has reached
layers               values to build networks from
architectures        named stacks of them
ops                  convolution and pooling on arrays
datasets             files of images and published data sets as arrays
filters              classic kernels, and a transformer that applies them
activations, initializers, losses, solvers, schedules
                     families of plugins, each with a registry
testing              checks for authors of plugins
"""

import importlib
import importlib.metadata
from pathlib import Path
from types import ModuleType

from pyconvx.estimators import Checkpoint, CNNClassifier, CNNRegressor, CNNTransformer, ImageScaler, load
from pyconvx.exceptions import (
    CheckpointError,
    DivergenceError,
    FlatImagesWarning,
    InputScaleWarning,
    ModelFileError,
    PluginError,
    TrainingWarning,
)
from pyconvx.inspection.versions import show_versions

__version__ = importlib.metadata.version("pyconvx")

__all__ = [
    "CNNClassifier",
    "CNNRegressor",
    "CNNTransformer",
    "Checkpoint",
    "CheckpointError",
    "DivergenceError",
    "FlatImagesWarning",
    "ImageScaler",
    "InputScaleWarning",
    "ModelFileError",
    "PluginError",
    "TrainingWarning",
    "get_include",
    "load",
    "show_versions",
]


def __getattr__(name: str) -> ModuleType:
    """Import the parts that `import pyconvx` alone does not need."""
    if name in ("datasets", "filters", "testing"):
        return importlib.import_module(f"pyconvx.{name}")
    raise AttributeError(f"module 'pyconvx' has no attribute {name!r}")


def get_include() -> str:
    """Directory of the C header for compiled activations, for a plugin's build."""
    return str(Path(__file__).parent / "include")
