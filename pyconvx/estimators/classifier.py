"""CNNClassifier: a convolutional network that predicts classes.

Parameters and attributes have the names and meanings of MLPClassifier's wherever both do the same thing, and the
same defaults except for those that follow the data here: `batch_size`, `hidden_layer_sizes`, `max_iter` and
`n_iter_no_change`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from pyconvx._core.arrays import as_numpy
from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx.estimators import architecture
from pyconvx.estimators import constraints as rule
from pyconvx.estimators.base import BaseCNN, can_continue
from pyconvx.estimators.declaration import estimator, parameter
from pyconvx.estimators.targets import AnyLabels, ClassTargets, IndicatorTargets, Targets, plain_labels
from pyconvx.estimators.targets.labels import is_indicator
from pyconvx.inspection.summary import Summary
from pyconvx.losses.base import has_logarithms


@estimator
class CNNClassifier(ClassifierMixin, BaseCNN):
    """Convolutional network classifier, of images or signals.

    By default depth and widths follow the input: convolutions with batch norm, activations and max pools, then
    a global average. With `filters` given, each entry makes a convolution, an activation and a max pool, each of
    `hidden_layer_sizes` a dense layer with an activation. A dense layer with one unit per class follows.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    n_features_in_ : int
        Numbers of one sample.
    feature_names_in_ : array
        Column names, if X had them.
    input_shape_ : (H, W, C), or (length, channels) for signals
    network_ : Network
        ``network_.parameters`` maps names to read-only arrays.
    n_parameters_, n_layers_, n_outputs_, out_activation_
    n_iter_ : int
        Epochs of the last `fit`, or all of `partial_fit`.
    t_ : int
        Samples seen in training.
    loss_, loss_curve_, best_loss_
        Objective of the last, every and the best epoch; the best is None with early stopping.
    validation_scores_, best_validation_score_
        None without validation data.

    See Also
    --------
    CNNRegressor : The same for numbers.
    sklearn.neural_network.MLPClassifier : Dense networks.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from pyconvx import CNNClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = CNNClassifier(image_shape=(8, 8), tol=0.01, n_iter_no_change=3, random_state=0)
    >>> clf.fit(X[:1400] / 16, y[:1400]).score(X[1400:] / 16, y[1400:]) > 0.93
    True
    """

    loss: Any = parameter(
        default="cross_entropy",
        rule=rule.loss_for(ClassTargets.kind, IndicatorTargets.kind),
        kind="str or object",
        text="What training minimises: a name of `pyconvx.losses` or of an installed plugin, or an object, that "
        "compares outputs with classes. For multilabel y, a matrix of 0 and 1, the default stands for "
        "``binary_cross_entropy``.",
    )
    label_smoothing: float = parameter(
        default=0.0,
        rule=rule.real(0, 1),
        kind="float",
        text="Fraction of each target that is spread over all classes, for losses that have such a parameter. 0.1 "
        "keeps probabilities from becoming too certain, and helps if some labels are wrong.",
    )
    class_weight: Any = parameter(
        default=None,
        rule=rule.either(
            rule.choice("balanced"), rule.Rule(lambda v: isinstance(v, dict), "a dict"), rule.nothing
        ),
        kind='dict, "balanced" or None',
        text='How much the rows of each class count, besides `sample_weight`. "balanced" gives all classes the '
        "same weight in total, for data in which some are rare.",
    )

    _target_type: ClassVar[type[Targets]] = AnyLabels

    @available_if(can_continue)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train one epoch on these rows.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array-like, optional
            All labels that will ever come; needed at the first call. For multilabel y, whose columns are the
            labels, its values are not looked at.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`; also without `classes` at the first call, for other ones later, for unknown labels,
            and with early_stopping or balanced class weights, which need the whole data.
        DivergenceError
            As `fit`.
        """
        self._check_parameters()
        if self.class_weight == "balanced":
            raise ValueError("partial_fit does not support class_weight='balanced': pass sample_weight")
        first = not hasattr(self, "network_")
        if first and classes is None and not self.early_stopping:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        several = is_indicator(as_numpy(y))
        targets = None if classes is None or several else ClassTargets.learn(np.asarray(plain_labels(classes)))
        if targets is not None and not first and not targets.same_as(before := ClassTargets.of(self)):
            words = f"`classes={classes}` is not the same as on last call, which was {before.shown()}"
            raise ValueError(words)
        return self._partial_fit(X, y, targets, sample_weight)

    def _loss(self) -> Any:
        """Return the loss; for multilabel y the default is another one."""
        loss = self.loss
        if self.multilabel_ and isinstance(loss, str) and loss == "cross_entropy":
            loss = "binary_cross_entropy"
        rule.check_loss(loss, (AnyLabels.of(self).kind,))
        return architecture.make_loss(loss, self.label_smoothing)

    def __sklearn_tags__(self) -> Any:
        """Say that y may be a matrix of labels that do not exclude one another."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the fraction of right predictions.

        Parameters
        ----------
        X : array-like
            As for `predict`.
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        float
        """
        return float(super().score(X, plain_labels(y), as_numpy(sample_weight)))

    def predict(self, X: Any) -> Array:
        """Return the label of the most probable class.

        Parameters
        ----------
        X : array-like
            Samples of the shape and kind that the classifier was fitted to.

        Returns
        -------
        array of shape (n,), or (n, n_labels) of 0 and 1 if it was fitted to such a matrix

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If X does not fit; scikit-learn's words.
        DivergenceError
            If the outputs are NaN or infinite: samples or weights are too large for the precision.
        """
        check_is_fitted(self)
        return AnyLabels.of(self).decode(self._outputs(X), self._loss())  # type: ignore[no-any-return]

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : array-like
            As for `predict`.

        Returns
        -------
        array of shape (n, n_classes), float64
            In the order of ``classes_``.

        Raises
        ------
        NotFittedError, ValueError, TypeError, DivergenceError
            As `predict`.
        """
        check_is_fitted(self)
        return np.asarray(self._loss().predictions(self._outputs(X).astype(np.float64)))

    def predict_log_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return logarithms of the probabilities, finite even if a probability underflows.

        Parameters
        ----------
        X : array-like
            As for `predict`.

        Returns
        -------
        array of shape (n, n_classes), float64
            In the order of ``classes_``.

        Raises
        ------
        NotFittedError, ValueError, TypeError, DivergenceError
            As `predict`.
        """
        check_is_fitted(self)
        outputs, loss = self._outputs(X).astype(np.float64), self._loss()
        if has_logarithms(loss):
            return np.asarray(loss.log_predictions(outputs))
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(loss.predictions(outputs)))

    def decision_function(self, X: Any) -> FloatArray:
        """Return the network's outputs before softmax; for two classes their difference.

        Parameters
        ----------
        X : array-like
            As for `predict`.

        Returns
        -------
        array of shape (n, n_classes), or (n,) for two classes that exclude one another
            In the network's precision and the order of ``classes_``.

        Raises
        ------
        NotFittedError, ValueError, TypeError, DivergenceError
            As `predict`.
        """
        check_is_fitted(self)
        outputs = self._outputs(X)
        if self.multilabel_:
            return outputs
        if outputs.shape[1] == 2:
            return np.asarray(outputs[:, 1] - outputs[:, 0])
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def summary(self, input_shape: Shape | None = None, n_classes: int = 10) -> Summary:
        """Return a table of the layers: output shape, parameters, operations, receptive field, memory.

        Parameters
        ----------
        input_shape : (H, W) or (H, W, C), (length,) or (length, channels), optional
            Needed before fit only, in the order of `data_format`.
        n_classes : int, default=10
            Units of the output layer, before fit.

        Returns
        -------
        Summary
            Prints as text, shows as a table in notebooks.

        Raises
        ------
        ValueError
            If neither fitted nor given a shape, or a layer cannot take its input.
        """
        return self._summary(input_shape, n_classes)
