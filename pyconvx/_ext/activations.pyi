"""Types of the compiled activations; see activations.pyx for what each argument holds."""

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]

LEVEL: str
TAG: str
ABI: int
FROM_OUTPUT: int
NON_DECREASING: int
NAMES: tuple[str, ...]

def capsule(name: str) -> Any: ...
def check_capsule(candidate: object) -> None: ...
def flags(capsule: Any) -> int: ...
def forward(capsule: Any, x: Array, y: Array, n_threads: int) -> None: ...
def backward(capsule: Any, v: Array, dy: Array, dx: Array, n_threads: int) -> None: ...
def add(x: Array, y: Array, out: Array, activated: Array | None, activation: object, n_threads: int) -> None: ...
