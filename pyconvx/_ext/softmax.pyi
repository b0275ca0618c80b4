"""Types of softmax and its logarithm; see softmax.pyx for the formulas. Arrays of shape (N, K), of one dtype."""

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]

LEVEL: str

def softmax(x: FloatArray, y: FloatArray, n_threads: int) -> None: ...
def log_softmax(x: FloatArray, y: FloatArray, n_threads: int) -> None: ...
def softmax_backward(y: FloatArray, dy: FloatArray, dx: FloatArray, n_threads: int) -> None: ...
def log_softmax_backward(y: FloatArray, dy: FloatArray, dx: FloatArray, n_threads: int) -> None: ...
