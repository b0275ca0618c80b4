"""Labels of classes that exclude one another: as numbers of classes for the loss, and back."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d

from pyconvx._core.arrays import as_numpy, refuse_odd_array
from pyconvx._core.types import Array, FloatArray
from pyconvx.estimators.targets.base import Rows, Targets, require_y
from pyconvx.estimators.targets.weights import check_weights
from pyconvx.losses import Loss


def are_classes(value: Any) -> bool:
    """Return whether a value can be ``classes_``: labels are looked up by bisection, so sorted and distinct."""
    vector = isinstance(value, np.ndarray) and value.ndim == 1 and len(value) > 0
    return vector and np.array_equal(np.unique(value), value)


# of a classifier: fitted attributes that a file holds
ATTRIBUTES: Mapping[str, Callable[[Any], bool]] = {
    "classes_": are_classes,
    "multilabel_": lambda value: type(value) is bool,
}


@dataclass(frozen=True, eq=False)
class ClassTargets(Targets):
    """One label per sample.

    Parameters
    ----------
    classes : array of shape (n_classes,)
        The labels, sorted.
    """

    classes: Array

    kind: ClassVar[str] = "classes"
    out_activation: ClassVar[str] = "softmax"
    noun: ClassVar[str] = "classes"
    attributes: ClassVar[Mapping[str, Callable[[Any], bool]]] = ATTRIBUTES

    def __str__(self) -> str:
        return f"{len(self.classes)} classes"

    @classmethod
    def check(cls, estimator: object, X: Array, y: Any, name: str = "y") -> Array:
        """Return labels as a 1-D array, one per row of X."""
        require_y(estimator, y)
        refuse_odd_array(name, y)
        y = plain_labels(y)
        labels: Array = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name=name)
        check_consistent_length(X, labels)
        distinct(labels)  # refuses mixed kinds in plainer words than the next line
        check_classification_targets(labels)
        return labels

    @classmethod
    def learn(cls, y: Array) -> Self:
        """Make the targets of these labels."""
        return cls(distinct(y))

    @classmethod
    def of(cls, estimator: Any) -> Self:
        """Return the targets that a fitted estimator was trained on."""
        return cls(estimator.classes_)

    @property
    def n_outputs(self) -> int:
        """One output per class."""
        return len(self.classes)

    def fitted(self) -> dict[str, Any]:
        """Return the fitted attributes of the estimator."""
        return {"classes_": self.classes, "multilabel_": False}

    def encode(self, y: Array, dtype: npt.DTypeLike, name: str = "y") -> Rows:
        """Return the place of each label among the sorted classes."""
        if y.ndim != 1:
            raise ValueError(f"{name} has the shape {y.shape}, a matrix, expected one label per row")
        unknown = np.setdiff1d(y, self.classes)
        if len(unknown):
            known = self.classes
            raise ValueError(f"`{name}` has classes not in `self.classes_`. Unknown: {unknown}, known: {known}.")
        return np.searchsorted(self.classes, y).astype(np.int64)

    def weights(self, estimator: Any, sample_weight: Any, y: Array) -> FloatArray:
        """Return sample weights times their classes' weights."""
        return with_class_weight(sample_weight, estimator.class_weight, y, self.classes)

    def hold_out(self, encoded: Array, index: Rows, fraction: float, seed: int) -> tuple[Rows, Rows]:
        """Split rows so that each class has the same fraction in both parts."""
        self._refuse_few(encoded[index], fraction)
        random_state = seed % 2**32
        parts = train_test_split(index, test_size=fraction, stratify=encoded[index], random_state=random_state)
        return np.sort(parts[0]), np.sort(parts[1])

    def _refuse_few(self, encoded: Array, fraction: float) -> None:
        """Refuse what cannot be split by classes, in terms of the labels and of the user's parameters."""
        counts = np.bincount(encoded, minlength=len(self.classes))
        few = self.classes[counts == 1]
        if len(few):
            raise ValueError(
                "The least populated classes in y have only 1 member, which is too few: early_stopping holds rows "
                f"of each class out. Classes with too few members are: {few.tolist()}. Add rows, or pass X_val "
                "and y_val"
            )
        rows, present = len(encoded), int((counts > 0).sum())
        held_out = math.ceil(fraction * rows)
        if min(held_out, rows - held_out) < present:
            part = f"validation_fraction={fraction} of {rows} rows is {held_out}"
            raise ValueError(
                f"The validation set is too small or too large: {part}, and both parts need a row of each of the "
                f"{present} classes. Change validation_fraction, or pass X_val and y_val"
            )

    def decode(self, outputs: FloatArray, loss: Loss) -> Array:
        """Return the most probable labels."""
        labels: Array = self.classes[outputs.argmax(axis=1)]
        return labels

    def present(self, predictions: FloatArray) -> FloatArray:
        """Return probabilities as they are, of shape (n, n_classes)."""
        return predictions

    def shown(self) -> str:
        """Return the classes for messages."""
        return str(self.classes)


def plain_labels(y: Any) -> Any:
    """Return labels of NumPy's StringDType, or in another library's array, as scikit-learn can check them."""
    y = as_numpy(y)
    return np.array(y.tolist(), str) if getattr(getattr(y, "dtype", None), "kind", "") == "T" else y


def distinct(labels: Array) -> Array:
    """Return the classes, sorted."""
    try:
        return np.unique(labels)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels})
        raise TypeError(f"labels must be uniformly strings or numbers, got {kinds}") from None


def with_class_weight(sample_weight: Any, class_weight: Any, labels: Array, classes: Array) -> FloatArray:
    """Return sample weights times their classes' weights; together too they may not all be zero."""
    weights = check_weights(sample_weight, len(labels))
    if class_weight is None:
        return weights
    rows = np.flatnonzero(weights)
    factors = np.ones(len(labels))
    if isinstance(class_weight, str):
        factors[rows] = balanced(labels[rows], weights[rows])
    else:
        factors[rows] = of_entries(class_weight, labels[rows], classes)
    check_weights(factors, len(labels), "class_weight")
    return check_weights(weights * factors, len(labels), "sample_weight * class_weight")


def of_entries(class_weight: dict[Any, float], labels: Array, classes: Array) -> FloatArray:
    """Return for each row the weight of its class, 1 for classes without an entry.

    scikit-learn's own function takes labels such as "7" for numbers, and refuses a batch that lacks a class.
    """
    known = set(classes.tolist())
    missing, strange = known - set(class_weight), set(class_weight) - known
    if missing and strange:
        names = [label for label in classes.tolist() if label in missing]
        raise ValueError(
            f"The classes, {names}, are not in class_weight, which has entries for what is no class: "
            f"{sorted(strange, key=repr)}"
        )
    present, places = np.unique(labels, return_inverse=True)
    weights = np.array([class_weight.get(label, 1.0) for label in present.tolist()], np.float64)
    return weights[places]


def balanced(labels: Array, weights: FloatArray) -> FloatArray:
    """Return for each row ``sum of weights / (classes * sum of its class's weights)``.

    A row of weight 2 counts like two rows, as in scikit-learn since 1.7. With equal weights it is "balanced" of
    `sklearn.utils.class_weight.compute_class_weight`.
    """
    classes, places = np.unique(labels, return_inverse=True)
    sums = np.bincount(places, weights)
    factors: FloatArray = (sums.sum() / (len(classes) * sums))[places]
    return factors
