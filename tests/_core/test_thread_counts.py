"""How thread counts are resolved; tests/system/test_threads.py tests what they do."""

import os
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pyconvx._core import threads as _threads
from pyconvx._core.threads import MAX_THREADS, available_cpus, one_more_training, resolve_threads, threads_for
from pyconvx._ext import cpu


def test_the_processors_of_the_process():
    whole = os.sched_getaffinity(0)
    assert available_cpus() == _threads._cpu_quota() or len(whole) < _threads._cpu_quota()
    try:
        os.sched_setaffinity(0, {min(whole)})
        assert available_cpus() == 1
        assert resolve_threads(-1) == resolve_threads(-5) == 1
    finally:
        os.sched_setaffinity(0, whole)


def test_counts():
    cpus = available_cpus()
    assert [resolve_threads(n) for n in (1, np.int8(2), 63, 64, 65, 2**70)] == [1, 2, 63, 64, 64, MAX_THREADS]
    assert [resolve_threads(-n) for n in range(1, cpus + 2)] == [*range(cpus, 0, -1), 1]
    with threadpool_limits(1, user_api="openmp"):
        assert resolve_threads(None) == 1


@pytest.mark.skipif(not cpu.openmp(), reason="no OpenMP")
def test_the_limit_of_openmp():
    cpus = available_cpus()
    for limit in (cpus, cpus + 5):
        with threadpool_limits(limit, user_api="openmp"):
            assert resolve_threads(None) == min(cpus, MAX_THREADS)


def test_machines_of_many_processors(monkeypatch):
    monkeypatch.setattr(_threads, "available_cpus", lambda: 1000)
    monkeypatch.setattr(_threads, "cpu", SimpleNamespace(max_threads=lambda: 1000))
    assert [resolve_threads(n) for n in (None, -1, -937, -938)] == [64, 64, 64, 63]


def test_trainings_at_the_same_time_share_the_processors(monkeypatch):
    monkeypatch.setattr(_threads, "available_cpus", lambda: 7)
    monkeypatch.setattr(_threads, "cpu", SimpleNamespace(max_threads=lambda: 7))
    seen = []
    with one_more_training():
        seen.append(resolve_threads(None))
        with one_more_training(), one_more_training():
            seen += [resolve_threads(None), resolve_threads(-1), resolve_threads(5)]
        with ExitStack() as many:
            for _ in range(9):
                many.enter_context(one_more_training())
            seen.append(resolve_threads(None))
        seen.append(resolve_threads(None))
    assert seen == [7, 2, 7, 5, 1, 7]


def test_a_training_that_fails_gives_the_processors_back(monkeypatch):
    monkeypatch.setattr(_threads, "available_cpus", lambda: 7)
    monkeypatch.setattr(_threads, "cpu", SimpleNamespace(max_threads=lambda: 7))

    def fails():
        with one_more_training():
            raise KeyError(resolve_threads(None))

    with one_more_training(), pytest.raises(KeyError, match="3"):
        fails()
    assert resolve_threads(None) == 7


@pytest.mark.parametrize("value", [True, np.True_, 2.0, "2"])
def test_what_is_no_count(value):
    with pytest.raises(TypeError, match=r"^n_jobs must be an int or None, got "):
        resolve_threads(value, name="n_jobs")
    with pytest.raises(TypeError, match=r"^n_threads must be an int or None, got "):
        resolve_threads(value)
    with pytest.raises(ValueError, match=r"^n_jobs must not be 0"):
        resolve_threads(0, name="n_jobs")


def test_little_work_takes_one_thread():
    assert threads_for(_threads.ONE_THREAD["multiplications"] + 1, 3) == 3
    for unit, limit in _threads.ONE_THREAD.items():
        assert [threads_for(n, 3, unit) for n in (0, limit, limit + 1)] == [1, 1, 3]
