"""Types of the loops over rows of a data set; see batches.pyx. C-contiguous arrays."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

R = TypeVar("R", np.float32, np.float64)

LEVEL: str

def gather(
    X: npt.NDArray[Any], index: npt.NDArray[np.int64], out: npt.NDArray[R], scale: float, n_threads: int
) -> None: ...
def all_finite(values: npt.NDArray[R], n_threads: int) -> bool: ...
