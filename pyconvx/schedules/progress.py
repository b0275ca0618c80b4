"""How far training has come: everything that a schedule knows."""

from dataclasses import dataclass

from pyconvx._core.numbers import check_real

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """How far training has come, at the start of a step.

    Parameters
    ----------
    step : int
        Steps done, over all calls of fit and partial_fit.
    epoch : float
        Epochs done, with the fraction of the present one.
    max_epochs : int
        Epochs that the network may be trained for in all, over all calls: the estimators' `max_iter`. A schedule
        that looks at it says so by a class attribute ``uses_max_epochs = True``.
    samples_seen : int
        Samples of all epochs that have ended, ``t_`` of scikit-learn's MLP.
    stalls : int
        How often training has gone ``n_iter_no_change`` epochs without improvement.
    length : float
        Epochs that the coming step takes: its rows as a fraction of all.
    """

    step: int = 0
    epoch: float = 0.0
    max_epochs: int = 1
    samples_seen: int = 0
    stalls: int = 0
    length: float = 0.0

    def __post_init__(self) -> None:
        check_real(least=1, max_epochs=self.max_epochs)
        check_real(least=0, **vars(self))
