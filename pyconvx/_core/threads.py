"""The one policy for threads: how many a call uses, and what happens to them at a fork.

Every count is checked here before OpenMP gets it, which ends the process on -1 and crashes on huge ones.
"""

import functools
import operator
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import joblib
import numpy as np

from pyconvx._ext import cpu

MAX_THREADS = 64

# The most work, in what its key counts, that one thread does alone: starting a second would cost more than it
# saves. No count of threads changes a bit of a result. Measured on two cores of an AMD Zen 4.
ONE_THREAD = {
    "multiplications": 150_000,  # of a convolution or a dense layer
    "pooled bytes": 512 * 1024,  # of the larger map of a pool
    "parameters": 32_768,  # in one pass of a solver or of weight decay
    "logits": 4_096,  # of a loss over classes
    "numbers": 16_384,  # of an elementwise loop; the kernels of activations have it too (_ext/tuning.h)
}

# Trainings at the same time, as in a search with joblib's threads, would each start a thread per processor.
_trainings = 0
_changing = threading.Lock()


def _in_child() -> None:
    """Begin anew in a forked process: the trainings of its parent do not run there."""
    global _trainings, _changing
    _trainings, _changing = 0, threading.Lock()
    cpu.in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=cpu.before_fork, after_in_child=_in_child)


@contextmanager
def one_more_training() -> Iterator[None]:
    """Share the processors with the other trainings of this process, as long as the context lasts."""
    global _trainings
    with _changing:
        _trainings += 1
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == process:  # a forked process that leaves its parent's training has not counted it
            with _changing:
                _trainings -= 1


@functools.cache
def _cpu_quota() -> int:
    """Return how many processors containers and joblib's limits leave to this process."""
    return int(joblib.cpu_count())


def available_cpus() -> int:
    """Return how many processors this process may use now."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), _cpu_quota())
    return _cpu_quota()


def resolve_threads(n_threads: int | None, *, name: str = "n_threads") -> int:
    """Turn a thread parameter into a count from 1 to 64.

    Parameters
    ----------
    n_threads : int or None
        None means OpenMP's own limit at the time of the call (set by ``OMP_NUM_THREADS``, threadpoolctl or
        a worker process), but not more than the processors of this process, which trainings at the same time
        share. -1 means all of those, -2 all but one, and so on. A positive count is used as it is, up to 64.
    name : str
        The parameter's name, for the message.

    Raises
    ------
    TypeError
        If it is neither an integer nor None.
    ValueError
        If it is 0.
    """
    if type(n_threads) is int and 0 < n_threads <= MAX_THREADS:  # the quick way, for every step
        return n_threads
    if n_threads is None:
        return max(1, min(cpu.max_threads(), available_cpus(), MAX_THREADS) // max(1, _trainings))
    if isinstance(n_threads, (bool, np.bool_)):
        raise TypeError(f"{name} must be an int or None, got {n_threads!r}")
    try:
        count = operator.index(n_threads)
    except TypeError:
        raise TypeError(f"{name} must be an int or None, got {n_threads!r}") from None
    if count < 0:
        count = max(1, available_cpus() + 1 + count)
    elif count == 0:
        raise ValueError(f"{name} must not be 0: None, -1 or a positive count")
    return min(count, MAX_THREADS)


def threads_for(work: int, n_threads: int, unit: str = "multiplications") -> int:
    """Return the threads for an amount of work: one if it is too small to share, else `n_threads`.

    Parameters
    ----------
    work : int
        How much there is to do.
    n_threads : int
        As `resolve_threads` returns it.
    unit : str
        What is counted: a key of `ONE_THREAD`.
    """
    return n_threads if work > ONE_THREAD[unit] else 1
