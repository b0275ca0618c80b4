"""Types of the loops over channels; see channels.pyx for the formulas and shapes. Arrays of one dtype."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

LEVEL: str

def scale(x: Floats, factors: Floats, shifts: Floats | None, y: Floats, n_threads: int) -> None: ...
def products(x: Floats, y: Floats, sums: npt.NDArray[np.float64], out: Floats, n_threads: int) -> None: ...
def copy(x: Floats, from_column: int, y: Floats, to_column: int, width: int, n_threads: int) -> None: ...
