"""What scores a network on validation data after each epoch.

Scorers get what the user gave, a data frame if it was one, and call the estimator's public methods. These then
take the samples that `fit` has checked already: the checks of `predict` are for users, and repeat neither work nor
warnings here.
"""

import inspect
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring

from pyconvx.estimators.examples import Examples


def scorer_of(estimator: Any, validation: Examples | None) -> Callable[[], float] | None:
    """Return what scores an estimator on these rows; greater is better.

    Class weights shape the loss alone. Weights of samples count where a scorer takes them.
    """
    if validation is None:
        return None
    if isinstance(estimator.scoring, str) and estimator.scoring == "loss":
        return lambda: -_mean_loss(estimator, validation)
    scorer = check_scoring(estimator, scoring=estimator.scoring)
    weighted = {}
    if (validation.sample_weight != 1).any() and _takes_weights(estimator, scorer):
        weighted["sample_weight"] = validation.sample_weight

    def score() -> float:
        with estimator._checked_already(validation.given, validation.X):
            try:
                value = scorer(estimator, validation.given, validation.y, **weighted)
            except ValueError:
                if not weighted:
                    raise
                weighted.clear()  # roc_auc_ovo has the parameter and refuses it
                value = scorer(estimator, validation.given, validation.y)
        value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
        if not isinstance(value, Real):
            raise ValueError(
                f"scoring must return a number, got {value!r} ({type(value)}) of {estimator.scoring!r}"
            )
        return float(value)

    return score


def _takes_weights(estimator: Any, scorer: Any) -> bool:
    """Return whether a scorer has a parameter sample_weight; scikit-learn's have if their metric does."""
    function = estimator.score if estimator.scoring is None else getattr(scorer, "_score_func", scorer)
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # a compiled function may have no signature
        return False


def _mean_loss(estimator: Any, validation: Examples) -> float:
    """Return the mean of the loss, weighted by the weights of samples, without the penalty."""
    outputs = estimator._run(validation.X)
    weights = validation.sample_weight
    fractions = (weights / weights.sum()).astype(outputs.dtype)
    gradient = np.empty_like(outputs)
    return float(estimator._loss().value_and_gradient(outputs, validation.targets, fractions, gradient))
