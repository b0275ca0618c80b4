"""CNNClassifier: a convolutional network with scikit-learn's contract.

Parameters, defaults and attributes are those of MLPClassifier wherever both do the same thing.
"""

from contextlib import ExitStack
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from pyconvx._core.types import Array, Padding
from pyconvx.estimators import _images
from pyconvx.estimators._callbacks import CallbackSupportMixin, with_callbacks
from pyconvx.estimators._parameters import check_parameters
from pyconvx.estimators._rules import CLASSIFIER_RULES
from pyconvx.estimators._targets import (
    Validation,
    check_labels,
    check_weights,
    distinct,
    encode,
    with_class_weight,
)
from pyconvx.estimators._training import TrainedClassifier
from pyconvx.estimators.checkpoint import Checkpoint, CheckpointWriter, fingerprint_of


class CNNClassifier(CallbackSupportMixin, ClassifierMixin, TrainedClassifier):
    """Convolutional network classifier.

    By default each entry of `filters` makes a convolution, an activation and a max pool, each entry of
    `hidden_layer_sizes` a dense layer with an activation; a dense layer with one unit per class follows.

    Parameters
    ----------
    filters : int or sequence of int, default=(32, 64)
        Output channels of the convolutions.
    kernel_size : int or pair, default=3
    pool_size : int or pair, default=2
        Kernels and pools larger than the map are clipped to it.
    padding : int, pair, pair of pairs, "same" or "valid", default="same"
        Of the convolutions.
    hidden_layer_sizes : int or sequence of int, default=(128,)
    activation : str or object, default="relu"
        A name of `pyconvx.activations` or of an installed plugin, or an object.
    dropout : float, default=0.0
        Share of cells dropped behind each hidden dense layer.
    batch_norm : bool, default=False
        Whether convolutions are followed by batch normalisation.
    initializer : str or object, default="auto"
        Of kernels; "auto" takes what the activation declares (He for ReLUs, Xavier for tanh and sigmoid).
    layers : sequence of layers, default=None
        Replaces everything before the output layer; `Flatten` is added where it is missing.
    image_shape : (H, W) or (H, W, C), default=None
        Says that 2-D X holds flattened images; without it a row is a signal of one row.
    data_format : {"channels_last", "channels_first"}, default="channels_last"
        Order of 4-D X, of `image_shape` and of flattened rows.
    dtype : {"float32", "float64"}, default=None
        Precision of the network; None keeps float64 data in float64 and computes all else in float32.
    loss : str or object, default="cross_entropy"
    label_smoothing : float, default=0.0
        Share of each target that is spread over all classes, with the name of a loss that knows it.
    solver : str or object, default="adam"
    alpha : float, default=1e-4
        Strength of the L2 penalty on kernels; biases and norms are free.
    batch_size : int, default="auto"
        "auto" is ``min(128, n_samples)``.
    learning_rate : str or object, default="constant"
        A schedule, for any solver.
    learning_rate_init : float, default=1e-3
    power_t : float, default=0.5
        Of the schedule "invscaling".
    max_iter : int, default=50
        Epochs.
    shuffle : bool, default=True
    random_state : int, RandomState instance or None, default=None
        Starting weights, order of samples, dropout and validation split. With an int, the same data and
        parameters give the same bits on any number of threads.
    tol : float, default=1e-4
        Improvement that counts.
    verbose : bool or int, default=False
        Whether a line per epoch is printed.
    warm_start : bool, default=False
        Whether `fit` goes on from the last call, solver and curves included.
    momentum : float, default=0.9
        Of the solver "sgd".
    nesterovs_momentum : bool, default=True
        Of the solver "sgd".
    early_stopping : bool, default=False
        Whether the validation score stops training and the best weights are restored. A stratified share
        of the data is held out unless `fit` is given X_val.
    validation_fraction : float, default=0.1
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        Of the solvers "adam" and "adamw".
    n_iter_no_change : int, default=10
        Epochs without improvement after which training ends.
    scoring : str, callable or None, default="loss"
        Validation score: the negated loss, a scorer, or accuracy (None).
    class_weight : dict, "balanced" or None, default=None
    n_jobs : int or None, default=None
        Threads: None for OpenMP's limit, -1 for all processors, k for exactly k. Never changes results.
    checkpoint : Checkpoint or None, default=None
        File in which `fit` keeps what it has reached.
    resume : bool, default=False
        Whether `fit` goes on from the checkpoint, where there is one.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    n_features_in_ : int
        Numbers of one sample.
    feature_names_in_ : array
        Column names, where X had them.
    input_shape_ : (H, W, C)
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

    def __init__(
        self,
        filters: Any = (32, 64),
        *,
        kernel_size: Any = 3,
        pool_size: Any = 2,
        padding: Padding = "same",
        hidden_layer_sizes: Any = (128,),
        activation: Any = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        initializer: Any = "auto",
        layers: Any = None,
        image_shape: Any = None,
        data_format: str = "channels_last",
        dtype: Any = None,
        loss: Any = "cross_entropy",
        label_smoothing: float = 0.0,
        solver: Any = "adam",
        alpha: float = 1e-4,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 1e-3,
        power_t: float = 0.5,
        max_iter: int = 50,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        scoring: Any = "loss",
        class_weight: Any = None,
        n_jobs: int | None = None,
        checkpoint: Checkpoint | None = None,
        resume: bool = False,
    ) -> None:
        self.filters = filters
        self.kernel_size = kernel_size
        self.pool_size = pool_size
        self.padding = padding
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.initializer = initializer
        self.layers = layers
        self.image_shape = image_shape
        self.data_format = data_format
        self.dtype = dtype
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.scoring = scoring
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.checkpoint = checkpoint
        self.resume = resume

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> "CNNClassifier":
        """Train on images.

        Parameters
        ----------
        X : array-like of shape (n, H, W, C), (n, H, W) or (n, features)
            uint8 images are scaled by 1/255; everything else is taken as it is.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), optional
            Not negative; rows of weight 0 are left out.
        X_val, y_val : array-like, optional
            Scored after every epoch; with early stopping they decide.
        sample_weight_val : array-like, optional

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If data or a parameter is not legal; scikit-learn's words.
        DivergenceError
            If the loss, a weight or an output becomes NaN or infinite; the weights of the last epoch without
            are kept.
        CheckpointError
            If the checkpoint cannot be written, is another fit's, or another fit is writing it.

        Warns
        -----
        RuntimeWarning
            If a checkpoint could not be written; training goes on.
        ConvergenceWarning
            If max_iter epochs did not suffice.
        """
        self._check_parameters()
        _check_together(X_val, y_val, sample_weight_val)
        going_on = self.warm_start and hasattr(self, "network_")
        with ExitStack() as locks:
            with self._unchanged_on_error():
                images, labels = self._check_data(X, y, reset=not going_on)
                found = distinct(labels)
                if going_on and not np.array_equal(found, self.classes_):
                    words = f"warm_start needs the classes of the first fit, {self.classes_}, got {found}"
                    raise ValueError(words)
                weights = with_class_weight(sample_weight, self.class_weight, labels)
                dtype = self.network_.dtype if going_on else _images.computing_dtype(self.dtype, images)
                validation = self._given_validation(X_val, y_val, sample_weight_val, found, dtype)
                saver = None
                if self.checkpoint is not None:
                    start = self.network_.buffer if going_on else np.empty(0)
                    data = fingerprint_of(self, (images, labels, weights, start), validation)
                    saver = locks.enter_context(CheckpointWriter(self.checkpoint, data))
                resumed = saver is not None and self.resume and saver.resume(self, found)
                if going_on or resumed:
                    self._check_same_layers(len(found))
                else:
                    self._make_network(images, len(found))
                    self.classes_ = found
                done = 0 if saver is None else saver.done
                trainer, validation = self._prepared(images, labels, weights, validation, done)
            self._train(trainer, validation, images, labels, self.max_iter, saver)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> "CNNClassifier":
        """Train one epoch on these rows.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array-like, optional
            All labels that will ever come; needed at the first call.

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
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it cannot hold rows out")
        if self.class_weight == "balanced":
            raise ValueError("partial_fit does not support class_weight='balanced': pass sample_weight")
        first = not hasattr(self, "network_")
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        known = distinct(np.asarray(classes)) if classes is not None else self.classes_
        if not first and not np.array_equal(known, self.classes_):
            raise ValueError(f"`classes={classes}` is not the same as on last call, which was {self.classes_}")
        with self._unchanged_on_error():
            images, labels = self._check_data(X, y, reset=first)
            encode(labels, known)
            weights = with_class_weight(sample_weight, self.class_weight, labels)
            if first:
                self._make_network(images, len(known))
                self.classes_ = known
            else:
                self._check_same_layers(len(known))
            done = 0 if first else self.n_iter_
            trainer, _ = self._prepared(images, labels, weights, None, done)
        self._train(trainer, None, images, labels, None)
        return self

    def __sklearn_tags__(self) -> Any:
        """Dense, finite numbers; 2-D, and images of three or four axes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.sparse = False
        tags.input_tags.allow_nan = False
        return tags

    def _check_parameters(self) -> None:
        """Refuse illegal constructor parameters."""
        check_parameters(self, self.get_params(deep=False), CLASSIFIER_RULES)
        if self.resume and self.checkpoint is None:
            raise ValueError("resume=True needs a checkpoint to go on from: pass checkpoint=Checkpoint(path)")
        self._threads()

    def _check_data(self, X: Any, y: Any, *, reset: bool) -> tuple[Array, Array]:
        """Images and labels that fit together."""
        if y is None:
            check_labels(self, np.empty(0), y)
        images = self._check_X(X, reset=reset)
        dtype = _images.computing_dtype(self.dtype, images) if reset else self.network_.dtype
        _images.check_cast(images, dtype)
        return images, check_labels(self, images, y)

    def _given_validation(
        self, X_val: Any, y_val: Any, weights: Any, classes: Array, dtype: np.dtype[Any]
    ) -> Validation | None:
        """The validation data that the user brought."""
        if X_val is None:
            return None
        images = self._check_X(X_val, reset=False, name="X_val")
        _images.check_cast(images, dtype)
        labels = check_labels(self, images, y_val, "y_val")
        codes = encode(labels, classes, "y_val")
        return Validation(images, labels, codes, check_weights(weights, len(images), "sample_weight_val"))


def _check_together(X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
    """Refuse half of the validation data."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val belong together: pass both, or neither")
    if X_val is None and sample_weight_val is not None:
        raise ValueError("sample_weight_val needs X_val and y_val")
