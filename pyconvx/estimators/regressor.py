"""CNNRegressor: a convolutional network that predicts numbers.

Parameters, defaults and attributes are those of MLPRegressor wherever both do the same thing.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from pyconvx._core.arrays import as_numpy
from pyconvx._core.types import FloatArray, Shape
from pyconvx.estimators import constraints as rule
from pyconvx.estimators.base import BaseCNN, can_continue
from pyconvx.estimators.declaration import estimator, parameter
from pyconvx.estimators.parameters.training import SCORING
from pyconvx.estimators.targets import RealTargets, Targets
from pyconvx.inspection.summary import Summary


@estimator
class CNNRegressor(RegressorMixin, BaseCNN):
    """Convolutional network regressor, of images or signals, with one or several numbers per sample.

    By default depth and widths follow the input: convolutions with batch norm, activations and max pools, then
    a global average. With `filters` given, each entry makes a convolution, an activation and a max pool, each of
    `hidden_layer_sizes` a dense layer with an activation. A dense layer with one unit per number follows.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    target_shape_ : () or (k,)
        Of one sample's target: y had the shape (n,) or (n, k).
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
    CNNClassifier : The same for classes.
    sklearn.neural_network.MLPRegressor : Dense networks.
    sklearn.compose.TransformedTargetRegressor : Scales y, which helps if its numbers are large.

    Examples
    --------
    >>> import numpy as np
    >>> from pyconvx import CNNRegressor
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.random((200, 8, 8)) / 10, rng.random(200)
    >>> X[:, 3:5] += y[:, None, None]  # how bright the middle is
    >>> reg = CNNRegressor(filters=(8,), tol=0.01, n_iter_no_change=3, random_state=0)
    >>> reg.fit(X[:150], y[:150]).score(X[150:], y[150:]) > 0.9
    True
    """

    loss: Any = parameter(
        default="squared_error",
        rule=rule.loss_for(RealTargets.kind),
        kind="str or object",
        text="What training minimises: a name of `pyconvx.losses` or of an installed plugin, or an object, "
        'that compares outputs with numbers. "huber" heeds targets that are far off less.',
    )
    scoring: Any = parameter(
        default="r2",
        rule=SCORING,
        kind="str, callable or None",
        text="What scores the validation data after each epoch; greater is better. A name is one of "
        'scikit-learn\'s scorers, "loss" the negated loss, None the method `score`, R² too.',
    )

    _target_type: ClassVar[type[Targets]] = RealTargets

    @available_if(can_continue)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch on these rows.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; y has as many numbers per sample as at the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`; also with early_stopping, which needs the whole data.
        DivergenceError
            As `fit`.
        """
        self._check_parameters()
        return self._partial_fit(X, y, None, sample_weight)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R², the coefficient of determination.

        Parameters
        ----------
        X : array-like
            As for `predict`.
        y : array-like of shape (n,) or (n, k)
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        float
        """
        return float(super().score(X, as_numpy(y), as_numpy(sample_weight)))

    def predict(self, X: Any) -> FloatArray:
        """Return the predicted numbers.

        Parameters
        ----------
        X : array-like
            Samples of the shape and kind that the regressor was fitted to.

        Returns
        -------
        array of shape (n,) or (n, k), as y was
            In the network's precision.

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
        return RealTargets.of(self).decode(self._outputs(X), self._loss())

    def summary(self, input_shape: Shape | None = None, n_outputs: int = 1) -> Summary:
        """Return a table of the layers: output shape, parameters, operations, receptive field, memory.

        Parameters
        ----------
        input_shape : (H, W) or (H, W, C), (length,) or (length, channels), optional
            Needed before fit only, in the order of `data_format`.
        n_outputs : int, default=1
            Numbers per sample, before fit.

        Returns
        -------
        Summary
            Prints as text, shows as a table in notebooks.

        Raises
        ------
        ValueError
            If neither fitted nor given a shape, or a layer cannot take its input.
        """
        return self._summary(input_shape, n_outputs)

    def __sklearn_tags__(self) -> Any:
        """Add that y may have several columns."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
