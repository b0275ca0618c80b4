"""squareplus: a smooth ReLU without exponentials, compiled.

pyconvx finds it through the entry point in pyproject.toml. ``activation="squareplus"`` works as soon as this
package is installed, and runs inside the convolution and dense kernels.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from pyconvx_cython_activation import _squareplus

__all__ = ["SquarePlus"]


@dataclass(frozen=True)
class SquarePlus:
    """``(x + sqrt(x^2 + 4)) / 2``: Barron, "Squareplus: A Softplus-Like Algebraic Rectifier", 2021.

    It needs nothing but a capsule, from which pyconvx makes forward and backward on arrays.
    """

    name: ClassVar[str] = "squareplus"
    initializer: ClassVar[str] = "he_uniform"

    @property
    def capsule(self) -> Any:
        """The C functions, in a PyCapsule named ``pyconvx.activation.v1``."""
        return _squareplus.capsule
