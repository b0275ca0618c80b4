"""Counter-based random numbers and dropout; see random.pyx for the formulas. All arrays C-contiguous."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

R = TypeVar("R", np.float32, np.float64)

LEVEL: str

def key(seed: int, purpose: int, epoch: int, sample: int) -> int: ...
def keys(
    seed: int, purpose: int, epoch: int, samples: npt.NDArray[np.int64], out: npt.NDArray[np.uint64]
) -> None: ...
def dropout(
    x: npt.NDArray[R], row_keys: npt.NDArray[np.uint64], rate: float, y: npt.NDArray[R], n_threads: int
) -> None: ...
def dropout_backward(
    dy: npt.NDArray[R], row_keys: npt.NDArray[np.uint64], rate: float, dx: npt.NDArray[R], n_threads: int
) -> None: ...
