"""sweep.yaml: what is varied stands in it as text to be typed, and as values."""

from __future__ import annotations

from pathlib import Path

import yaml

from yoloscale.runs.sweep_directory import SweepDirectory, SweepPoint, SweepRecord, read, write
from yoloscale.sweep.freeze import swept_point
from yoloscale.sweep.grammar.points import expand

TYPED = ["-m", "lr0=0.1,1e-2", "model='my models/a,b.pt',null", "+mosaic=1.0,true"]
VALUES = {"lr0": "0.1", "model": "my models/a,b.pt", "mosaic": "1.0"}


def test_values_are_kept_as_values(tmp_path: Path) -> None:
    sweep = SweepDirectory(tmp_path)
    points = tuple(swept_point(point, f"point-{point.index}") for point in expand(TYPED))
    write(sweep, SweepRecord((), points))
    assert read(sweep).points == points
    assert yaml.safe_load(sweep.record.read_text())["points"][0]["values"] == VALUES
    assert read(sweep).points[-1].values == {"lr0": "0.01", "model": "null", "mosaic": "true"}


def test_a_sweep_of_an_older_version_has_its_values_too(tmp_path: Path) -> None:
    sweep = SweepDirectory(tmp_path)
    write(sweep, SweepRecord((), (SweepPoint(0, "p", ("lr0=0.1", "model='my models/a,b.pt'", "+mosaic=1.0")),)))
    assert "values" not in sweep.record.read_text()
    assert read(sweep).points[0].values == VALUES
