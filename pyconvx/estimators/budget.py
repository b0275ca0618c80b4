"""How large batches are and how many epochs a fit takes if nobody says so.

Few rows make few batches, and a network needs about a thousand steps of its solver however few rows there are: so
batches are smaller for few rows, and epochs more.
"""

import math
from typing import Any

_SMALLEST, _LARGEST = 16, 128  # rows of a batch
_BATCHES = 64  # of an epoch, which larger batches would fall short of
_STEPS = 2000  # of the solver
_FEWEST, _MOST = 20, 200  # epochs
_PATIENCE = 10  # epochs without improvement


def batch_size(value: Any, rows: int, *, of_numbers: bool) -> int:
    """Return the rows of a batch.

    "auto" is the power of two from ``rows / 64``, but from 16 to 128. For rows of numbers it is 128, near to the
    200 of scikit-learn's MLP: small data are one batch then, and a weight has the effect of repetition.
    """
    if value != "auto":
        return min(int(value), rows)
    size = 1 << (max(1, math.ceil(rows / _BATCHES)) - 1).bit_length()
    return min(_LARGEST if of_numbers else min(max(_SMALLEST, size), _LARGEST), rows)


def epochs(value: Any, rows: int, size: int) -> int:
    """Return how many epochs are wanted; "auto" is what makes 2,000 steps, but from 20 to 200."""
    if value != "auto":
        return int(value)
    return min(max(_FEWEST, math.ceil(_STEPS / math.ceil(rows / size))), _MOST)


def patience(value: Any, max_iter: Any, wanted: int) -> float:
    """Return after how many epochs without improvement training ends; "auto" goes by those that are wanted."""
    if value != "auto":
        return float(value)
    return max(_PATIENCE, wanted // 4) if max_iter == "auto" else _PATIENCE
