"""Types of the compiled losses; see losses.pyx for the formulas. C-contiguous arrays."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

R = TypeVar("R", np.float32, np.float64)

LEVEL: str

def cross_entropy(
    logits: npt.NDArray[R], targets: npt.NDArray[np.int64], weights: npt.NDArray[R], smoothing: float,
    gradient: npt.NDArray[R], n_threads: int,
) -> float: ...  # fmt: skip
