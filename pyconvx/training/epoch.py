"""What is known at the end of an epoch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """A finished epoch.

    Parameters
    ----------
    number : int
        From 1, in this call.
    loss : float
        Mean of the objective over the batches.
    score : float or None
        Validation score, None without validation data.
    samples_per_second : float
    """

    number: int
    loss: float
    score: float | None
    samples_per_second: float

    def line(self, max_epochs: int, before: int = 0) -> str:
        """Return a line of verbose output; a call for a single epoch counts from those `before` it."""
        number = f"{self.number} of {max_epochs}" if max_epochs > 1 else str(before + self.number)
        score = "" if self.score is None else f", score = {self.score:.4f}"
        return f"Iteration {number}, loss = {self.loss:.8f}{score}, {self.samples_per_second:,.0f} samples/s"
