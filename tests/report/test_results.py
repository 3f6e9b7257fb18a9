from __future__ import annotations

import csv
from dataclasses import replace
from typing import Any

import pytest

from yoloscale.config.schema.sweep import SearchConfig
from yoloscale.report.importance import MAIN_EFFECTS, PED_ANOVA, importance, main_effects
from yoloscale.report.results import PRUNED, read_results
from yoloscale.report.table import as_csv, lines
from yoloscale.runs.sweep_directory import SweepDirectory, read, write


@pytest.fixture
def mixed(synthetic: Any) -> SweepDirectory:
    """A point of every kind: three finished, pruned, going on, failed, pending."""
    sweep: SweepDirectory = synthetic.grid(lr0=["0.001", "0.0123456"], model=["yolo26n", "yolo26s"], seed=["0", "1"])
    runs = sweep.runs()
    for run, fitness in zip(runs, (0.31, 0.4, 0.25), strict=False):
        synthetic.finish(run, fitness)
    synthetic.finish(runs[3], 0.5, pruned=True, epochs=1)
    synthetic.evaluate(runs[4], 0.2, 0.6, 0.1)
    synthetic.fail(runs[5], "CUDA out of memory")
    return sweep


def test_best_first_and_only_what_is_complete_is_ranked(mixed: SweepDirectory) -> None:
    found = read_results(mixed)
    assert [(point.index, point.state) for point in found.ranked()] == [
        (1, "finished"),
        (0, "finished"),
        (2, "finished"),
        (4, "pending"),
        (3, PRUNED),
        (5, "failed"),
        (6, "pending"),
        (7, "pending"),
    ]
    assert [point.name for point in found.best()] == ["lr0=0.001,model=yolo26n,seed=1"]
    assert found.keys == ("lr0", "model", "seed")
    assert found.points[4].objectives == (0.6,)
    assert found.points[4].numbers["metrics/mAP50(B)"] == 0.3  # of the same evaluation
    assert found.points[5].error == "CUDA out of memory"


WIDE = """\
#  point                               lr0      model    seed  fitness   mAP50  epochs  images/s  time  state
1  lr0=0.001,model=yolo26n,seed=1      0.001    yolo26n  1      0.4000  0.6000       3      88.1  1:15  finished
2  lr0=0.001,model=yolo26n,seed=0      0.001    yolo26n  0      0.3100  0.4650       3      88.1  1:15  finished
3  lr0=0.001,model=yolo26s,seed=0      0.001    yolo26s  0      0.2500  0.3750       3      88.1  1:15  finished
   lr0=0.0123456,model=yolo26n,seed=0  0.01235  yolo26n  0     0.6000*  0.3000       3                  pending
   lr0=0.001,model=yolo26s,seed=1      0.001    yolo26s  1      0.5000  0.7500       1      88.1  1:15  pruned
* so far: the best evaluation of a point that has not finished
and 3 more: --all shows them"""

NARROW = """\
#  lr0      model    seed  fitness  epochs  state
1  0.001    yolo26n  1      0.4000       3  finished
2  0.001    yolo26n  0      0.3100       3  finished
3  0.001    yolo26s  0      0.2500       3  finished
   0.01235  yolo26n  0     0.6000*       3  pending
   0.001    yolo26s  1      0.5000       1  pruned
* so far: the best evaluation of a point that has not finished
not shown for want of width: point, mAP50, images/s, time
and 3 more: --all shows them"""


@pytest.mark.parametrize(("width", "wanted"), [(130, WIDE), (52, NARROW)])
def test_the_table(mixed: SweepDirectory, width: int, wanted: str) -> None:
    assert "\n".join(lines(read_results(mixed), width, 5)) == wanted


@pytest.mark.parametrize("width", [5, 20, 38, 60, 200])
def test_no_line_of_the_table_is_wider_than_the_screen(mixed: SweepDirectory, width: int) -> None:
    found = lines(read_results(mixed), width, 8)
    assert all(len(line) <= width for line in found[:9])
    assert len(found[0]) > min(width, 124) - 25


def test_csv_read_back(mixed: SweepDirectory) -> None:
    rows = list(csv.DictReader(as_csv(read_results(mixed)).splitlines()))
    assert [row["name"] for row in rows] == [point.name for point in mixed.points()]
    assert rows[0] | {"name": ""} == {
        **{"name": "", "state": "finished", "lr0": "0.001", "model": "yolo26n", "seed": "0", "fitness": "0.31"},
        **{"metrics/precision(B)": "0.5", "metrics/mAP50(B)": "0.465", "epochs": "3", "images_per_s": "88.13"},
        **{"seconds": "75.2", "error": ""},
    }
    assert [row["state"] for row in rows[3:6]] == [PRUNED, "pending", "failed"]
    assert rows[5]["error"] == "CUDA out of memory"
    assert rows[4]["fitness"] == "0.6"


def test_a_pareto_front(synthetic: Any) -> None:
    search = SearchConfig(objectives={"metrics/mAP50(B)": "maximize", "parameters": "minimize"})
    sweep = synthetic.sweep([(f"trial-{n}", [f"lr0=0.{n}1"]) for n in range(6)], search=search)
    for run, (fitness, size) in zip(sweep.runs(), [(0.2, 5), (0.4, 9), (0.3, 9), (0.3, 7), (0.1, 5)], strict=False):
        synthetic.finish(run, fitness, parameters=size)
    synthetic.finish(sweep.runs()[5], 0.9, parameters=1, pruned=True)
    found = read_results(sweep)
    assert [point.name for point in found.best()] == ["trial-1", "trial-3", "trial-0"]
    assert [point.objectives for point in found.points[:2]] == [(0.3, 5.0), (0.6, 9.0)]


def test_text_that_was_quoted_and_dotted_keys(synthetic: Any) -> None:
    overrides = ["model='my models/a,b.pt'", "+experiment=smoke", "data.shapes.seed=3"]
    sweep = synthetic.sweep([("p", overrides)], typed=["lr0=tag(log,interval(1e-5,1e-2))", "lrf=interval(0,1)"])
    found = read_results(sweep)
    assert found.points[0].values == {"model": "my models/a,b.pt", "experiment": "smoke", "data.shapes.seed": "3"}
    assert found.log_keys == {"lr0"}
    assert lines(found, 200, 5)[0].split() == ["point", "model", "experiment", "seed", "state"]


def test_the_scale_of_a_searched_key_is_that_on_record(synthetic: Any) -> None:
    sweep = synthetic.sweep([("p", ["lr0=0.1", "lrf=0.2", "seed=1"])])
    scales = {"lr0": True, "lrf": False}
    head = [{"key": key, "typed": key, "low": 0.1, "high": 1.0, "step": None} for key in scales]
    space = ("epochs=3", *({**each, "log": scales[each["key"]]} for each in head))
    write(sweep, replace(read(sweep), space=space))
    assert read_results(sweep).log_keys == {"lr0"}


def test_main_effects_are_shares_of_the_variance() -> None:
    settings = [{"a": a, "b": b} for a in "01" for b in "012"]
    values = [10 * int(each["a"]) + int(each["b"]) for each in settings]
    found = main_effects(settings, ["a", "b"], values)
    assert found["a"] + found["b"] == pytest.approx(1)  # no interaction
    assert found["a"] == pytest.approx(150 / 154)


def test_importance_of_grids_and_searches(synthetic: Any) -> None:
    grid = synthetic.grid(lr0=["0.1", "0.2"], seed=["0", "1"])
    for run, fitness in zip(grid.runs(), (0.1, 0.11, 0.4, 0.39), strict=True):
        synthetic.finish(run, fitness)
    kind, shares = importance(read_results(grid)) or ("", {})
    assert kind == MAIN_EFFECTS
    assert list(shares) == ["lr0", "seed"]


def test_importance_of_a_search_is_optunas(synthetic: Any) -> None:
    points = [(f"trial-{n}", [f"lr0={n / 40 + 1e-3}", f"mosaic={n * 7 % 40 / 40}"]) for n in range(40)]
    sweep = synthetic.sweep(points, search=SearchConfig())
    for n, run in enumerate(sweep.runs()):
        synthetic.finish(run, 1 - abs(n / 40 - 0.5))
    kind, shares = importance(read_results(sweep)) or ("", {})
    assert kind == PED_ANOVA
    assert shares["lr0"] > 3 * shares["mosaic"]
