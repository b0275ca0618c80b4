"""A convolution that starts as the identity: each output is a copy of one input channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Dirac"]


@dataclass(frozen=True)
class Dirac:
    """A 1 at the centre tap of one channel per output, 0 elsewhere.

    Output ``oc`` copies channel ``oc % C`` of its group, so with ``C`` outputs, stride 1 and padding
    "same" the convolution returns its input. The filters are fixed, not random.
    """

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Return the array of float64 of that shape, which needs at least two axes."""
        if len(shape) < 2:
            raise ValueError(f"a dirac array needs at least two axes, got shape {shape}")
        channels, outputs = shape[-2:]
        kernel = np.zeros(shape)
        if not kernel.size:
            return kernel
        # padding "same" puts the smaller half first: the centre of an even window is (k - 1) // 2
        centre = tuple((size - 1) // 2 for size in shape[:-2])
        output = np.arange(outputs)
        kernel[centre][output % channels, output] = 1.0
        return kernel
