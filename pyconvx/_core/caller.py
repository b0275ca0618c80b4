"""Warnings that point at the user's line, however many of our own frames lie between."""

import sys
import warnings

_BETWEEN = {"pyconvx", "sklearn", "joblib", "contextlib"}


def warn_caller(text: str, category: type[Warning]) -> None:
    """Warn as of the line that called pyconvx, whether itself or through scikit-learn."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)
