"""The contract of targets: all that an estimator has to know about its kind of y."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from pyconvx._core.types import Array, FloatArray
from pyconvx.estimators.targets.weights import check_weights
from pyconvx.losses import Loss

Rows = npt.NDArray[np.int64]


class Targets(ABC):
    """What was learnt of y: an immutable value, also found in the fitted attributes of an estimator.

    Attributes
    ----------
    kind : str
        The ``target_kind`` of losses that compare outputs with these targets.
    out_activation : str
        What the estimator's ``out_activation_`` says.
    noun : str
        What messages call the part of y that has to stay the same, in the plural.
    attributes : dict
        Names of the fitted attributes, and what they have to be in a model file.
    """

    kind: ClassVar[str]
    out_activation: ClassVar[str]
    noun: ClassVar[str]
    attributes: ClassVar[Mapping[str, Callable[[Any], bool]]]

    @classmethod
    @abstractmethod
    def check(cls, estimator: object, X: Array, y: Any, name: str = "y") -> Array:
        """Return y as an array with one entry, or one row, per row of X."""

    @classmethod
    @abstractmethod
    def learn(cls, y: Array) -> Self:
        """Make the targets of a checked y."""

    @classmethod
    @abstractmethod
    def of(cls, estimator: Any) -> Self:
        """Return the targets that a fitted estimator was trained on."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """How many outputs the network has."""

    @abstractmethod
    def fitted(self) -> dict[str, Any]:
        """Return the fitted attributes of the estimator."""

    @abstractmethod
    def encode(self, y: Array, dtype: npt.DTypeLike, name: str = "y") -> Array:
        """Return y as losses take it, for a network that computes in `dtype`; the first axis is rows."""

    @abstractmethod
    def hold_out(self, encoded: Array, index: Rows, fraction: float, seed: int) -> tuple[Rows, Rows]:
        """Split rows into those to train on and those to validate on, each sorted."""

    @abstractmethod
    def decode(self, outputs: FloatArray, loss: Loss) -> Array:
        """Return what `predict` returns for outputs of the network."""

    @abstractmethod
    def present(self, predictions: FloatArray) -> FloatArray:
        """Return a loss's predictions in the shape that users get."""

    @abstractmethod
    def shown(self) -> str:
        """Return for messages what has to stay the same."""

    def encode_rows(self, y: Array, rows: Rows, dtype: npt.DTypeLike, name: str = "y") -> Array:
        """Return y encoded, as far as `rows` go; what the others hold is not looked at."""
        if len(rows) == len(y):
            return self.encode(y, dtype, name)
        part = self.encode(y[rows], dtype, name)
        encoded = np.zeros((len(y), *part.shape[1:]), part.dtype)
        encoded[rows] = part
        return encoded

    def weights(self, estimator: Any, sample_weight: Any, y: Array) -> FloatArray:
        """Return the weight of each row, checked."""
        return check_weights(sample_weight, len(y))

    def same_as(self, other: "Targets") -> bool:
        """Return whether training may go on from one to the other."""
        mine, theirs = self.fitted(), other.fitted()
        return all(np.array_equal(mine[name], theirs[name]) for name in self.attributes)


def require_y(estimator: object, y: Any) -> None:
    """Raise ValueError, in scikit-learn's words, if there is no y."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None"
        )
