"""pyconvx beside PyTorch, skorch, ONNX Runtime and MLPClassifier: measures, prints a table, writes a page.

    python benchmarks/compare.py [1 7 ...] [--data FOLDER] [--quick] [--seconds 2] [--pairs 3]

Without case numbers all nine run, in about 25 minutes on two cores. Results are kept in
docs/evidence/performance.json, so that cases can be run again alone, and docs/evidence/performance.md is written
from them. cases.py lists what is compared, sides.py runs it, workers/ has one script for each side.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import growth
import report
from cases import Comparison, comparisons
from sides import WorkerError, measure

ROOT = Path(__file__).parents[1]
PACKAGES = ("pyconvx", "numpy", "scipy", "scikit-learn", "torch", "skorch", "onnxruntime")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", type=int, help="numbers 1 to 9; all by default")
    parser.add_argument("--data", default=os.environ.get("PYCONVX_FASHION", ""), help="folder of Fashion-MNIST")
    parser.add_argument("--quick", action="store_true", help="0.2 s, one pair; writes to build/performance")
    parser.add_argument("--seconds", type=float, help="of each measurement; cases have their own default")
    parser.add_argument("--pairs", type=int, help="processes of each side; cases have their own default")
    parser.add_argument("--output", type=Path, help="folder of the page and the results, docs/evidence by default")
    parser.add_argument("--page-only", action="store_true", help="only write the page, from the stored results")
    options = parser.parse_args()
    if not set(options.cases) <= set(range(1, 10)):
        parser.error("cases are numbered 1 to 9")
    if options.quick:
        options.seconds, options.pairs = options.seconds or 0.2, options.pairs or 1
    options.output = options.output or (ROOT / "build/performance" if options.quick else ROOT / "docs/evidence")
    return options


def version(package: str) -> str:
    """Return the installed version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def built() -> str:
    """Return the version of pyconvx and, in a checkout, its commit."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return version("pyconvx")
    return f"{version('pyconvx')} {done.stdout.strip()}".strip()


def machine() -> dict[str, str]:
    """Describe the machine and the versions that the figures belong to."""
    text = Path("/proc/cpuinfo").read_text(errors="ignore") if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    flags = {k.strip(): v for k, v in fields.items()}.get("flags", "").split()
    model = next((v.strip() for k, v in fields.items() if k.strip() == "model name"), platform.processor())
    sets = [name for name in ("avx2", "avx512f", "avx512_bf16") if name in flags]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "machine": f"{model}, {cores} processors, {', '.join(sets)}; {platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": ", ".join(f"{package} {version(package)}" for package in PACKAGES),
    }


def check_peers(chosen: list[Comparison]) -> None:
    """Exit with a hint if a peer is not installed."""
    needed = {name for comparison in chosen for side in comparison.sides for name in side.needs}
    if any(comparison.case == 9 for comparison in chosen):
        needed.add("matplotlib")
    missing = sorted(name for name in needed if importlib.util.find_spec(name) is None)
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}; pip install 'pyconvx[bench]'")


def run(chosen: list[Comparison], stored: dict[str, Any], options: argparse.Namespace, path: Path) -> bool:
    """Measure, and store each result at once; return False if a worker failed."""
    fine, source = True, built()  # asked before results are written into the checkout
    for comparison in chosen:
        if comparison.needs_data and not options.data:
            print(f"case {comparison.case}, {comparison.key}: skipped, it needs --data FOLDER", flush=True)
            continue
        started = time.perf_counter()
        try:
            result = measure(
                comparison, options.pairs or comparison.pairs, options.seconds or comparison.seconds, options.data
            )
        except WorkerError as error:
            print(f"case {comparison.case}, {comparison.key}: FAILED\n{error}", file=sys.stderr, flush=True)
            fine = False
            continue
        stored["results"][comparison.key] = result | {"pyconvx": source}
        stored["machine"] = machine()
        path.write_text(json.dumps(stored, indent=1) + "\n")
        spent = time.perf_counter() - started
        print(f"case {comparison.case}, {comparison.key}: {spent:.0f} s", flush=True)
    return fine


def main() -> int:
    """Measure, print the table and write the page."""
    options = arguments()
    everything = comparisons()
    chosen = [c for c in everything if not options.cases or c.case in options.cases]
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "performance.json"
    stored = json.loads(path.read_text()) if path.exists() else {"machine": {}, "results": {}}
    fine = True
    if not path.exists():
        path.write_text(json.dumps(stored, indent=1) + "\n")
    if not options.page_only:
        check_peers(chosen)
        fine = run(chosen, stored, options, path)
        if any(comparison.rows for comparison in chosen):
            print(f"\n{report.table(chosen, stored['results'])}")
    picture = options.output / "performance.png"
    if any(c.case == 9 for c in chosen) and growth.draw(stored["results"], picture):
        print(f"\n{picture} drawn")
    text = report.page(everything, stored, picture.name if picture.exists() else "")
    (options.output / "performance.md").write_text(text)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
