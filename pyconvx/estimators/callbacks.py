"""scikit-learn's callbacks, public since 1.9; older versions get the same names without effect."""

from collections.abc import Callable
from typing import Any

from pyconvx.estimators.examples import Examples

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin
    from sklearn.callback import with_callbacks as with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in if scikit-learn has no callbacks."""

        def set_callbacks(self, *callbacks: Any) -> Any:
            """Explain what is missing."""
            raise ImportError("callbacks need scikit-learn 1.9 or newer: pip install -U scikit-learn")

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as it is."""
        return method


class FitTask:
    """The task tree of one fit: a task for the whole, one below it per epoch.

    Parameters
    ----------
    estimator : estimator
    max_epochs : int
    data : Examples
        The training data; callbacks get it in the form that the user gave.
    """

    def __init__(self, estimator: Any, max_epochs: int, data: Examples) -> None:
        self._estimator, self._data = estimator, {"X": data.given, "y": data.y}
        make = getattr(estimator, "_init_callback_context", None)
        self._context = None if make is None else make(max_subtasks=max_epochs)
        self._epoch: Any = None
        if self._context is not None:
            self._context.call_on_fit_task_begin(estimator=estimator, **self._data)
            self.begin_epoch()

    def begin_epoch(self) -> None:
        """Open the next epoch's task."""
        if self._context is not None:
            self._epoch = self._context.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def end_epoch(self, attributes: Callable[[], dict[str, Any]], metadata: dict[str, Any]) -> bool:
        """Close the epoch's task; returns whether a callback asks to stop."""
        if self._epoch is None:
            return False
        task, self._epoch = self._epoch, None
        return bool(
            task.call_on_fit_task_end(
                estimator=self._estimator,
                **self._data,
                metadata=metadata,
                reconstruction_attributes=attributes,
            )
        )

    def end(self, attributes: Callable[[], dict[str, Any]]) -> None:
        """Close the task of the whole fit."""
        if self._context is not None:
            self._context.call_on_fit_task_end(
                estimator=self._estimator, **self._data, reconstruction_attributes=attributes
            )
