"""Labels that do not exclude one another: a matrix of 0 and 1, one column per label."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_array, check_consistent_length

from pyconvx._core.arrays import as_numpy
from pyconvx._core.types import Array, FloatArray
from pyconvx.estimators.targets.base import Rows, Targets
from pyconvx.estimators.targets.classes import ATTRIBUTES, ClassTargets
from pyconvx.losses import Loss


def is_indicator(y: Any) -> bool:
    """Return whether y is a matrix that says for each of several labels whether a row has it."""
    if not hasattr(y, "shape"):
        if not np.iterable(y) or isinstance(y, str) or not all(np.iterable(row) for row in y):
            return False
        y = np.asarray(y, dtype=object) if len({len(row) for row in y}) > 1 else np.asarray(y)
    if len(y.shape) != 2 or y.shape[1] == 1:
        return False
    return str(type_of_target(y)) == "multilabel-indicator"


@dataclass(frozen=True)
class IndicatorTargets(Targets):
    """Any number of labels per sample.

    Parameters
    ----------
    n_labels : int
    """

    n_labels: int

    kind: ClassVar[str] = "indicators"
    out_activation: ClassVar[str] = "logistic"
    noun: ClassVar[str] = "labels"
    attributes: ClassVar[Mapping[str, Callable[[Any], bool]]] = ATTRIBUTES

    def __str__(self) -> str:
        return f"{self.n_labels} labels"

    @classmethod
    def check(cls, estimator: object, X: Array, y: Any, name: str = "y") -> Array:
        """Return y as a dense matrix of 0 and 1, one row per row of X."""
        y = y.toarray() if scipy.sparse.issparse(y) else y
        matrix: Array = check_array(y, estimator=estimator, input_name=name)
        check_consistent_length(X, matrix)
        if not np.isin(matrix, (0, 1)).all():
            raise ValueError(f"{name} is a matrix of labels, which must hold 0 and 1, got {np.unique(matrix)}")
        return matrix

    @classmethod
    def learn(cls, y: Array) -> Self:
        """Make the targets of this matrix."""
        return cls(y.shape[1])

    @classmethod
    def of(cls, estimator: Any) -> Self:
        """Return the targets that a fitted estimator was trained on."""
        return cls(len(estimator.classes_))

    @property
    def n_outputs(self) -> int:
        """One output per label."""
        return self.n_labels

    def fitted(self) -> dict[str, Any]:
        """Return the fitted attributes of the estimator; the classes are the numbers of the columns."""
        return {"classes_": np.arange(self.n_labels), "multilabel_": True}

    def encode(self, y: Array, dtype: npt.DTypeLike, name: str = "y") -> FloatArray:
        """Return y in the network's precision."""
        if y.shape[1:] != (self.n_labels,):
            raise ValueError(f"{name} has the shape {y.shape}, expected a matrix with {self.n_labels} labels")
        encoded: FloatArray = np.ascontiguousarray(y, dtype)
        return encoded

    def weights(self, estimator: Any, sample_weight: Any, y: Array) -> FloatArray:
        """Return sample weights; classes have no weights where they do not exclude one another."""
        if estimator.class_weight is not None:
            raise ValueError(
                f"class_weight={estimator.class_weight!r} is for classes that exclude one another: pass "
                "sample_weight for multilabel y"
            )
        return super().weights(estimator, sample_weight, y)

    def hold_out(self, encoded: Array, index: Rows, fraction: float, seed: int) -> tuple[Rows, Rows]:
        """Split rows at random, as scikit-learn's MLP does for such targets."""
        train, held_out = train_test_split(index, test_size=fraction, random_state=seed % 2**32)
        return np.sort(train), np.sort(held_out)

    def decode(self, outputs: FloatArray, loss: Loss) -> Array:
        """Return 1 for each label that is more probable than not."""
        return np.asarray(loss.predictions(outputs) > 0.5, dtype=np.int64)

    def present(self, predictions: FloatArray) -> FloatArray:
        """Return probabilities as they are, of shape (n, n_labels)."""
        return predictions

    def shown(self) -> str:
        """Return the number of labels for messages."""
        return f"{self.n_labels} columns"


class AnyLabels(ClassTargets):
    """The door to both kinds of labels: y, or the fitted estimator, says which it is."""

    @classmethod
    def check(cls, estimator: object, X: Array, y: Any, name: str = "y") -> Array:
        """Return y checked: as a vector of classes, or as a matrix of 0 and 1."""
        y = as_numpy(y)
        kind = IndicatorTargets if is_indicator(y) else ClassTargets
        return kind.check(estimator, X, y, name)

    @classmethod
    def learn(cls, y: Array) -> Any:
        """Make the targets of a checked y."""
        return IndicatorTargets.learn(y) if y.ndim == 2 else ClassTargets.learn(y)

    @classmethod
    def of(cls, estimator: Any) -> Any:
        """Return the targets that a fitted estimator was trained on."""
        return (IndicatorTargets if estimator.multilabel_ else ClassTargets).of(estimator)
