"""The mean of the weights over epochs, with which a network predicts while training goes on from the latest ones.

Steps of a constant learning rate end somewhere around a minimum, and the statistics of batch norm follow the
last batches; so scores swing from epoch to epoch. The mean over epochs lies nearer to the minimum and is as steady
as if the rate had been lowered, and nobody has to know how many epochs there will be. See Polyak and Juditsky
(1992), "Acceleration of stochastic approximation by averaging", and Izmailov et al. (2018, arXiv:1803.05407).
"""

from pyconvx.network import Network
from pyconvx.training.state import TrainingState, Weights


def latest(state: TrainingState, network: Network) -> None:
    """Give the network the weights that training goes on from."""
    if state.latest is not None:
        state.latest.put(network)


def average(state: TrainingState, network: Network, mean: Weights, decay: float | None) -> None:
    """Give the network the mean of the weights up to this epoch, and keep the latest ones in the state.

    Parameters
    ----------
    mean : Weights
        Those before the epoch, the mean so far.
    decay : float or None
        What the mean so far counts for, once it is old enough: epoch n has a share of at least 2 / (n + 1), so
        that the first epochs are forgotten (Shamir and Zhang 2013, arXiv:1212.1824, eta = 1). None ends averaging.
    """
    if decay is None:
        state.latest, state.averaged = None, 0
        return
    share = max(1.0 - decay, 2.0 / (state.averaged + 2))
    state.latest = Weights.of(network)
    for numbers, before in ((network.buffer, mean.buffer), (network.state_buffer, mean.state_buffer)):
        if share < 1.0:
            numbers += (before - numbers) * (1.0 - share)
    state.averaged += 1
