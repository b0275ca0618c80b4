"""The adapter around initializers of other packages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyconvx.registry.guard import Guard


@dataclass(frozen=True)
class GuardedInitializer(Guard):
    """An initializer of another package, with checked arrays."""

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Draw an array; PluginError or DivergenceError if it is not finite float64 of that shape."""
        values = self.array("it", self.call("it", self.plugin, shape, fan_in, fan_out, rng), shape, np.float64)
        self.finite("it", values)
        return values
