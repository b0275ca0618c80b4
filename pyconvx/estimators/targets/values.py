"""Real numbers, one or several per sample: as rows of numbers for the loss, and back in the form of y."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_array, check_consistent_length

from pyconvx._core.arrays import as_stack
from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx.estimators.targets.base import Rows, Targets, require_y
from pyconvx.losses import Loss


def is_target_shape(value: Any) -> bool:
    """Return whether a value can be ``target_shape_``: () for one number per sample, (k,) for k of them."""
    return type(value) is tuple and len(value) <= 1 and all(type(size) is int and size > 0 for size in value)


@dataclass(frozen=True)
class RealTargets(Targets):
    """One number, or one row of numbers, per sample.

    Parameters
    ----------
    shape : tuple
        Of one sample's target: () if y has the shape (n,), (k,) if it has the shape (n, k).
    """

    shape: Shape

    kind: ClassVar[str] = "values"
    out_activation: ClassVar[str] = "identity"
    noun: ClassVar[str] = "shape of targets"
    attributes: ClassVar[Mapping[str, Callable[[Any], bool]]] = {"target_shape_": is_target_shape}

    def __str__(self) -> str:
        return f"{self.n_outputs} outputs"

    @classmethod
    def check(cls, estimator: object, X: Array, y: Any, name: str = "y") -> Array:
        """Return y as finite numbers of shape (n,) or (n, k), one row per row of X."""
        require_y(estimator, y)
        values: Array = check_array(
            as_stack(name, y), ensure_2d=False, dtype="numeric", estimator=estimator, input_name=name
        )
        if values.dtype.kind not in "biuf":
            raise ValueError(f"{name} must hold real numbers, got {values.dtype}")
        check_consistent_length(X, values)
        return values

    @classmethod
    def learn(cls, y: Array) -> Self:
        """Make the targets of these numbers."""
        return cls(y.shape[1:])

    @classmethod
    def of(cls, estimator: Any) -> Self:
        """Return the targets that a fitted estimator was trained on."""
        return cls(estimator.target_shape_)

    @property
    def n_outputs(self) -> int:
        """One output per number of a sample."""
        return math.prod(self.shape)

    def fitted(self) -> dict[str, Any]:
        """Return the fitted attributes of the estimator."""
        return {"target_shape_": self.shape}

    def encode(self, y: Array, dtype: npt.DTypeLike, name: str = "y") -> FloatArray:
        """Return y as rows of numbers in the network's precision."""
        if y.shape[1:] != self.shape:
            raise ValueError(f"{name} has targets of shape {y.shape[1:]}, expected {self.shape}")
        with np.errstate(over="ignore"):
            values: FloatArray = np.ascontiguousarray(y, dtype).reshape(len(y), self.n_outputs)
        if not np.isfinite(values).all():
            raise ValueError(f"Input {name} contains infinity or a value too large for {np.dtype(dtype)!r}.")
        return values

    def hold_out(self, encoded: Array, index: Rows, fraction: float, seed: int) -> tuple[Rows, Rows]:
        """Split rows at random; at least two are validated on, since R2 needs two."""
        if math.ceil(fraction * len(index)) >= len(index):
            raise ValueError(
                f"The validation set is too small or too large: validation_fraction={fraction} of {len(index)} "
                "rows leaves none to train on. Add rows, or pass X_val"
            )
        train, held_out = train_test_split(index, test_size=fraction, random_state=seed % 2**32)
        if len(held_out) < 2:
            raise ValueError(
                f"The validation set is too small: early_stopping would validate on one of {len(index)} rows, and "
                "a score of regression needs two: increase validation_fraction, or pass X_val"
            )
        return np.sort(train), np.sort(held_out)

    def decode(self, outputs: FloatArray, loss: Loss) -> FloatArray:
        """Return the predicted numbers in the form of y."""
        return self.present(loss.predictions(outputs))

    def present(self, predictions: FloatArray) -> FloatArray:
        """Return predictions in the form of y: (n,) or (n, k)."""
        return predictions.reshape(len(predictions), *self.shape)

    def shown(self) -> str:
        """Return the shape of one target for messages."""
        return str(self.shape)
