"""What is compared: the cases, who takes part, and what pyconvx should reach.

A comparison is measured as a whole, with its sides in alternating processes; its rows are lines of the table.
Ratios are always "how many times better pyconvx is", whatever the unit.
"""

from dataclasses import dataclass, field
from typing import Any

THREADS = (1, 2)
BATCHES = ("32", "64", "128", "256")
# N, H = W, C, OC, K, stride, padding, groups
LAYERS = (
    "64,28,1,32,3,1,0,1",
    "64,13,32,64,3,1,0,1",
    "16,32,64,64,3,1,1,1",
    "16,16,128,128,3,1,1,1",
    "16,8,256,256,3,1,1,1",
    "4,56,64,64,3,1,1,1",
    "4,14,256,256,3,1,1,1",
    "4,7,512,512,3,1,1,1",
    "4,28,128,512,1,1,0,1",
    "4,224,3,64,7,2,3,1",
    "64,32,3,32,3,1,1,1",
    "16,32,128,128,3,1,1,128",
)
GROWTH = {
    "N": tuple(f"{n},32,64,64,3,1,1,1 both" for n in (1, 4, 16, 64, 256)),
    "C": tuple(f"16,32,{c},{c},3,1,1,1 both" for c in (4, 8, 16, 32, 64, 128, 256)),
    "H": tuple(f"16,{h},64,64,3,1,1,1 both" for h in (4, 8, 16, 32, 64, 128)),
}
GROWTH_BATCHES = ("1", "4", "16", "64", "256")


@dataclass(frozen=True)
class Side:
    """A library that takes part: its worker, the function to call, and its variants, of which the best runs."""

    name: str
    worker: str
    function: str
    variants: tuple[str, ...] = ("",)
    options: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A line of the table.

    `items` are what was measured. If there are several, `reduce` takes the best figure of each side ("best"), the
    geometric mean of the ratios ("mean") or the smallest ratio ("least"). Of the sides in `peers`, the best one
    counts. `target` is the ratio that pyconvx should reach, `limit` the most that it may need.
    """

    label: str
    items: tuple[str, ...]
    peers: tuple[str, ...]
    target: float | None = None
    reduce: str = "best"
    value: str = "figures"
    unit: str = "images/s"
    limit: float | None = None
    detail: bool = False


@dataclass(frozen=True)
class Comparison:
    """Sides that measure the same items, pyconvx first."""

    case: int
    key: str
    threads: int | None
    items: tuple[str, ...]
    sides: tuple[Side, ...]
    rows: tuple[Row, ...]
    pairs: int = 3
    seconds: float = 2.0
    options: dict[str, Any] = field(default_factory=dict)
    more_is_better: bool = True
    needs_data: bool = False


_TRAINING = tuple(f"{layout} {adam}" for layout in ("nchw", "channels_last") for adam in ("plain", "fused"))
_LAYOUTS = ("nchw", "channels_last")
_TORCH = ("torch",)


def _training(
    case: int, network: str, threads: int, batches: tuple[str, ...], images: int, seconds: float, target: float
) -> Comparison:
    """Return case 1, 2 or 3; only the first has bfloat16 rows."""
    options = {"network": network, "images": images, "threads": threads}
    sides = [
        Side("pyconvx", "ours", "train"),
        Side("PyTorch", "pytorch", "train", _TRAINING, needs=_TORCH),
    ]
    text = f"training, {network}"
    rows = [Row(f"{text}, batch {b}", (b,), ("PyTorch",), target) for b in batches]
    rows.append(Row(f"{text}, best batch of each", batches, ("PyTorch",), target))
    if case == 1:
        half = "PyTorch bfloat16"
        sides.append(Side(half, "pytorch", "train", _TRAINING, {"bfloat16": True}, _TORCH))
        rows += [Row(f"{text}, batch {b}, float32 against bfloat16", (b,), (half,), 1.4) for b in batches]
        rows.append(Row(f"{text}, best batch, float32 against bfloat16", batches, (half,), 1.4))
    return Comparison(
        case, f"train {network} {threads}", threads, batches, tuple(sides), tuple(rows),
        seconds=seconds, options=options,
    )  # fmt: skip


def _fit(threads: int) -> Comparison:
    """Return case 4."""
    sides = (
        Side("pyconvx", "ours", "fit"),
        Side("skorch", "skorch_fit", "fit", needs=("torch", "skorch")),
        Side("MLPClassifier", "mlp", "fit"),
    )
    rows = (
        Row("fit, Fashion-MNIST, 2 epochs", ("fit",), ("skorch",), 8.0),
        Row("fit, peak memory", ("fit",), ("skorch",), 3.0, value="peak_mb", unit="MB"),
        Row("fit, for scale: a dense network of 128", ("fit",), ("MLPClassifier",)),
        Row("fit, peak memory, for scale", ("fit",), ("MLPClassifier",), value="peak_mb", unit="MB"),
    )
    options = {"epochs": 2, "threads": threads}
    return Comparison(
        4, f"fit {threads}", threads, ("fit",), sides, rows, pairs=2, options=options, needs_data=True
    )


def _search(backend: str) -> Comparison:
    """Return case 5: joblib gives each of two workers one thread; skorch always has processes."""
    sides = (
        Side("pyconvx", "ours", "search", options={"backend": backend}),
        Side("skorch", "skorch_fit", "search", needs=("torch", "skorch")),
    )
    label = "GridSearchCV on 8x8 digits, 12 candidates x 3 folds, n_jobs=2"
    label, key = (label, "search") if backend == "loky" else (f"{label}, in threads", f"search {backend}")
    row = Row(label, ("search",), ("skorch",), 6.0, unit="s")
    return Comparison(5, key, None, ("search",), sides, (row,), options={"epochs": 10}, more_is_better=False)


def _inference(network: str, threads: int) -> Comparison:
    """Return case 6; one image of network 1 in at most 0.8 times the peer's time is a ratio of 1.25."""
    batches = ("1", "32", "256", "1024")
    sides = (
        Side("pyconvx", "ours", "predict"),
        Side("ONNX Runtime", "onnx_runtime", "predict", needs=("onnxruntime", "onnx")),
        Side("PyTorch", "pytorch", "predict", _LAYOUTS, needs=_TORCH),
    )
    peers = tuple(side.name for side in sides[1:])
    targets = dict.fromkeys(batches, 1.5) | {"1": 1.25} if network == "digits" else dict.fromkeys(batches, 1.1)
    rows = tuple(Row(f"inference, {network}, batch {b}", (b,), peers, targets[b]) for b in batches)
    options = {"network": network, "threads": threads}
    return Comparison(
        6, f"predict {network} {threads}", threads, batches, sides, rows,
        pairs=5 if network == "digits" else 3, seconds=0.5, options=options,
    )  # fmt: skip


def _layers(threads: int) -> Comparison:
    """Return case 7."""
    rows: list[Row] = []
    items: list[str] = []
    for direction, target in (("forward", 1.05), ("backward", 1.3)):
        these = tuple(f"{layer} {direction}" for layer in LAYERS)
        items += these
        rows.append(Row(f"12 layers, {direction}, geometric mean", these, ("PyTorch",), target, "mean", unit="ms"))
        rows.append(Row(f"12 layers, {direction}, least", these, ("PyTorch",), 0.9, "least", unit="ms"))
        rows += [Row(item, (item,), ("PyTorch",), 0.9, unit="ms", detail=True) for item in these]
    sides = (
        Side("pyconvx", "ours", "layers"),
        Side("PyTorch", "pytorch", "layers", _LAYOUTS, needs=_TORCH),
    )
    return Comparison(
        7, f"layers {threads}", threads, tuple(items), sides, tuple(rows), seconds=0.25,
        options={"threads": threads}, more_is_better=False,
    )  # fmt: skip


def _footprint() -> list[Comparison]:
    """Return case 8."""
    result = []
    for function, label, unit, limit, pairs in (
        ("seconds", "import after scikit-learn", "s", 0.15, 7),
        ("size", "installed size, with what scikit-learn does not bring", "MB", 12.0, 1),
    ):
        sides = (
            Side("pyconvx", "footprint", function, options={"package": "pyconvx"}),
            Side("PyTorch", "footprint", function, options={"package": "torch"}, needs=_TORCH),
        )
        row = Row(label, (function,), ("PyTorch",), unit=unit, limit=limit)
        result.append(Comparison(8, function, None, (function,), sides, (row,), pairs=pairs, more_is_better=False))
    return result


def _growth(threads: int) -> list[Comparison]:
    """Return case 9, which has a plot instead of rows."""
    ours, torch = (
        Side("pyconvx", "ours", "layers"),
        Side("PyTorch", "pytorch", "layers", ("channels_last",), needs=_TORCH),
    )
    items = tuple(item for axis in GROWTH.values() for item in axis)
    options = {"network": "digits", "images": 512, "threads": threads}
    steps = (
        Side("pyconvx", "ours", "train"),
        Side("PyTorch", "pytorch", "train", ("channels_last fused",), needs=_TORCH),
    )
    return [
        Comparison(
            9, f"growth layers {threads}", threads, tuple(dict.fromkeys(items)), (ours, torch), (), pairs=1,
            seconds=0.25, options={"threads": threads}, more_is_better=False,
        ),
        Comparison(
            9, f"growth training {threads}", threads, GROWTH_BATCHES, steps, (), pairs=1, seconds=0.5,
            options=options,
        ),
    ]  # fmt: skip


def comparisons() -> list[Comparison]:
    """Return all comparisons, in the order of the cases."""
    result = []
    for case, network, batches, images, seconds in (
        (1, "digits", BATCHES, 1024, 2.0),
        (2, "vgg", ("32", "128"), 256, 2.0),
        (3, "resnet", ("32", "128"), 512, 2.0),
    ):
        for threads in THREADS:
            target = 1.5 if case > 1 else {1: 2.0, 2: 2.5}[threads]
            result.append(_training(case, network, threads, batches, images, seconds, target))
    result += [_fit(threads) for threads in THREADS]
    result += [_search(backend) for backend in ("loky", "threading")]
    result += [_inference(network, threads) for network in ("digits", "vgg", "resnet") for threads in THREADS]
    result += [_layers(threads) for threads in THREADS]
    result += _footprint()
    for threads in THREADS:
        result += _growth(threads)
    return result
