"""Writes the page docs/evidence/performance.md, and the table that `make bench` prints, from the results' file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cases import LAYERS, Comparison, Row
from results import Outcome, outcome

TEMPLATE = Path(__file__).with_name("page.md")
HEAD = (
    "| case | threads | what | pyconvx | best peer | ratio (least to largest) | target | met |\n"
    "|---|---|---|---|---|---|---|---|"
)
LAYER_HEAD = (
    "| N, H, C, OC, K, stride, padding, groups | direction | threads | pyconvx, ms | PyTorch, ms "
    "| ratio (least to largest) | >= 0.9 |\n|---|---|---|---|---|---|---|"
)
GROWTH = """## Growth

One convolution, forward and backward: 16 images of 32x32 with 64 channels in and out, one of them varied. And one
training step of the digits network. PyTorch channels-last, with fused Adam.

![milliseconds against N, C, H and batch size]({picture})"""


def number(value: float) -> str:
    """Write a number with three significant digits, or as a whole number."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def quantity(row: Row, value: float) -> str:
    """Write a figure with its unit; for a single image also the time."""
    text = f"{number(value)} {row.unit}"
    return f"{text} ({1e6 / value:,.0f} us)" if row.label.endswith("batch 1") else text


def _target(row: Row) -> str:
    if row.limit is not None:
        return f"<= {row.limit:g} {row.unit}"
    return "" if row.target is None else f">= {row.target:g}"


def _ratio(found: Outcome) -> str:
    return f"{found.ratio:.2f} ({found.least:.2f} to {found.largest:.2f})"


def _met(found: Outcome) -> str:
    return {True: "yes", False: "**no**", None: ""}[found.met]


def _line(comparison: Comparison, row: Row, result: dict[str, Any] | None) -> str:
    threads = "" if comparison.threads is None else str(comparison.threads)
    start = f"| {comparison.case} | {threads} | {row.label}"
    if result is None:
        return f"{start} | not measured | | | {_target(row)} | |"
    found = outcome(comparison, row, result)
    start += f": {found.where} | " if found.where else " | "
    peer = f"{found.peer} {quantity(row, found.theirs)}"
    peer += "".join(f"; {name} {quantity(row, value)}" for name, value in found.others)
    return f"{start}{quantity(row, found.ours)} | {peer} | {_ratio(found)} | {_target(row)} | {_met(found)} |"


def table(comparisons: Iterable[Comparison], results: dict[str, Any]) -> str:
    """Write the main table."""
    lines = [HEAD]
    for comparison in comparisons:
        result = results.get(comparison.key)
        lines += [_line(comparison, row, result) for row in comparison.rows if not row.detail]
    return "\n".join(lines)


def _layer_table(comparisons: Iterable[Comparison], results: dict[str, Any]) -> str:
    """Write case 7, layer by layer."""
    lines = []
    measured = [c for c in comparisons if c.case == 7 and c.key in results]
    for layer in LAYERS:
        for direction in ("forward", "backward"):
            for comparison in measured:
                row = next(row for row in comparison.rows if row.label == f"{layer} {direction}")
                found = outcome(comparison, row, results[comparison.key])
                layout = found.peer.removeprefix("PyTorch ")
                lines.append(
                    f"| {layer.replace(',', ', ')} | {direction} | {comparison.threads} | {number(found.ours)} | "
                    f"{number(found.theirs)} {layout} | {_ratio(found)} | {_met(found)} |"
                )
    return "\n".join(["## Layer by layer", "", LAYER_HEAD, *lines]) if lines else ""


def _scores(comparisons: Iterable[Comparison], results: dict[str, Any]) -> str:
    """Write what the fits learnt, to show that speed does not cost accuracy."""
    lines = []
    for comparison in comparisons:
        for side, runs in results.get(comparison.key, {}).get("runs", {}).items():
            if "score" in runs[0]:
                what = "mean accuracy of the best candidate" if comparison.case == 5 else "test accuracy"
                memory = f", {number(runs[0]['start_mb'])} MB before `fit`" if "start_mb" in runs[0] else ""
                threads = f", {comparison.threads} threads" if comparison.threads else ""
                lines.append(f"- case {comparison.case}{threads}, {side}: {what} {runs[0]['score']:.3f}{memory}")
    return "\n".join(["What was learnt in cases 4 and 5:", "", *lines]) if lines else ""


def _measured(comparisons: Iterable[Comparison], results: dict[str, Any]) -> str:
    """Write dates, pairs and seconds of each case."""
    lines: dict[tuple[int, str], None] = {}
    for comparison in comparisons:
        if (result := results.get(comparison.key)) is not None:
            seconds = "" if comparison.case in (4, 5, 8) else f" of {result['seconds']:g} s"
            text = f"{result['date']}, pairs{seconds}: {result['pairs']}, pyconvx {result['pyconvx']}"
            lines.setdefault((comparison.case, text), None)
    return "\n".join(f"- case {case}: {text}" for case, text in lines)


def page(comparisons: list[Comparison], stored: dict[str, Any], picture: str) -> str:
    """Write the whole page; parts without results are left out."""
    results = stored["results"]
    machine = "\n".join(f"- {name}: {value}" for name, value in stored["machine"].items())
    parts = {
        "{machine}": f"{machine}\n{_measured(comparisons, results)}".strip(),
        "{table}": table(comparisons, results),
        "{scores}": _scores(comparisons, results),
        "{layers}": _layer_table(comparisons, results),
        "{growth}": GROWTH.format(picture=picture) if picture else "",
    }
    text = TEMPLATE.read_text()
    for mark, part in parts.items():
        text = text.replace(mark if part else mark + "\n\n", part)
    return text.removesuffix("{growth}\n").rstrip() + "\n"
