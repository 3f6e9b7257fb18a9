"""`yoloscale report`, and what it leaves in a sweep's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yoloscale.cli.main import main
from yoloscale.config.compose.hydra import compose
from yoloscale.config.freeze import freeze
from yoloscale.config.schema import Config
from yoloscale.config.schema.sweep import SearchConfig
from yoloscale.report.sweep import summary
from yoloscale.runs.sweep_directory import SweepDirectory


@pytest.fixture
def grid(synthetic: Any) -> SweepDirectory:
    sweep: SweepDirectory = synthetic.grid(lr0=["0.1", "0.2"])
    for run, (rate, fitness) in zip(sweep.runs(), ((0.1, 0.3), (0.2, 0.4)), strict=True):
        freeze(Config(lr0=rate), run.config)
        synthetic.finish(run, fitness)
    return sweep


def test_table_and_files(grid: SweepDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "s"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("s: 2 points: 2 finished\n#  point    lr0  fitness")
    assert "again    yoloscale train --config-dir runs/s experiment=best" in said
    for name in ("sweep.csv", "experiment/best.yaml", "metric_over_points.png", "parallel_coordinates.png"):
        assert f"runs/s/{name}\n" in said
        assert (grid.path / name).stat().st_size > 50
    assert compose(["--config-dir=runs/s", "experiment=best"]).lr0 == 0.2
    text = (grid.path / "experiment" / "best.yaml").read_text()
    assert "# Best of 2 finished points of sweep s: lr0=0.2, fitness 0.4000." in text
    assert str(grid.path.absolute()) not in text


def test_json(grid: SweepDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(grid.path), "-o", "json", "--no-pictures"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"] == ["lr0=0.2"]
    assert found["objectives"] == {"fitness": "maximize"}
    assert [point["values"] for point in found["points"]] == [{"lr0": "0.2"}, {"lr0": "0.1"}]
    assert not list(grid.path.glob("*.png"))


def test_nothing_has_ended(synthetic: Any, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = synthetic.grid(lr0=["0.1", "0.2"])
    assert main(["report", "s"]) == 0
    assert "no point has finished yet" in capsys.readouterr().out
    for run in sweep.runs():
        run.result.write_text('{"fitness": NaN}')
    assert main(["report", "s"]) == 0
    assert "no finished point has a number for fitness" in capsys.readouterr().out
    assert not (sweep.path / "experiment").exists()


def test_a_run_is_told_where_its_pictures_are(grid: SweepDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    run = grid.runs()[0]
    assert main(["report", f"s/{run.name}"]) == 0
    assert "plots=true" in capsys.readouterr().out
    (run.path / "results.png").touch()
    assert main(["report", f"s/{run.name}"]) == 0
    assert "results.png" in capsys.readouterr().out
    assert main(["report", "nothing"]) == 2


def test_a_recipe_for_each_point_of_the_front_and_none_that_is_stale(synthetic: Any) -> None:
    search = SearchConfig(objectives={"fitness": "maximize", "parameters": "minimize"})
    sweep = synthetic.sweep([(f"trial-{n}", [f"lr0=0.{n}1"]) for n in range(3)], search=search)
    runs = sweep.runs()
    for number, run in enumerate(runs):
        freeze(Config(lr0=number + 1.0), run.config)
    synthetic.finish(runs[0], 0.3, parameters=10)
    synthetic.finish(runs[1], 0.4, parameters=20)
    folder = Path("runs/s/experiment")
    assert [path.name for path in summary(sweep, 80, pictures=False).recipes] == ["best-1.yaml", "best-2.yaml"]
    assert "lr0: 2.0" in (folder / "best-1.yaml").read_text()
    (folder / "best-mine.yaml").write_text("# somebody's own")
    synthetic.finish(runs[2], 0.5, parameters=5)
    assert [path.name for path in summary(sweep, 80, pictures=False).recipes] == ["best-1.yaml"]
    assert sorted(path.name for path in folder.iterdir()) == ["best-1.yaml", "best-mine.yaml"]
    assert "lr0: 3.0" in (folder / "best-1.yaml").read_text()


def test_a_picture_that_cannot_be_drawn_is_a_warning(grid: SweepDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no ink")

    monkeypatch.setattr("yoloscale.report.pictures.history.draw", broken)
    found = summary(grid, 80)
    assert [path.name for path in found.pictures] == ["parallel_coordinates.png"]
    assert "no ink" in found.warnings[0]
