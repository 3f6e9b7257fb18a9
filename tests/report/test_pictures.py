"""Pictures from sweeps of a few and of many points: drawn, of a size to look at, and not blank."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from yoloscale.config.schema.sweep import SearchConfig
from yoloscale.report.pictures import history, style
from yoloscale.report.pictures.axis import make_axis
from yoloscale.report.pictures.parallel import worst_first
from yoloscale.report.results import read_results
from yoloscale.report.sweep import draw_all
from yoloscale.runs.sweep_directory import SweepDirectory, read, write

HISTORY, PARALLEL, IMPORTANCE, PARETO = (
    f"{name}.png" for name in ("metric_over_points", "parallel_coordinates", "importance", "pareto_front")
)


def drawn(sweep: SweepDirectory) -> list[str]:
    """The pictures that were drawn, each looked at."""
    paths, warnings = draw_all(read_results(sweep))
    assert warnings == []
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"), dtype=float)
        height, width = pixels.shape
        assert 300 <= height <= 2500, path
        assert 700 <= width <= 3500, path
        assert pixels.std() > 8, path
        assert pixels[0].min() > 200, f"{path} is cut off at its upper edge"
        assert pixels[:, -1].min() > 200, f"{path} is cut off at its right edge"
    assert not list(sweep.path.glob("*.part"))
    return [path.name for path in paths]


def test_three_points(synthetic: Any) -> None:
    sweep = synthetic.grid(lr0=["0.001", "0.01", "0.1"])
    assert drawn(sweep) == []
    synthetic.finish(sweep.runs()[0], 0.3)
    assert drawn(sweep) == [HISTORY]
    synthetic.finish(sweep.runs()[1], 0.4)
    synthetic.fail(sweep.runs()[2], "no memory")
    assert drawn(sweep) == [HISTORY, PARALLEL]


def test_the_best_line_is_the_first_of_the_table(synthetic: Any) -> None:
    """Of equal ones the first; what still trains is not the best, whatever it has reached."""
    sweep = synthetic.grid(lr0=["0.001", "0.01", "0.1", "0.5"])
    for run, fitness in zip(sweep.runs(), (0.2, 0.4, 0.4), strict=False):
        synthetic.finish(run, fitness)
    synthetic.evaluate(sweep.runs()[3], 0.9)
    results = read_results(sweep)
    assert worst_first(results, results.points) == [3, 0, 2, 1]
    assert results.best() == [results.points[1]]


def test_a_grid_that_goes_on(synthetic: Any) -> None:
    sweep = synthetic.grid(lr0=["0.001", "0.01", "0.1"], model=["yolo26n", "yolo26s"], seed=["0", "1", "2"])
    for number, run in enumerate(sweep.runs()[:12]):
        synthetic.finish(run, 0.3 + number % 5 / 20)
    synthetic.evaluate(sweep.runs()[12], 0.1, 0.2)
    assert drawn(sweep) == [HISTORY, PARALLEL, IMPORTANCE]


def test_three_hundred_points_with_long_names_and_many_keys(synthetic: Any) -> None:
    chance = random.Random(0)
    keys = [f"a_rather_long_key_number_{number}" for number in range(25)]
    models = ["'/a/long/path/to/weights $x$.pt'", "yolo26n"]
    points = [
        (f"trial-{number}", [f"model={chance.choice(models)}", *(f"{key}={chance.random():.12g}" for key in keys)])
        for number in range(300)
    ]
    sweep = synthetic.sweep(points, search=SearchConfig())
    for run in sweep.runs():
        synthetic.finish(run, chance.random(), **({"pruned": True} if chance.random() < 0.3 else {}))
    assert drawn(sweep) == [HISTORY, PARALLEL, IMPORTANCE]


def test_points_that_fill_their_places_in_any_order_are_all_in_the_picture(
    synthetic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = synthetic.sweep([("trial-000", ["lr0=0.1"]), ("trial-009", ["lr0=0.2"])], search=SearchConfig())
    first, second = sweep.points()
    write(sweep, replace(read(sweep), points=(first, replace(second, index=9))))
    for run in sweep.runs():
        synthetic.finish(run, 0.3)
    figures: list[Any] = []
    monkeypatch.setattr(style, "save", lambda made, path: figures.append(made))
    history.draw(read_results(sweep), sweep.path)
    assert figures[0].axes[0].get_xlim()[1] > 9


@pytest.mark.parametrize("count", [1, 40])
def test_two_objectives(synthetic: Any, count: int) -> None:
    chance = random.Random(0)
    search = SearchConfig(objectives={"fitness": "maximize", "parameters": "minimize"})
    points = [(f"trial-{number}", [f"imgsz={number % 3}", f"epochs={number % 5}"]) for number in range(count)]
    sweep = synthetic.sweep(points, search=search)
    for run in sweep.runs():
        synthetic.finish(run, chance.random(), parameters=int(10 ** chance.uniform(6, 8)))
    assert PARETO in drawn(sweep)


@pytest.mark.parametrize(
    ("values", "is_log", "labels"),
    [
        (["0.001", "0.01", "0.1"], False, ["0.001", "0.01", "0.1"]),
        (["0", "1", "2"], False, ["0", "1", "2"]),
        (["1", "1.001", "2"], False, ["1", "2"]),
        (["SGD", "AdamW"], False, ["SGD", "AdamW"]),
        (["3"], False, ["3"]),
        (["true"], False, ["true"]),
        (["0.1", "auto"], False, ["0.1", "auto"]),
        (["a" * 40], False, ["…" + "a" * 15]),
        ([str(number / 100) for number in range(3, 98)], False, ["0.2", "0.4", "0.6", "0.8"]),
        ([f"{1e-5 * 1.3**number:g}" for number in range(30)], True, ["1e-05", "0.0001", "0.001", "0.01", "0.0202"]),
    ],
)
def test_an_axis(values: list[str], is_log: bool, labels: list[str]) -> None:
    axis = make_axis("key", values, is_log=is_log)
    assert [label for _, label in axis.ticks] == labels
    assert set(axis.places) == set(values)
    assert all(0 <= place <= 1 for place in axis.places.values())


def test_labels_of_many_categories_stay_apart() -> None:
    axis = make_axis("model", [f"weights-{number}.pt" for number in range(200)])
    assert all(later - earlier >= 0.045 for (earlier, _), (later, _) in pairwise(axis.ticks))
    assert len(axis.ticks) > 10
