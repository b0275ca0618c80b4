"""From measured numbers to rows: medians over the pairs, ratios with their spread, targets met or not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from cases import Comparison, Row

Result = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """One row with its figures: medians of both sides, the ratio, and the least and largest ratio of a pair."""

    ours: float
    peer: str
    theirs: float
    ratio: float
    least: float
    largest: float
    met: bool | None
    others: tuple[tuple[str, float], ...] = ()
    where: str = ""


def outcome(comparison: Comparison, row: Row, result: Result) -> Outcome:
    """Work out the figures of a row."""
    if row.reduce == "least":
        each = [replace(_against_best(comparison, row, result, (item,)), where=item) for item in row.items]
        return min(each, key=lambda found: found.ratio)
    if row.reduce == "mean":
        return _mean(comparison, row, result)
    return _against_best(comparison, row, result, row.items)


def _more_is_better(comparison: Comparison, row: Row) -> bool:
    return comparison.more_is_better and row.value == "figures"


def _values(comparison: Comparison, row: Row, result: Result, side: str, items: Sequence[str]) -> list[float]:
    """Return one number per pair, the best one if there are several items."""
    answers = result["runs"][side]
    if row.value != "figures":
        return [answer[row.value] for answer in answers]
    best = max if comparison.more_is_better else min
    return [best(answer["figures"][item] for item in items) for answer in answers]


def _ratios(comparison: Comparison, row: Row, ours: list[float], theirs: list[float]) -> list[float]:
    """Return how many times better pyconvx is, pair by pair."""
    pairs = zip(ours, theirs, strict=True)
    return [a / b if _more_is_better(comparison, row) else b / a for a, b in pairs]


def _against_best(comparison: Comparison, row: Row, result: Result, items: Sequence[str]) -> Outcome:
    sign = 1 if _more_is_better(comparison, row) else -1
    ours = _values(comparison, row, result, comparison.sides[0].name, items)
    peers = {name: _values(comparison, row, result, name, items) for name in row.peers}
    ranked = sorted(peers, key=lambda name: -sign * median(peers[name]))
    theirs = peers[ranked[0]]
    ratios = _ratios(comparison, row, ours, theirs)
    return Outcome(
        median(ours), _with_variant(result, ranked[0], items, theirs), median(theirs),
        median(ratios), min(ratios), max(ratios), _met(row, median(ratios), median(ours)),
        tuple((name, median(peers[name])) for name in ranked[1:]),
    )  # fmt: skip


def _with_variant(result: Result, side: str, items: Sequence[str], values: list[float]) -> str:
    """Return the side's name with the variant that ran."""
    variants = {result["variants"].get(side, {}).get(item, "") for item in items}
    text = variants.pop() if len(variants) == 1 else ""
    return f"{side} ({text.replace('_', '-').replace(' ', ', ')})" if text else side


def _mean(comparison: Comparison, row: Row, result: Result) -> Outcome:
    """Return geometric means over the items: of the times, and of the ratios pair by pair."""

    def logs(side: str) -> list[float]:
        answers = result["runs"][side]
        return [
            sum(math.log(answer["figures"][item]) for item in row.items) / len(row.items) for answer in answers
        ]

    ours, theirs = ([math.exp(v) for v in logs(side)] for side in (comparison.sides[0].name, row.peers[0]))
    ratios = _ratios(comparison, row, ours, theirs)
    met = _met(row, median(ratios), median(ours))
    return Outcome(median(ours), row.peers[0], median(theirs), median(ratios), min(ratios), max(ratios), met)


def _met(row: Row, ratio: float, ours: float) -> bool | None:
    """Return whether the target is reached; None if there is none."""
    if row.limit is not None:
        return ours <= row.limit
    return None if row.target is None else ratio >= row.target
