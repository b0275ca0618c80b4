"""Runs the sides of a comparison in alternating new processes; no framework is imported here."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cases import Comparison, Side

WORKERS = Path(__file__).parent / "workers"
TIMEOUT = 900.0  # seconds of one worker
THREADING = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_")  # variables of the environment that workers do not get
TRIAL = 0.25  # of the seconds, to choose a variant
Answer = dict[str, Any]


class WorkerError(RuntimeError):
    """A worker failed; the message holds what it wrote to stderr."""


def work(worker: str, function: str, options: dict[str, Any], threads: int | None) -> Answer:
    """Start a worker and return its answer.

    Raises
    ------
    WorkerError
        If it fails, takes longer than `TIMEOUT` or answers nothing.
    """
    command = [sys.executable, str(WORKERS / f"{worker}.py"), function, json.dumps(options)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(THREADING)}
    environment["PYTHONWARNINGS"] = "ignore"
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise WorkerError(f"{worker}.py {function} took longer than {TIMEOUT:.0f} s") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise WorkerError(
            f"{worker}.py {function} ended with code {done.returncode}; its stderr:\n{done.stderr.strip()}"
        )
    answer: Answer = json.loads(lines[-1])
    return answer


def _ask(comparison: Comparison, side: Side, items: list[tuple[str, str]], seconds: float, data: str) -> Answer:
    """Run one process of one side and return its answer."""
    options = comparison.options | side.options | {"seconds": seconds, "items": items}
    if comparison.needs_data:
        options["data"] = data
    return work(side.worker, side.function, options, comparison.threads)


def _choose(comparison: Comparison, side: Side, seconds: float, data: str) -> list[tuple[str, str]]:
    """Return for each item the variant that is fastest in a short first process."""
    if len(side.variants) == 1:
        return [(item, side.variants[0]) for item in comparison.items]
    tried = [(item, variant) for item in comparison.items for variant in side.variants]
    figures = _ask(comparison, side, tried, seconds * TRIAL, data)["figures"]
    sign = 1 if comparison.more_is_better else -1
    found: dict[str, tuple[float, str]] = {}
    for (item, variant), figure in zip(tried, figures, strict=True):
        found[item] = max(found.get(item, (-float("inf"), "")), (sign * figure, variant))
    return [(item, variant) for item, (_, variant) in found.items()]


def measure(comparison: Comparison, pairs: int, seconds: float, data: str = "") -> dict[str, Any]:
    """Alternate the sides `pairs` times; return what is stored in the file of results.

    Raises
    ------
    WorkerError
        If a worker fails, or sides that should run one network have different numbers of parameters.
    """
    chosen = {side.name: _choose(comparison, side, seconds, data) for side in comparison.sides}
    runs: dict[str, list[Answer]] = {side.name: [] for side in comparison.sides}
    for _ in range(pairs):
        for side in comparison.sides:
            answer = _ask(comparison, side, chosen[side.name], seconds, data)
            answer["figures"] = dict(zip(comparison.items, answer["figures"], strict=True))
            runs[side.name].append(answer)
    sizes = {name: answers[0]["parameters"] for name, answers in runs.items() if "parameters" in answers[0]}
    if len(set(sizes.values())) > 1:
        raise WorkerError(f"{comparison.key}: the networks differ, they have {sizes} parameters")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "pairs": pairs,
        "seconds": seconds,
        "variants": {name: dict(items) for name, items in chosen.items() if items[0][1]},
        "runs": runs,
    }
