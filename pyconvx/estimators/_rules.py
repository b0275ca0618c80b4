"""The rules of CNNClassifier's parameters."""

from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils import check_random_state

from pyconvx import activations, initializers, losses, schedules, solvers
from pyconvx.estimators import _images
from pyconvx.estimators import _parameters as rule
from pyconvx.estimators.checkpoint import is_checkpoint
from pyconvx.ops.geometry import as_padding


def _legal_padding(value: Any) -> bool:
    try:
        as_padding(value)
    except (TypeError, ValueError):
        return False
    return True


def _legal_dtype(value: Any) -> bool:
    if value is None or not isinstance(value, (str, type, np.dtype)):
        return value is None
    try:
        return np.dtype(value) in (np.float32, np.float64)
    except (TypeError, ValueError, SyntaxError):  # NumPy has text parsed as Python's
        return False


def _legal_random_state(value: Any) -> bool:
    try:
        return check_random_state(value) is not None
    except (TypeError, ValueError):
        return False


def _legal_scoring(value: Any) -> bool:
    if isinstance(value, str):
        return value == "loss" or value in get_scorer_names()
    return value is None or callable(value)


CLASSIFIER_RULES = _images.SHAPE_RULES | {
    "filters": rule.either(rule.integer(1), rule.sizes),
    "kernel_size": rule.pair,
    "pool_size": rule.pair,
    "padding": rule.Rule(_legal_padding, 'an int, a pair, a pair of pairs, "same" or "valid"'),
    "hidden_layer_sizes": rule.either(rule.integer(1), rule.sizes),
    "activation": rule.plugin(activations.registry),
    "dropout": rule.real(0, 1),
    "batch_norm": rule.boolean,
    "initializer": rule.plugin(initializers.registry, "auto"),
    "layers": rule.either(rule.Rule(lambda v: isinstance(v, (list, tuple)), "a sequence of layers"), rule.nothing),
    "dtype": rule.Rule(_legal_dtype, "'float32', 'float64' or None"),
    "loss": rule.plugin(losses.registry),
    "label_smoothing": rule.real(0, 1),
    "solver": rule.plugin(solvers.registry),
    "alpha": rule.real(0),
    "batch_size": rule.either(rule.integer(1), rule.choice("auto")),
    "learning_rate": rule.plugin(schedules.registry),
    "learning_rate_init": rule.real(0, above=True),
    "power_t": rule.real(0),
    "max_iter": rule.integer(1),
    "shuffle": rule.boolean,
    "resume": rule.boolean,
    "random_state": rule.Rule(_legal_random_state, "an int from 0 to 2**32 - 1, a RandomState or None"),
    "checkpoint": rule.either(rule.Rule(is_checkpoint, "a Checkpoint with a path"), rule.nothing),
    "tol": rule.real(0),
    "verbose": rule.verbosity,
    "warm_start": rule.boolean,
    "momentum": rule.real(0, 1),
    "nesterovs_momentum": rule.boolean,
    "early_stopping": rule.boolean,
    "validation_fraction": rule.real(0, 1, above=True),
    "beta_1": rule.real(0, 1),
    "beta_2": rule.real(0, 1),
    "epsilon": rule.real(0, above=True),
    "n_iter_no_change": rule.integer(1),
    "scoring": rule.Rule(_legal_scoring, "a name of scikit-learn's scorers, 'loss', a callable or None"),
    "class_weight": rule.either(
        rule.choice("balanced"), rule.Rule(lambda v: isinstance(v, dict), "a dict"), rule.nothing
    ),
}
