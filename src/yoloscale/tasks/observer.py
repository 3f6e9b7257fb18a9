"""Turns what the engine reports into the files of the run directory, and passes it on to trackers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.track.results_csv import ResultsCsv
from yoloscale.track.tracker import Tracker

STEP_INTERVAL_S = 0.5  # metrics.jsonl gets a step line at most this often; epochs and evaluations always


class RunObserver:
    """`engine.protocols.Observer` of rank 0; on the other ranks all methods return at once."""

    def __init__(
        self,
        run: RunDirectory,
        csv: ResultsCsv,
        trackers: list[Tracker],
        *,
        writes: bool,
        plots: bool,
        first_step: int,
    ) -> None:
        self._run, self._csv, self._trackers = run, csv, trackers
        self._writes, self._plots, self._first_step = writes, plots, first_step
        self._last_line = 0.0
        self.first_batches: list[dict[str, Any]] = []

    def step(self, record: Mapping[str, float]) -> None:
        now = time.monotonic()
        if not self._writes or (now - self._last_line < STEP_INTERVAL_S and record["step"] > self._first_step + 1):
            return
        self._last_line = now
        self._append(self._run.metrics, {"kind": "step", "time": time.time(), **record})
        self._track(record)

    def epoch(self, record: Mapping[str, float]) -> None:
        if not self._writes:
            return
        evaluated = ("metrics/", "val/", "fitness")
        trained = {name: value for name, value in record.items() if not name.startswith(evaluated)}
        self._append(self._run.metrics, {"kind": "epoch", **trained, "seconds": record["time"], "time": time.time()})
        if len(trained) < len(record):
            rest = {name: value for name, value in record.items() if name not in trained}
            head = {"kind": "eval", "step": record["step"], "epoch": record["epoch"], "time": time.time()}
            self._append(self._run.metrics, {**head, **rest})
        try:
            self._csv.add(record)
        except OSError as error:  # the next epoch writes the table as a whole
            events.warn(self._run, f"epoch {record['epoch']} is not in results.csv yet: {error}")
        self._track(record)

    def event(self, name: str, **fields: Any) -> None:
        if self._writes:
            self._append(self._run.events, events.line(name, **fields))

    def batch(self, step: int, batch: dict[str, Any]) -> None:
        """Remember the run's first three batches; they are drawn when it ends, to keep drawing out of the loop."""
        if self._writes and self._plots and step == self._first_step + len(self.first_batches) and step < 3:
            kept = {key: value.cpu() if hasattr(value, "cpu") else value for key, value in batch.items()}
            self.first_batches.append({**kept, "img": (kept["img"] * 255).round().to(torch.uint8)})

    def trace(self, record: Mapping[str, Any]) -> None:
        if self._writes:
            self._append(self._run.trace, record)

    def _append(self, path: Path, record: Mapping[str, Any]) -> None:
        """Append a line; a disk that does not take it costs the line, not the run."""
        try:
            jsonl.append(path, record)
        except OSError as error:
            print(f"{path.name}: {error}", flush=True)

    def _track(self, record: Mapping[str, float]) -> None:
        values = {name: value for name, value in record.items() if name not in ("step", "time")}
        self._each_tracker(lambda tracker: tracker.log(values, int(record["step"])))

    def close(self, exit_code: int) -> None:
        """End the trackers; 0 finished, 75 to be continued, else failed."""
        self._each_tracker(lambda tracker: tracker.close(exit_code))

    def _each_tracker(self, tell: Callable[[Tracker], None]) -> None:
        """Tell every tracker; one that fails is left out from then on, with a warning: it never stops the run."""
        for tracker in list(self._trackers):
            try:
                tell(tracker)
            except Exception as error:
                self._trackers.remove(tracker)
                events.warn(self._run, f"{type(tracker).__name__} has failed and gets no more: {error}")
