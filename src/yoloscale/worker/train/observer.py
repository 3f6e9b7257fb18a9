"""Turns what the engine reports into the files of the run directory, and passes it on to trackers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.turn import Turn
from yoloscale.track.background import BackgroundTrackers, Tell
from yoloscale.track.results_csv import ResultsCsv

STEP_INTERVAL_S = 0.5  # metrics.jsonl gets a step line at most this often; epochs and evaluations always
EVALUATED = ("metrics/", "val/", "fitness")
_LEFT_OUT = ("kind", "step", "time", "redone", "epoch_step", "epochs")
_STEP_NAMES = {
    "grad_norm": "train/grad_norm",
    **{name: f"pace/{name}" for name in ("images_per_s", "step_s", "data_s", "data_share")},
}


class RunObserver:
    """`engine.protocols.Observer` of rank 0; on the other ranks all methods return at once.

    metrics.jsonl is a history: a step or an epoch that is trained again, after a restart or a roll-back, has a line
    again, with `"redone": true`. Trackers hear of each once. That of an attempt which another one has followed writes
    nothing more.
    """

    def __init__(
        self,
        run: RunDirectory,
        csv: ResultsCsv,
        trackers: BackgroundTrackers,
        *,
        writes: bool,
        plots: bool,
        first_step: int,
        attempt: int,
    ) -> None:
        self._turn = Turn(run, attempt)
        self._run, self._csv, self._trackers = run, csv, trackers
        self._writes, self._plots, self._first_step = writes, plots, first_step
        self._last_line = 0.0
        self._steps_known = self._epochs_known = 0  # that have a line already
        self._redone = dict[str, bool]()  # the mark of the lines of the last epoch
        self.first_batches: list[dict[str, Any]] = []
        if writes:
            self._catch_up()

    def _catch_up(self) -> None:
        """See what has a line; a tracker that an earlier start was killed too early to tell is told now."""
        for line in _whole_epochs(jsonl.read(self._run.metrics)):
            is_epoch = line.get("kind") != "step"
            if is_epoch:
                self._epochs_known = max(self._epochs_known, int(line["epoch"]))
            else:
                self._steps_known = max(self._steps_known, int(line["step"]))
            self._track(line, is_epoch=is_epoch)

    def step(self, record: Mapping[str, float]) -> None:
        now = time.monotonic()
        if not self._writes or (now - self._last_line < STEP_INTERVAL_S and record["step"] > self._first_step + 1):
            return
        self._last_line = now
        redone = {"redone": True} if record["step"] <= self._steps_known else {}
        self._steps_known = max(self._steps_known, int(record["step"]))
        self._append(self._run.metrics, {"kind": "step", "time": time.time(), **record, **redone})
        self._track(record, is_epoch=False)

    def epoch(self, record: Mapping[str, float]) -> None:
        if not self._writes:
            return
        self._redone = {"redone": True} if record["epoch"] <= self._epochs_known else {}
        self._epochs_known = max(self._epochs_known, int(record["epoch"]))
        trained = {name: value for name, value in record.items() if not name.startswith(EVALUATED)}
        timed = {"seconds": record["time"], "time": time.time()}
        self._append(self._run.metrics, {"kind": "epoch", **trained, **timed, **self._redone})
        if len(trained) < len(record):
            self._append_evaluation(record)
        self._add_to_table(record)
        self._track({**record, "seconds": record["time"]}, is_epoch=True)

    def measured(self, record: Mapping[str, float]) -> None:
        if not self._writes:
            return
        self._append_evaluation(record)
        self._add_to_table(record)
        step, epoch = int(record["step"]), int(record["epoch"])
        self._trackers.log_measured({"epoch": epoch, **_evaluated(record)}, step, epoch=epoch)

    def _append_evaluation(self, record: Mapping[str, float]) -> None:
        head = {"kind": "eval", "step": record["step"], "epoch": record["epoch"], "time": time.time()}
        self._append(self._run.metrics, {**head, **_evaluated(record), **self._redone})

    def _add_to_table(self, record: Mapping[str, float]) -> None:
        try:
            self._run.check()
            self._turn.check()
            self._csv.add(record)
        except OSError as error:  # the next epoch writes the table as a whole
            events.warn(self._run, f"epoch {record['epoch']} is not in results.csv yet: {error}")

    def warn(self, message: str) -> None:
        self._note(events.Warned(message=message))

    def rolled_back(self, message: str, *, step_from: int, step_to: int) -> None:
        self._note(events.RolledBack(message=message, step_from=step_from, step_to=step_to))

    def pruned(self, epoch: int) -> None:
        self._note(events.Pruned(epoch=epoch))

    def evaluated(self, epoch: int, metrics: dict[str, float], seconds: float) -> None:
        self._note(events.Evaluated(epoch=epoch, metrics=metrics, seconds=seconds))

    def _note(self, event: events.Event) -> None:
        if self._writes:
            events.note(self._run, event)

    def batch(self, step: int, batch: dict[str, Any]) -> None:
        """Remember the run's first three batches; they are drawn when it ends, to keep drawing out of the loop."""
        if self._writes and self._plots and step == self._first_step + len(self.first_batches) and step < 3:
            copied = {key: value.cpu() if hasattr(value, "cpu") else value for key, value in batch.items()}
            self.first_batches.append({**copied, "img": (copied["img"] * 255).round().to(torch.uint8)})

    def trace(self, record: Mapping[str, Any]) -> None:
        if self._writes:
            self._append(self._run.trace, record)

    def tell(self, tell: Tell) -> None:
        """Tell the trackers something that is neither a step nor an epoch; does not wait."""
        self._trackers.tell(tell)

    def _append(self, path: Path, record: Mapping[str, Any]) -> None:
        """Append a line; a disk that does not take it costs the line, not the run."""
        try:
            self._run.glance()
            self._turn.check()
            jsonl.append(path, record)
        except OSError as error:
            print(f"{path.name}: {error}", flush=True)

    def _track(self, record: Mapping[str, Any], *, is_epoch: bool) -> None:
        values = of_epoch(record) if is_epoch else of_step(record)
        self._trackers.log(values, int(record["step"]), epoch=int(record["epoch"]), is_epoch=is_epoch)


def _evaluated(record: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in record.items() if name.startswith(EVALUATED)}


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in record.items() if name not in _LEFT_OUT and value is not None}


def of_step(record: Mapping[str, Any]) -> dict[str, float]:
    """What trackers show of a step: by step, under `train/`, `lr/` and `pace/`."""
    return {_STEP_NAMES.get(name, name): value for name, value in _numbers(record).items()}


def of_epoch(record: Mapping[str, Any]) -> dict[str, float]:
    """What trackers show of an epoch: by epoch, under `epoch/`, `metrics/` and `val/`."""
    numbers = _numbers(record)
    evaluated = {name: value for name, value in numbers.items() if name == "epoch" or name.startswith(EVALUATED)}
    rest = {name: value for name, value in numbers.items() if name not in evaluated and not name.startswith("lr/")}
    return {**evaluated, **{f"epoch/{name.removeprefix('train/')}": value for name, value in rest.items()}}


def _whole_epochs(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The lines of metrics.jsonl, those of an epoch and of its evaluation as one."""
    pending: dict[str, Any] | None = None
    for line in lines:
        if not {"kind", "step", "epoch"} <= set(line):
            continue
        if pending is not None and line["kind"] == "eval" and line["epoch"] == pending["epoch"]:
            line, pending = {**pending, **line}, None
        if pending is not None:
            yield pending
        pending = line if line["kind"] == "epoch" else None
        if pending is None:
            yield line
    if pending is not None:
        yield pending
