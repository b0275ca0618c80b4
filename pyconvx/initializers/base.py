"""What an initializer is; this family's registry."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from pyconvx.registry import Registry
from pyconvx.registry.contracts import require
from pyconvx.registry.guard import Guard, is_foreign

__all__ = ["Initializer", "registry"]


class Initializer(Protocol):
    """Draws the starting values of one array of weights."""

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Draw an array.

        Parameters
        ----------
        shape : tuple of int
            ``(KH, KW, C/groups, OC)`` of a convolution, ``(inputs, outputs)`` of a dense layer.
        fan_in, fan_out : int
            Numbers of inputs that feed one output, and of outputs that one input feeds.
        rng : numpy.random.Generator
            The only source of randomness.

        Returns
        -------
        ndarray of float64, of that shape
        """
        ...


def _verify(plugin: object) -> None:
    require(plugin, Initializer.__call__)


registry: Registry[Initializer] = Registry("pyconvx.initializers", _verify)


def draw(
    initializer: Initializer,
    shape: tuple[int, ...],
    fan_in: int,
    fan_out: int,
    rng: np.random.Generator,
    where: str,
) -> npt.NDArray[np.float64]:
    """Starting values of the array `where`; PluginError where another package's breaks its contract."""
    if not is_foreign(initializer):
        return initializer(shape, fan_in, fan_out, rng)
    guard = Guard(registry, initializer, where)
    values = guard.call("it", initializer, shape, fan_in, fan_out, rng)
    guard.array("it", values, shape, np.float64)
    guard.finite("it", values)
    return values  # type: ignore[no-any-return]
