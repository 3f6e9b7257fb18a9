"""What the engine reports becomes lines of metrics.jsonl, of results.csv, and calls of the trackers."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.run_events import lines_of

from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.track.background import BackgroundTrackers
from yoloscale.track.results_csv import ResultsCsv
from yoloscale.track.tracker import Tracker
from yoloscale.worker.train import observer as module
from yoloscale.worker.train.observer import RunObserver

Make = Callable[..., Any]

STEP = {"step": 1, "epoch": 1, "epoch_step": 1, "images_per_s": 9.5, "train/box_loss": 1.5, "lr/pg0": 0.01}
EPOCH = {"step": 4, "epoch": 1, "time": 12.0, "images_per_s": 9.0, "train/box_loss": 1.25, "lr/pg0": 0.01}
EVALUATED = {"metrics/mAP50(B)": 0.5, "val/box_loss": 2.0, "fitness": 0.4}


class Calls(Tracker):
    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.closed: int | None = None

    def log(self, values: Mapping[str, float], step: int, *, is_epoch: bool) -> None:
        self.logged.append((step, dict(values)))

    def close(self, exit_code: int) -> None:
        self.closed = exit_code


class Made:
    """An observer with a tracker behind it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.tracker = Calls()
        self.trackers = BackgroundTrackers({"calls": lambda: self.tracker}, folder / "job" / "tracked.json", print)
        given = {"writes": True, "plots": True, "first_step": 0, "attempt": 1, **options}
        csv = ResultsCsv(folder / "results.csv", 0)
        self.observer = RunObserver(RunDirectory(folder), csv, self.trackers, **given)

    def told(self, exit_code: int = 0) -> list[tuple[int, dict[str, float]]]:
        self.trackers.close(exit_code, timeout_s=300)
        return self.tracker.logged


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Made]]:
    made: list[Made] = []

    def new(**options: Any) -> Made:
        made.append(Made(tmp_path, **options))
        return made[-1]

    yield new
    for each in made:
        each.told()


def test_epoch_and_evaluation_are_lines_of_their_own(tmp_path: Path, make: Make) -> None:
    made = make()
    made.observer.epoch({**EPOCH, **EVALUATED})
    told = made.told(75)
    epoch, evaluated = jsonl.read(tmp_path / "metrics.jsonl")
    assert (epoch["kind"], epoch["train/box_loss"], epoch["seconds"]) == ("epoch", 1.25, 12.0)
    assert not set(EVALUATED) & set(epoch)
    assert evaluated.pop("time") > 1e9, "time of day"
    assert evaluated == {"kind": "eval", "step": 4, "epoch": 1, **EVALUATED}
    own = {"epoch": 1, "epoch/box_loss": 1.25, "epoch/images_per_s": 9.0, "epoch/seconds": 12.0}
    assert told == [(4, {**own, **EVALUATED})], "by epoch, under names that no step has"
    assert made.tracker.closed == 75


def test_an_epoch_without_evaluation(tmp_path: Path, make: Make) -> None:
    make().observer.epoch(EPOCH)
    assert [line["kind"] for line in jsonl.read(tmp_path / "metrics.jsonl")] == ["epoch"]


def test_an_epoch_that_is_evaluated_after_all_gets_its_metrics_and_no_second_line(tmp_path: Path, make: Make) -> None:
    made = make()
    made.observer.epoch({**EPOCH, "epoch": 1, "step": 2})
    made.observer.epoch({**EPOCH, "epoch": 2})
    made.observer.measured({**EPOCH, **EVALUATED, "epoch": 2, "time": 20.0})
    told = made.told()
    lines = [(line["kind"], line["epoch"], "redone" in line) for line in jsonl.read(tmp_path / "metrics.jsonl")]
    assert lines == [("epoch", 1, False), ("epoch", 2, False), ("eval", 2, False)]
    assert told[2:] == [(4, {"epoch": 2, **EVALUATED})], "only what is new"
    assert set(EVALUATED).isdisjoint(told[1][1])
    head, *rows = (line.split(",") for line in (tmp_path / "results.csv").read_text().splitlines())
    assert [row[head.index("epoch")] for row in rows] == ["1", "2"]
    assert dict(zip(head, rows[-1], strict=True))["metrics/mAP50(B)"] == "0.5"


def test_no_start_tells_the_metrics_of_an_epoch_again(make: Make) -> None:
    for has_metrics in ([False, True], []):
        made = make()
        made.observer.epoch(EPOCH)
        made.observer.measured({**EPOCH, **EVALUATED})
        assert [values.items() >= EVALUATED.items() for _, values in made.told()] == has_metrics


def test_steps_are_written_now_and_then(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    now, made = [100.0], make()
    with monkeypatch.context() as patch:
        patch.setattr(module.time, "monotonic", lambda: now[0])
        for step in range(1, 21):
            made.observer.step({**STEP, "step": step})
            now[0] += 0.1
    told = made.told()
    written = [line["step"] for line in jsonl.read(tmp_path / "metrics.jsonl")]
    assert written[0] == 1, "the first step is news"
    assert 4 <= len(written) <= 5
    assert [step for step, _ in told] == written
    assert told[0][1] == {"epoch": 1, "pace/images_per_s": 9.5, "train/box_loss": 1.5, "lr/pg0": 0.01}


def steps(observer: RunObserver, numbers: range) -> None:
    for number in numbers:
        observer._last_line = 0.0
        observer.step({**STEP, "step": number})


def test_what_is_trained_again_has_a_mark_in_the_file_and_is_not_told_again(tmp_path: Path, make: Make) -> None:
    first = make()
    steps(first.observer, range(1, 6))
    first.observer.epoch({**EPOCH, **EVALUATED})
    assert [step for step, _ in first.told()] == [1, 2, 3, 4, 5, 4]
    second = make(first_step=2)
    steps(second.observer, range(3, 8))
    second.observer.epoch({**EPOCH, **EVALUATED})
    second.observer.epoch({**EPOCH, "epoch": 2, "step": 8})
    assert [(step, values["epoch"]) for step, values in second.told()] == [(6, 1), (7, 1), (8, 2)]
    lines = list(jsonl.read(tmp_path / "metrics.jsonl"))
    assert [line["step"] for line in lines if line["kind"] == "step" and line.get("redone")] == [3, 4, 5]
    assert [line["kind"] for line in lines if line.get("redone") and line["kind"] != "step"] == ["epoch", "eval"]
    once = [(line["kind"], line["step"]) for line in lines if not line.get("redone")]
    assert len(set(once)) == len(once) == 10


def test_trackers_hear_of_what_an_earlier_start_was_killed_too_early_to_tell(tmp_path: Path, make: Make) -> None:
    first = make()
    steps(first.observer, range(1, 4))
    first.observer.epoch({**EPOCH, **EVALUATED})
    first.told()
    (tmp_path / "job" / "tracked.json").write_text('{"step": 2, "epoch": 0}')
    told = make().told()
    assert [step for step, _ in told] == [3, 4]
    assert told[1][1].items() >= {**EVALUATED, "epoch": 1, "epoch/box_loss": 1.25}.items(), "with its evaluation"


def test_a_roll_back_tells_no_step_twice(make: Make) -> None:
    made = make()
    steps(made.observer, range(1, 5))
    steps(made.observer, range(3, 7))
    assert [step for step, _ in made.told()] == [1, 2, 3, 4, 5, 6]


def test_other_ranks_write_nothing(tmp_path: Path, make: Make) -> None:
    made = make(writes=False)
    observer = made.observer
    observer.step(STEP)
    observer.epoch(EPOCH)
    observer.warn("x")
    observer.trace({"step": 1})
    observer.batch(0, {"img": torch.zeros(1, 3, 4, 4)})
    assert list(tmp_path.iterdir()) == []
    assert made.told() == []
    assert observer.first_batches == []


def test_the_first_three_batches_are_remembered_as_bytes(make: Make) -> None:
    observer = make().observer
    for step in range(6):
        observer.batch(step, {"img": torch.full((1, 3, 4, 4), step / 5)})
    assert [int(batch["img"].max()) for batch in observer.first_batches] == [0, 51, 102]
    assert all(batch["img"].dtype is torch.uint8 for batch in observer.first_batches)


def test_events_and_traces(tmp_path: Path, make: Make) -> None:
    observer = make().observer
    observer.warn("careful")
    observer.trace({"step": 1, "loss": "0x1p+0"})
    assert lines_of(RunDirectory(tmp_path))[0]["message"] == "careful"
    assert list(jsonl.read(tmp_path / "trace.jsonl")) == [{"step": 1, "loss": "0x1p+0"}]


def test_a_rank_0_whose_attempt_another_one_has_followed_writes_no_more(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine, say, where it lives on; its events have a file of their own."""
    monkeypatch.setattr("yoloscale.runs.turn.LOOK_S", 0.0)
    run, observer = RunDirectory(tmp_path), make(attempt=9).observer
    run.attempt_logs(9).mkdir(parents=True)
    observer.trace({"step": 1})
    observer.epoch({**EPOCH, **EVALUATED})
    run.attempt_logs(10).mkdir()
    before = [path.read_bytes() for path in (run.trace, run.metrics, tmp_path / "results.csv")]
    observer.trace({"step": 2})
    observer.epoch({**EPOCH, **EVALUATED, "epoch": 2})
    assert [path.read_bytes() for path in (run.trace, run.metrics, tmp_path / "results.csv")] == before
    (warned,) = lines_of(run)
    assert "attempt 10 has begun" in warned["message"]


def test_an_epoch_that_a_full_disk_does_not_take_is_in_the_table_of_the_next(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    observer = make().observer
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        observer.epoch({**EPOCH, **EVALUATED})
    assert "not in results.csv yet" in lines_of(RunDirectory(tmp_path))[0]["message"]
    observer.epoch({**EPOCH, **EVALUATED, "epoch": 2})
    assert [line.split(",")[0] for line in (tmp_path / "results.csv").read_text().splitlines()] == ["epoch", "1", "2"]
