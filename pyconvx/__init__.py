"""pyconvx: convolutional networks for people who live in scikit-learn."""

from pathlib import Path


def get_include() -> str:
    """Folder for a compiler's ``-I``, in which ``pyconvx/activation.h`` lies."""
    return str(Path(__file__).parent / "include")
