"""What a fitted classifier gives: labels, probabilities, a compiled predictor, a file of itself."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from pyconvx import losses
from pyconvx._core.types import Array, FloatArray
from pyconvx.estimators._base import ImageNetwork
from pyconvx.estimators._saving import saved
from pyconvx.estimators.predictor import CompiledPredictor
from pyconvx.losses import CrossEntropy
from pyconvx.network import CompiledNetwork
from pyconvx.persistence import StrPath, pack, write_file


class FittedClassifier(ImageNetwork):
    """A network whose outputs are classes; the parameters are those of `CNNClassifier`."""

    classes_: Array

    def predict(self, X: Any) -> Array:
        """Label of the most probable class.

        Parameters
        ----------
        X : array-like
            Images, of the shape and kind that the classifier was fitted to.

        Returns
        -------
        array of shape (n,)

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If X does not fit; scikit-learn's words.
        DivergenceError
            If the outputs are NaN or infinite: images or weights are too large for the precision.
        """
        check_is_fitted(self)
        labels: Array = self.classes_[self._outputs(X).argmax(axis=1)]
        return labels

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like
            Images, as for `predict`.

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
        """Logarithms of the probabilities; finite where probabilities underflow.

        Parameters
        ----------
        X : array-like
            Images, as for `predict`.

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
        if isinstance(loss, CrossEntropy):
            return loss.log_predictions(outputs)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(loss.predictions(outputs)))

    def decision_function(self, X: Any) -> FloatArray:
        """The network's outputs before softmax; for two classes their difference.

        Parameters
        ----------
        X : array-like
            Images, as for `predict`.

        Returns
        -------
        array of shape (n, n_classes), or (n,) for two classes
            In the network's precision and the order of ``classes_``.

        Raises
        ------
        NotFittedError, ValueError, TypeError, DivergenceError
            As `predict`.
        """
        check_is_fitted(self)
        outputs = self._outputs(X)
        if len(self.classes_) == 2:
            return np.asarray(outputs[:, 1] - outputs[:, 0])
        return outputs[:, 0] if len(self.classes_) == 1 else outputs

    def compile_predictor(self) -> CompiledPredictor:
        """Compile the network as it is now, for the shortest time between an image and its probabilities.

        Batch norm is folded into the convolutions, kernels are transformed, memory is found once.

        Returns
        -------
        callable
            ``predictor(X)`` gives the probabilities, shape (n, n_classes), in the network's precision. X is
            an array of the shape that the classifier was fitted to; values are not checked.

        Examples
        --------
        >>> import numpy as np
        >>> from pyconvx import CNNClassifier
        >>> X = np.random.default_rng(0).integers(0, 255, (20, 8, 8, 1), np.uint8)
        >>> clf = CNNClassifier(filters=(4,), tol=1.0, n_iter_no_change=2, random_state=0).fit(X, [0, 1] * 10)
        >>> predictor = clf.compile_predictor()
        >>> predictor(X[:1]).shape
        (1, 2)
        """
        check_is_fitted(self)
        first = self.data_format == "channels_first"
        H, W, C = self.input_shape_
        return CompiledPredictor(
            CompiledNetwork(self.network_, self._threads()), self._loss(), self.classes_,
            (C, H, W) if first else (H, W, C), uint8=self.scales_uint8_, first=first,
        )  # fmt: skip

    def save(self, path: StrPath) -> None:
        """Write the fitted classifier to a file, which `pyconvx.load` reads.

        The file holds parameters, weights and the state of training; no code. It is replaced as a whole or,
        whatever happens, left as it was.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError
            If a parameter is a function, or an object that no registered name leads to.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import numpy as np, pyconvx, tempfile
        >>> from pyconvx import CNNClassifier
        >>> X = np.random.default_rng(0).random((20, 8, 8), np.float32)
        >>> clf = CNNClassifier(filters=(4,), tol=1.0, n_iter_no_change=2, random_state=0).fit(X, [0, 1] * 10)
        >>> path = tempfile.mkdtemp() + "/model.pyconvx"
        >>> clf.save(path)
        >>> bool((pyconvx.load(path).predict(X) == clf.predict(X)).all())
        True
        """
        check_is_fitted(self)
        write_file(path, pack(*saved(self)))

    def _outputs(self, X: Any) -> FloatArray:
        """As for every estimator; refused where somebody has changed ``classes_``."""
        (units,) = self.network_.output_shape
        if units != len(self.classes_):
            raise ValueError(f"{len(self.classes_)} classes, but the network gives {units}: fit again")
        return super()._outputs(X)

    def _loss(self) -> Any:
        """The loss; with a name, label_smoothing applies where the loss knows it."""
        made: Any = losses.registry.resolve(self.loss)
        if isinstance(self.loss, str) and isinstance(made, CrossEntropy):
            return CrossEntropy(label_smoothing=self.label_smoothing)
        return made
