"""Draws case 9: time against batch, channels, size and threads."""

from pathlib import Path
from typing import Any

from cases import GROWTH, GROWTH_BATCHES, THREADS

COLOURS = {"pyconvx": "tab:blue", "PyTorch": "tab:orange"}
STYLES = {1: "--", 2: "-"}
TITLES = {
    "N": "images N (32x32, 64 channels)",
    "C": "channels C = OC (16 images, 32x32)",
    "H": "height and width H (16 images, 64 channels)",
}


def _lines(results: dict[str, Any], kind: str) -> list[tuple[str, int, dict[str, float]]]:
    """Return side, threads and figures of each measured line."""
    found = []
    for threads in THREADS:
        for side, runs in results.get(f"growth {kind} {threads}", {}).get("runs", {}).items():
            found.append((side, threads, runs[0]["figures"]))
    return found


def draw(results: dict[str, Any], path: Path) -> bool:
    """Write the picture; return False if nothing was measured."""
    layers, training = _lines(results, "layers"), _lines(results, "training")
    if not layers or not training:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 7), layout="constrained")
    for panel, (axis, items) in zip(axes.flat, GROWTH.items(), strict=False):
        place = "NHC".index(axis)
        sizes = [int(item.split(",")[place]) for item in items]
        for side, threads, figures in layers:
            _plot(panel, side, threads, sizes, [figures[item] for item in items])
        _label(panel, f"convolution, {TITLES[axis]}", axis, sizes)
    batches = [int(batch) for batch in GROWTH_BATCHES]
    for side, threads, figures in training:
        _plot(axes[1, 1], side, threads, batches, [1000 * b / figures[str(b)] for b in batches])
    _label(axes[1, 1], "training step, digits network", "batch", batches)
    axes[0, 0].legend(frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return True


def _plot(panel: Any, side: str, threads: int, x: list[int], y: list[float]) -> None:
    label = f"{side}, {threads} thread{'s' if threads > 1 else ''}"
    panel.loglog(x, y, STYLES[threads], color=COLOURS[side], marker="o", markersize=3.5, label=label)


def _label(panel: Any, title: str, axis: str, sizes: list[int]) -> None:
    panel.set_title(title, fontsize=10)
    panel.set_xlabel(axis)
    panel.set_ylabel("ms")
    panel.set_xticks(sizes, [str(size) for size in sizes])
    panel.minorticks_off()
    panel.grid(color="0.9")
    panel.spines[["top", "right"]].set_visible(False)
