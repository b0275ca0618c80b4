"""Names for the types that signatures repeat."""

from typing import Any

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]
FloatArray = npt.NDArray[np.floating[Any]]
Array = npt.NDArray[Any]
Pair = tuple[int, int]
Padding = int | str | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]
