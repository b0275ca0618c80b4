"""The contract of initializers, and their registry."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from pyconvx.initializers.guarded import GuardedInitializer
from pyconvx.registry import Registry
from pyconvx.registry.contracts import require

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
            How many inputs one output depends on, and how many outputs depend on one input.
        rng : numpy.random.Generator
            The only source of randomness.

        Returns
        -------
        ndarray of float64, of that shape
        """
        ...


def _verify(plugin: object) -> None:
    """Raise TypeError unless the plugin can be called as the contract says."""
    require(plugin, Initializer.__call__)


registry: Registry[Initializer] = Registry("pyconvx.initializers", _verify, GuardedInitializer)
