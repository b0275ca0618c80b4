"""What a layer can do inside the loops of the layer before it: a max pool, a compiled activation, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import FloatArray
from pyconvx.ops import capsules, elementwise


@dataclass(frozen=True)
class Epilogue:
    """A max pool and then a compiled activation, on rows that are still in cache.

    Parameters
    ----------
    activation : compiled activation, optional
    pool : pooling layer, optional
        Its windows share no cell and lie inside the map.
    """

    activation: Any = None
    pool: Any = None

    def followed_by(self, other: Epilogue) -> Epilogue | None:
        """Return one epilogue that does both, or None if that is impossible.

        A pool may come before an activation that never decreases: the maximum is the same, and there are
        fewer cells to apply the function to.
        """
        if other.pool is None:
            return Epilogue(other.activation, self.pool) if self.activation is None else None
        if self.pool is not None or not (self.activation is None or self._has(capsules.NON_DECREASING)):
            return None
        return Epilogue(other.activation or self.activation, other.pool)

    @property
    def capsule(self) -> Any:
        """The compiled activation for the kernels; None without an activation."""
        return None if self.activation is None else self.activation.capsule

    def keeps_input(self, training: bool) -> bool:
        """Return whether backward needs the values before the activation."""
        return training and self.activation is not None and not self._has(capsules.FROM_OUTPUT)

    def _has(self, flag: int) -> bool:
        """Return whether the activation's capsule has a flag."""
        return bool(capsules.flags(self.activation.capsule) & flag)

    def multiply_derivative(self, values: FloatArray, dy: FloatArray, n_threads: int) -> None:
        """Multiply dy by the derivative of the activation, in place."""
        flat = dy.reshape(-1)
        threads = resolve_threads(n_threads)
        elementwise.activate_backward(self.capsule, values.reshape(-1), flat, flat, threads)


NOTHING = Epilogue()
