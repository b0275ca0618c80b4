"""Normal or uniform weights whose variance follows from the numbers of inputs and outputs.

All schemes are one formula, ``variance = scale / fan``; their names are at the end of this file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pyconvx._core.numbers import check_real

__all__ = [
    "VarianceScaling",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "xavier_fan_in_normal",
    "xavier_normal",
    "xavier_uniform",
]


@dataclass(frozen=True)
class VarianceScaling:
    """Weights of mean 0 and variance ``scale / fan``.

    Parameters
    ----------
    scale : float, default=1.0
        2 makes up for the half that a ReLU sets to zero.
    fan : {"in", "average"}, default="in"
        ``fan_in``, which keeps the scale of the forward pass, or ``(fan_in + fan_out) / 2``, a
        compromise with the backward pass.
    distribution : {"normal", "uniform"}, default="normal"
        Uniform weights lie within ``sqrt(3 * variance)`` of 0. Normal ones are not truncated.
    """

    scale: float = 1.0
    fan: Literal["in", "average"] = "in"
    distribution: Literal["normal", "uniform"] = "normal"

    def __post_init__(self) -> None:
        check_real(scale=self.scale, above=0)
        if self.fan not in ("in", "average"):
            raise ValueError(f"fan must be 'in' or 'average', got {self.fan!r}")
        if self.distribution not in ("normal", "uniform"):
            raise ValueError(f"distribution must be 'normal' or 'uniform', got {self.distribution!r}")

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Draw an array of float64 of that shape."""
        std = self.std(fan_in, fan_out)
        if self.distribution == "normal":
            return std * rng.standard_normal(shape)
        limit = math.sqrt(3.0) * std
        return rng.uniform(-limit, limit, shape)

    def std(self, fan_in: int, fan_out: int) -> float:
        """Return the standard deviation of the weights."""
        check_real(fan_in=fan_in, fan_out=fan_out, above=0)
        fan = fan_in if self.fan == "in" else (fan_in + fan_out) / 2
        return math.sqrt(self.scale / fan)


# He et al. 2015 (arXiv:1502.01852): sqrt(2 / fan_in), for the ReLU family
he_normal = VarianceScaling(2.0, "in", "normal")
he_uniform = VarianceScaling(2.0, "in", "uniform")
# Glorot and Bengio 2010: sqrt(2 / (fan_in + fan_out)), for tanh and sigmoid
xavier_normal = VarianceScaling(1.0, "average", "normal")
xavier_uniform = VarianceScaling(1.0, "average", "uniform")
# LeCun et al. 1998, "Efficient BackProp": sqrt(1 / fan_in)
lecun_normal = VarianceScaling(1.0, "in", "normal")
lecun_uniform = VarianceScaling(1.0, "in", "uniform")
# some texts call this one Xavier; it is LeCun's
xavier_fan_in_normal = lecun_normal
