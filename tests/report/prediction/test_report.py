"""`yoloscale report RUN` of a run that predicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.report.prediction.conftest import Predicted, objects

from yoloscale.cli.main import main
from yoloscale.config.tasks import Task
from yoloscale.predictions.schema import Status
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory


@pytest.fixture
def run(predicted: Predicted) -> RunDirectory:
    images = [
        ("gone/a.jpg", Status.ok, objects((1, 0.91), (1, 0.5), (0, 0.26))),
        ("gone/b.jpg", Status.empty, objects()),
        ("gone/c.jpg", Status.unreadable, {}),
        ("gone/d.jpg", Status.ok, objects((1, 1.0))),
        ("gone/e.jpg", Status.failed, {}),
        ("gone/f.jpg", Status.ok, objects((2, 0.3))),
    ]
    return predicted(Task.detect, images)


def test_counts_and_files(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    run.result.write_text("{}")
    assert main(["report", "p"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "p: 6 images: 3 ok, 1 empty, 1 unreadable, 1 failed"
    assert [line.split() for line in lines[1:4]] == [
        ["class", "objects", "images"],
        ["square", "3", "2"],
        ["disc", "1", "1"],
    ]
    assert lines[4].startswith("a $very$ long name of a class t…")
    assert lines[5] == "2 images could not be predicted (failures.csv has all)"
    assert lines[6].split() == ["2", "unreadable", "gone/c.jpg", "the", "file?is", "empty"]
    assert lines[7].split()[:3] == ["4", "failed", "gone/e.jpg"]
    assert [Path(line.split()[-1]).name for line in lines[8:]] == ["classes.png", "scores.png", "sheet.jpg"]
    for name in ("classes.png", "scores.png", "sheet.jpg"):
        assert (run.path / name).stat().st_size > 1000


def test_while_it_goes_on(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    (run.path / "predictions/part-000001.parquet").unlink()
    assert main(["report", "p", "--no-pictures"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("p: 4 images so far: 2 ok, 1 empty, 1 unreadable\n")
    assert "failures.csv" not in said
    assert not list(run.path.glob("*.png"))


def test_json(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "p", "-o", "json", "--no-pictures"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["images"] == 6
    assert content["objects"] == 5
    assert content["statuses"] == {"ok": 3, "empty": 1, "unreadable": 1, "failed": 1}
    assert content["classes"][0] == {"number": 1, "name": "square", "objects": 3, "images": 2}
    assert [content["scores"][place] for place in (5, 6, 10, 18, 19)] == [1, 1, 1, 1, 1]
    assert content["failures"][0]["source"] == "gone/c.jpg"
    assert content["files"] == []


def test_the_slowest_rank(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    for rank, host, paces in ((0, "one", (10.0, 90.0, 20.0)), (1, "two", (5.0, 4.0)), (2, "two", (30.0,))):
        for pace in paces:
            line = {"kind": "progress", "rank": rank, "host": host, "pid": 7, "images_per_s": pace}
            jsonl.append(run.metrics, line)
    main(["report", "p", "--no-pictures"])
    expected = "slowest rank: rank 1 on two, 4.5000 images/s; the median of 3 is 20"
    assert capsys.readouterr().out.splitlines()[-1] == expected


def test_the_slowest_units(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    for unit, images, seconds in ((0, 4, 2.0), (1, 2, 5.0), (1, 2, 8.0)):
        events.append(run, events.UnitDone(attempt=1, rank=3, unit=unit, images=images, seconds=seconds))
    main(["report", "p", "--no-pictures"])
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "slowest units, in ms an image (2250 in the median of 2):",
        "  4000  images 4 to 5, by rank 3",
        "  500  images 0 to 3, by rank 3",
    ]


def test_before_there_is_anything(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    for part in (run.path / "predictions").iterdir():
        part.unlink()
    assert main(["report", "p"]) == 2
    assert "p has no predictions yet" in capsys.readouterr().err


def test_a_classifier(predicted: Predicted, capsys: pytest.CaptureFixture[str]) -> None:
    probs = ([0.1, 0.7, 0.2, 0.0], [0.0, 0.6, 0.3, 0.1], [0.9, 0.0, 0.1, 0.0])
    images = [(f"{n}.jpg", Status.ok, {"probs": each}) for n, each in enumerate(probs)]
    predicted(Task.classify, [*images, ("x.jpg", Status.unreadable, {})])
    assert main(["report", "p", "-o", "json", "--no-pictures"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["objects"]) for each in content["classes"]] == [("square", 2), ("disc", 1)]
    assert [place for place, count in enumerate(content["scores"]) if count] == [12, 14, 18]
    main(["report", "p", "--no-pictures"])
    assert "class   images" in capsys.readouterr().out


def test_a_task_without_objects(predicted: Predicted, capsys: pytest.CaptureFixture[str]) -> None:
    run = predicted(Task.depth, [("a.jpg", Status.ok, {"map": "maps/000000/000000000.npy"})])
    assert main(["report", "p"]) == 0
    assert capsys.readouterr().out.startswith("p: 1 image so far: 1 ok\n")
    assert [path.name for path in run.path.glob("*.[pj][np]g")] == ["sheet.jpg"]
