"""The benchmarks against other libraries: their arithmetic, their workers, and the page that shows the results."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EVIDENCE = ROOT / "docs" / "evidence"
sys.path.insert(0, str(ROOT / "benchmarks"))

import report  # noqa: E402
from cases import Comparison, Row, Side, comparisons  # noqa: E402
from results import outcome  # noqa: E402
from sides import WorkerError, measure, work  # noqa: E402

SIDES = (Side("pyconvx", "", ""), Side("A", "", ""), Side("B", "", ""))
PARAMETERS = {"digits": 225_034, "vgg": 2_360_138, "resnet": 78_042}


def runs(*values):
    """Return one answer per pair; values are (x, y)."""
    return [{"figures": {"x": x, "y": y}, "peak_mb": 10 * x} for x, y in values]


RESULT = {
    "variants": {"A": {"x": "nchw plain", "y": "channels_last fused"}},
    "runs": {
        "pyconvx": runs((8, 2), (6, 2), (7, 2)),
        "A": runs((4, 1), (4, 1), (1, 1)),
        "B": runs((2, 4), (2, 4), (2, 4)),
    },
}


def filled(*, more_is_better=True, **changes):
    row = replace(Row("a row", ("x",), ("A", "B"), target=1.5), **changes)
    comparison = Comparison(1, "a key", 1, ("x", "y"), SIDES, (row,), more_is_better=more_is_better)
    return outcome(comparison, row, RESULT)


def test_ratio_is_against_the_best_peer_pair_by_pair():
    found = filled()
    assert (found.ours, found.theirs, found.peer) == (7, 4, "A (nchw, plain)")
    assert (found.least, found.ratio, found.largest) == (1.5, 2.0, 7.0)
    assert found.others == (("B", 2),)
    assert found.met
    assert not filled(target=2.1).met
    assert filled(target=None).met is None


def test_less_can_be_better():
    found = filled(more_is_better=False, peers=("B",))
    assert (found.ratio, found.least, found.largest, found.met) == (2 / 7, 1 / 4, 1 / 3, False)
    memory = filled(value="peak_mb", peers=("B",))
    assert (memory.ours, memory.theirs, memory.ratio) == (70, 20, 2 / 7)
    assert filled(limit=7.0).met
    assert not filled(limit=6.9).met


def test_several_items():
    best = filled(items=("x", "y"))
    assert (best.ours, best.theirs, best.peer) == (7, 4, "A")
    mean = filled(items=("x", "y"), reduce="mean", peers=("B",))
    assert mean.ratio == pytest.approx((7 / 2 * 2 / 4) ** 0.5)
    assert mean.largest == pytest.approx((8 / 2 * 2 / 4) ** 0.5)
    least = filled(items=("x", "y"), reduce="least", peers=("B",))
    assert (least.ratio, least.where, least.met) == (0.5, "y", False)


@pytest.mark.parametrize("network", PARAMETERS)
def test_worker_trains_and_predicts_with_the_same_network(network):
    options = {"network": network, "threads": 1, "seconds": 0.0, "items": [["2", ""], ["1", ""]]}
    trained = work("ours", "train", options | {"images": 2}, 1)
    predicted = work("ours", "predict", options, 1)
    for answer in (trained, predicted):
        assert answer["parameters"] == PARAMETERS[network]
        assert len(answer["figures"]) == 2
        assert min(answer["figures"]) > 0


def test_crash_shows_what_the_worker_wrote():
    options = {"network": "nonsense", "threads": 1, "seconds": 0.0, "items": [["2", ""]]}
    with pytest.raises(WorkerError, match=r"ours.py predict ended with code 1.*\n(.*\n)*KeyError: 'nonsense'"):
        work("ours", "predict", options, 1)


def test_measure_alternates_and_takes_the_best_variant():
    item = "1,4,1,2,3,1,1,1 both"
    side = Side("pyconvx", "ours", "layers", ("one", "other"))
    comparison = Comparison(
        7, "k", 1, (item,), (side, replace(side, name="A")), (), options={"threads": 1}, more_is_better=False
    )
    result = measure(comparison, pairs=2, seconds=0.0)
    assert {name: len(answers) for name, answers in result["runs"].items()} == {"pyconvx": 2, "A": 2}
    assert result["variants"]["A"][item] in ("one", "other")
    assert result["runs"]["A"][1]["figures"][item] > 0


def test_measure_refuses_networks_that_differ():
    sides = tuple(Side(name, "ours", "predict", options={"network": name}) for name in ("digits", "resnet"))
    comparison = Comparison(6, "k", 1, ("1",), sides, (), options={"threads": 1})
    with pytest.raises(WorkerError, match="225034"):
        measure(comparison, pairs=1, seconds=0.0)


def test_table_says_what_was_not_measured():
    everything = comparisons()
    rows = [row for comparison in everything for row in comparison.rows if not row.detail]
    assert report.table(everything, {}).count("not measured") == len(rows)


def test_page_is_written_from_the_results():
    stored = json.loads((EVIDENCE / "performance.json").read_text())
    picture = "performance.png" if (EVIDENCE / "performance.png").exists() else ""
    page = report.page(comparisons(), stored, picture)
    assert page == (EVIDENCE / "performance.md").read_text(), "benchmarks/compare.py --page-only writes it"
