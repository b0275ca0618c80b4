"""The parameters that say how a network is trained, and what is kept meanwhile."""

from typing import Any

from sklearn.metrics import get_scorer_names
from sklearn.utils import check_random_state

from pyconvx import schedules, solvers
from pyconvx.estimators import constraints as rule
from pyconvx.estimators.checkpoint import Checkpoint, is_checkpoint
from pyconvx.estimators.declaration import estimator, parameter
from pyconvx.estimators.parameters.network import NetworkParameters


def _legal_random_state(value: Any) -> bool:
    try:
        return check_random_state(value) is not None
    except (TypeError, ValueError):
        return False


def _meant_as_rate(value: Any) -> str:
    """Point from a number to the parameter that is one."""
    return f"Did you mean learning_rate_init={value!r}?" if rule.real(0).accepts(value) else ""


def _legal_factors(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and rule.real(0, above=True).accepts(factor) for name, factor in value.items()
    )


def _legal_scoring(value: Any) -> bool:
    if isinstance(value, str):
        return value == "loss" or value in get_scorer_names()
    return value is None or callable(value)


SCORING = rule.Rule(_legal_scoring, "a name of scikit-learn's scorers, 'loss', a callable or None")


@estimator
class TrainingParameters(NetworkParameters):
    """An estimator that trains a network."""

    solver: Any = parameter(
        default="adam",
        rule=rule.plugin(solvers.registry, "lbfgs"),
        kind="str or object",
        text="What takes the steps: a name of `pyconvx.solvers` or of an installed plugin, to which `momentum`, "
        "`nesterovs_momentum`, `beta_1`, `beta_2` and `epsilon` apply, or an object, which brings its own. "
        '"lbfgs" is for small data: SciPy minimises the objective of all rows at once, without learning rates, '
        "batches or `partial_fit`.",
    )
    alpha: float = parameter(
        default=1e-4,
        rule=rule.real(0),
        kind="float",
        text="Strength of the L2 penalty on kernels, as in scikit-learn's MLP; biases and the parameters of "
        "norms are free of it. Raise it against overfitting.",
    )
    batch_size: Any = parameter(
        default="auto",
        rule=rule.either(rule.integer(1), rule.choice("auto")),
        kind='int or "auto"',
        text='Rows per step. "auto" is a 64th of the rows, as a power of two from 16 to 128, for images and '
        "signals, and 128 for rows of numbers. Smaller batches take more steps per epoch, larger ones use more "
        "threads well.",
    )
    learning_rate: Any = parameter(
        default="constant",
        rule=rule.plugin(schedules.registry, hint=_meant_as_rate),
        kind="str or object",
        text="The schedule of the learning rate, for any solver: a name of `pyconvx.schedules` or of an "
        'installed plugin, or an object. "cosine" and "one_cycle" spread over `max_iter` epochs, of all '
        "calls of `fit` and `partial_fit` together, and suit a fixed budget.",
    )
    learning_rate_init: float = parameter(
        default=1e-3,
        rule=rule.real(0, above=True),
        kind="float",
        text="Learning rate at the start. Lower it if the loss rises or training diverges, raise it if the loss "
        "falls slowly and steadily; SGD needs about ten times the rate of Adam.",
    )
    rate_factors: Any = parameter(
        default=None,
        rule=rule.either(rule.Rule(_legal_factors, "a dict of names and factors above 0"), rule.nothing),
        kind="dict or None",
        text="Factors of the learning rate for some layers, or single parameters, by their names in "
        "``network_.names`` and ``network_.parameters``: ``{'conv2d_1': 0.1}`` moves what was learnt before more "
        "slowly than the rest. See `init_from` and `frozen`.",
    )
    power_t: float = parameter(
        default=0.5,
        rule=rule.real(0),
        kind="float",
        text='Exponent of the schedule "invscaling"; no other schedule reads it.',
    )
    max_iter: Any = parameter(
        default="auto",
        rule=rule.either(rule.integer(1), rule.choice("auto")),
        kind='int or "auto"',
        text="Epochs, unless training ends earlier because it no longer improves (see `tol` and "
        '`n_iter_no_change`). "auto" is as many as make 2,000 steps, from 20 to 200; no ConvergenceWarning '
        "follows.",
    )
    averaging: Any = parameter(
        default="auto",
        rule=rule.either(rule.share, rule.choice("auto"), rule.nothing),
        kind='float, "auto" or None',
        text="Predict with a mean of the weights over epochs, while training goes on from the latest ones. The "
        "number, from 0 to 1, is what the mean so far counts for when an epoch is added: 0.9 looks back about 10 "
        "epochs, 1 about half of all. It evens out the swings of validation scores as a falling learning "
        'rate would. "auto" is 0.9 for networks with running statistics, as batch norm has them, and None for '
        "others.",
    )
    max_fun: int = parameter(
        default=15000,
        rule=rule.integer(1),
        kind="int",
        text='The most passes over all rows that ``solver="lbfgs"`` takes; no other solver reads it.',
    )
    shuffle: bool = parameter(
        default=True,
        rule=rule.boolean,
        kind="bool",
        text="Whether each epoch has an order of its own. False takes rows as they are in X, which learns badly "
        "if X is sorted.",
    )
    random_state: Any = parameter(
        default=None,
        rule=rule.Rule(_legal_random_state, "an int from 0 to 2**32 - 1, a RandomState or None"),
        kind="int, RandomState instance or None",
        text="Decides starting weights, order of samples, dropout and rows held out. With an int, the same data "
        "and parameters give the same bits on any number of threads.",
    )
    tol: float | None = parameter(
        default=1e-4,
        rule=rule.either(rule.real(0), rule.nothing),
        kind="float or None",
        text="How much better the loss, or with `early_stopping` the validation score, has to become to count "
        "as an improvement. None trains all `max_iter` epochs, and no ConvergenceWarning follows, as in "
        "SGDClassifier.",
    )
    verbose: Any = parameter(
        default=False,
        rule=rule.verbosity,
        kind="bool or int",
        text="Whether each epoch prints a line with loss, score and speed.",
    )
    warm_start: bool = parameter(
        default=False,
        rule=rule.boolean,
        kind="bool",
        text="Whether `fit` goes on from the last call, with the solver's memory and the curves, instead of "
        "starting anew. Two fits of 5 epochs then give the bits of one of 10.",
    )
    momentum: float = parameter(
        default=0.9,
        rule=rule.real(0, 1),
        kind="float",
        text='Momentum of the solver "sgd"; no other solver reads it.',
    )
    nesterovs_momentum: bool = parameter(
        default=True,
        rule=rule.boolean,
        kind="bool",
        text='Whether the momentum of the solver "sgd" is Nesterov\'s.',
    )
    early_stopping: bool = parameter(
        default=False,
        rule=rule.boolean,
        kind="bool",
        text="Whether the validation score ends training and the best weights are restored. A part of the rows "
        "is held out for it unless `fit` is given X_val and y_val. Use it if the network overfits.",
    )
    validation_fraction: float = parameter(
        default=0.1,
        rule=rule.real(0, 1, above=True),
        kind="float",
        text="Fraction of the rows that `early_stopping` holds out.",
    )
    beta_1: float = parameter(
        default=0.9,
        rule=rule.real(0, 1),
        kind="float",
        text='Decay of the mean gradient in the solvers "adam" and "adamw".',
    )
    beta_2: float = parameter(
        default=0.999,
        rule=rule.real(0, 1),
        kind="float",
        text='Decay of the mean squared gradient in the solvers "adam" and "adamw".',
    )
    epsilon: float = parameter(
        default=1e-8,
        rule=rule.real(0, above=True),
        kind="float",
        text='Keeps the solvers "adam", "adamw" and "rmsprop" from dividing by zero.',
    )
    n_iter_no_change: Any = parameter(
        default="auto",
        rule=rule.either(rule.integer(1), rule.endless, rule.choice("auto")),
        kind='int, numpy.inf or "auto"',
        text="Training ends after more than this many epochs without an improvement of at least `tol`; "
        'numpy.inf never ends it. "auto" is 10, but with ``max_iter="auto"`` a quarter of the epochs if that is '
        "more: few rows make short epochs, whose losses swing.",
    )
    scoring: Any = parameter(
        default="loss",
        rule=SCORING,
        kind="str, callable or None",
        text='What scores the validation data after each epoch; greater is better. "loss" is the negated loss, '
        "a name is one of scikit-learn's scorers, None is the method `score`.",
    )
    n_jobs: int | None = parameter(
        default=None,
        rule=None,  # `resolve_threads` has its own words
        kind="int or None",
        text="Threads: None takes OpenMP's limit, -1 all processors, k exactly k, 64 at most. It never changes "
        "results. Inside a parallel search leave it at None: then its processes, or its threads, share the "
        "processors.",
    )
    checkpoint: Checkpoint | None = parameter(
        default=None,
        rule=rule.either(rule.Rule(is_checkpoint, "a Checkpoint with a path"), rule.nothing),
        kind="Checkpoint or None",
        text="The file in which `fit` keeps what it has reached, for fits that may be cut off.",
    )
    resume: bool = parameter(
        default=False,
        rule=rule.boolean,
        kind="bool",
        text="Whether `fit` goes on from the checkpoint, if there is one, as if it had not been cut off.",
    )
