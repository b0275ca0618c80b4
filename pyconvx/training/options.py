"""Numbers that steer the training loop."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrainingOptions:
    """Numbers that steer the training loop; the estimators' parameters of these names explain them."""

    batch_size: int = 128
    alpha: float = 1e-4
    learning_rate_init: float = 1e-3
    shuffle: bool = True
    tol: float | None = 1e-4
    n_iter_no_change: float = 10
    early_stopping: bool = False
    n_threads: int = 1
    verbose: bool = False
    max_fun: int = 15000
    averaging: float | None = None
    rate_factors: Mapping[str, float] = field(default_factory=dict)
    max_epochs: int | None = None  # over all runs, for schedules; None stands for those of one run
