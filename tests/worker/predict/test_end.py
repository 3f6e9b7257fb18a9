"""The last word on a prediction is the same whoever says it, and is said once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from yoloscale.config.tasks import Task
from yoloscale.predictions import claims, maps, parts
from yoloscale.predictions.rows import Row, as_frame
from yoloscale.predictions.schema import Status
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.predict import end as program
from yoloscale.worker.predict.end import end, images_per_s
from yoloscale.worker.predict.progress import Extent


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Of 5 images in units of 2, all unreadable."""
    for unit in range(3):
        rows = [Row(i, "a", None, None, Status.unreadable, "why") for i in range(2 * unit, min(2 * unit + 2, 5))]
        parts.write(tmp_path, unit, as_frame(rows, Task.detect))
    return RunDirectory(tmp_path)


def test_a_second_rank_finds_it_done(run: RunDirectory) -> None:
    (run.path / parts.UNFINISHED / "part-000001.left.parquet").touch()
    end(run, Extent(5, 2), views={"labels": 3})
    first = run.result.read_bytes()
    end(run, Extent(5, 2))

    result = json.loads(first)
    assert result.pop("images_per_s") is None
    counts = {"images": 5, "ok": 0, "empty": 0, "unreadable": 5, "failed": 0, "detections": 0}
    assert result == {"metrics": {}, **counts, "views": {"labels": 3}}
    assert run.result.read_bytes() == first
    finished = [event for event in events.history(run) if isinstance(event, events.Finished)]
    assert [(event.steps, event.images, event.epochs) for event in finished] == [(3, 5, 0)]
    assert not (run.path / parts.UNFINISHED).exists()
    assert not (run.path / claims.FOLDER).exists()


def test_what_killed_writers_of_maps_have_left_goes(run: RunDirectory) -> None:
    name = maps.write(run.path, 0, 0, np.zeros((2, 2), np.float32))
    (run.path / f"{name}.0a0b0c0d.part").touch()
    end(run, Extent(5, 2))
    assert [path.name for path in (run.path / name).parent.iterdir()] == [Path(name).name]


def test_a_rank_that_waits_as_another_one_clears_up_says_nothing_more(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = program.locked

    @contextlib.contextmanager
    def locked_late(path: Path) -> Iterator[bool]:
        monkeypatch.setattr(program, "locked", locked)
        claims_folder = run.path / claims.FOLDER
        claims_folder.mkdir(exist_ok=True)
        end(run, Extent(5, 2), views={"labels": 3})
        assert not claims_folder.exists()
        with locked(path) as alone:
            yield alone

    monkeypatch.setattr(program, "locked", locked_late)
    end(run, Extent(5, 2))
    assert json.loads(run.result.read_text())["views"] == {"labels": 3}
    assert len([event for event in events.history(run) if isinstance(event, events.Finished)]) == 1
    assert not (run.path / program.LOCK).exists()


def test_parts_of_another_manifest_are_no_result(run: RunDirectory) -> None:
    with pytest.raises(RuntimeError, match="the parts hold 5 images and the manifest 6"):
        end(run, Extent(6, 2))
    assert not run.result.exists()


def test_how_many_images_units_have() -> None:
    extent = Extent(5, 2)
    assert extent.units == 3
    assert [extent.images_of(units) for units in (set(), {0}, {2}, {0, 2}, {0, 1, 2})] == [0, 2, 1, 3, 5]
    assert Extent(4, 2).images_of({0, 1}) == 4


def unit(time: float, seconds: float, images: int = 10) -> events.UnitDone:
    return events.UnitDone(time=time, attempt=1, rank=0, unit=0, images=images, seconds=seconds)


def test_pace_is_that_of_all_ranks_while_any_of_them_works() -> None:
    assert images_per_s([]) is None
    assert images_per_s([unit(10.0, 10.0)]) == 1.0
    assert images_per_s([unit(10.0, 10.0), unit(10.0, 10.0)]) == 2.0  # two at a time
    assert images_per_s([unit(10.0, 10.0), unit(110.0, 10.0)]) == 1.0  # the pause between them is none of it
    assert images_per_s([unit(20.0, 10.0), unit(15.0, 10.0), unit(16.0, 2.0)]) == 2.0  # overlapping, in any order
