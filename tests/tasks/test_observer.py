"""What the engine reports becomes lines of metrics.jsonl, of results.csv, and calls of the trackers."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.tasks import observer as module
from yoloscale.tasks.observer import RunObserver
from yoloscale.track.results_csv import ResultsCsv

STEP = {"step": 1, "epoch": 1, "epoch_step": 1, "images_per_s": 9.5, "train/box_loss": 1.5, "lr/pg0": 0.01}
EPOCH = {"step": 4, "epoch": 1, "time": 12.0, "images_per_s": 9.0, "train/box_loss": 1.25, "lr/pg0": 0.01}
EVALUATED = {"metrics/mAP50(B)": 0.5, "val/box_loss": 2.0, "fitness": 0.4}


class Calls:
    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.closed: int | None = None

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.logged.append((step, dict(values)))

    def close(self, exit_code: int) -> None:
        self.closed = exit_code


def make(folder: Path, tracker: Calls, **options: Any) -> RunObserver:
    given = {"writes": True, "plots": True, "first_step": 0, **options}
    return RunObserver(RunDirectory(folder), ResultsCsv(folder / "results.csv", 0), [tracker], **given)


def test_epoch_and_evaluation_are_lines_of_their_own(tmp_path: Path) -> None:
    tracker = Calls()
    observer = make(tmp_path, tracker)
    observer.epoch({**EPOCH, **EVALUATED})
    observer.close(75)
    epoch, evaluated = jsonl.read(tmp_path / "metrics.jsonl")
    assert (epoch["kind"], epoch["train/box_loss"], epoch["seconds"]) == ("epoch", 1.25, 12.0)
    assert not set(EVALUATED) & set(epoch)
    assert evaluated.pop("time") > 1e9, "time of day"
    assert evaluated == {"kind": "eval", "step": 4, "epoch": 1, **EVALUATED}
    assert tracker.logged[0][0] == 4
    assert tracker.logged[0][1].items() >= EVALUATED.items()
    assert tracker.closed == 75


def test_an_epoch_without_evaluation(tmp_path: Path) -> None:
    make(tmp_path, Calls()).epoch(EPOCH)
    assert [line["kind"] for line in jsonl.read(tmp_path / "metrics.jsonl")] == ["epoch"]


def test_steps_are_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    tracker = Calls()
    observer = make(tmp_path, tracker)
    for step in range(1, 21):
        observer.step({**STEP, "step": step})
        now[0] += 0.1
    written = [line["step"] for line in jsonl.read(tmp_path / "metrics.jsonl")]
    assert written[0] == 1, "the first step is news"
    assert 4 <= len(written) <= 5
    assert [step for step, _ in tracker.logged] == written


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    observer = make(tmp_path, Calls(), writes=False)
    observer.step(STEP)
    observer.epoch(EPOCH)
    observer.event("warning", message="x")
    observer.trace({"step": 1})
    observer.batch(0, {"img": torch.zeros(1, 3, 4, 4)})
    assert list(tmp_path.iterdir()) == []
    assert observer.first_batches == []


def test_the_first_three_batches_are_remembered_as_bytes(tmp_path: Path) -> None:
    observer = make(tmp_path, Calls())
    for step in range(6):
        observer.batch(step, {"img": torch.full((1, 3, 4, 4), step / 5)})
    assert [int(batch["img"].max()) for batch in observer.first_batches] == [0, 51, 102]
    assert all(batch["img"].dtype is torch.uint8 for batch in observer.first_batches)


def test_events_and_traces(tmp_path: Path) -> None:
    observer = make(tmp_path, Calls())
    observer.event("warning", message="careful")
    observer.trace({"step": 1, "loss": "0x1p+0"})
    assert events.history(RunDirectory(tmp_path))[0]["message"] == "careful"
    assert list(jsonl.read(tmp_path / "trace.jsonl")) == [{"step": 1, "loss": "0x1p+0"}]


def test_an_epoch_that_a_full_disk_does_not_take_is_in_the_table_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    observer = make(tmp_path, Calls())
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        observer.epoch({**EPOCH, **EVALUATED})
    assert "not in results.csv yet" in events.history(RunDirectory(tmp_path))[0]["message"]
    observer.epoch({**EPOCH, **EVALUATED, "epoch": 2})
    assert [line.split(",")[0] for line in (tmp_path / "results.csv").read_text().splitlines()] == ["epoch", "1", "2"]
