"""`cfg=FILE` beside values to sweep over: its arguments hold for all points, and what is typed wins."""

from __future__ import annotations

from pathlib import Path

from yoloscale.config.compose.many import compose_each
from yoloscale.config.schema import Config
from yoloscale.sweep.grammar.points import expand
from yoloscale.sweep.search.ready import anchored


def test_a_file_of_arguments_holds_for_all_points(tmp_path: Path) -> None:
    file = tmp_path / "arguments.yaml"
    file.write_text("lr0: 0.5\nepochs: 7\nimgsz: [96, 64]\noptimizer: SGD\nfreeze: [0, 1]\nname: some/sweep\n")
    configs = compose_each([point.tokens for point in expand(["-m", f"cfg={file}", "lr0=0.1,0.2", "epochs=3"])])
    assert all(isinstance(config, Config) for config in configs)
    found = [(c.lr0, c.epochs, c.imgsz, c.optimizer, c.freeze) for c in configs if isinstance(c, Config)]
    assert found == [(0.1, 3, 96, "SGD", [0, 1]), (0.2, 3, 96, "SGD", [0, 1])]
    assert {(c.paths.runs, c.name) for c in configs if isinstance(c, Config)} == {("runs/some", "sweep")}


def test_a_search_does_not_need_the_file_later(tmp_path: Path) -> None:
    file = tmp_path / "arguments.yaml"
    file.write_text("epochs: 7\n")
    line = anchored(["-m", f"cfg={file}", "lr0=interval(0.01,0.1)"])
    file.unlink()
    assert "epochs=7" in line.argv
