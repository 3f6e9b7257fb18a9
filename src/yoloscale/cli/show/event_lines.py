"""A run's account of itself, line by line: events and metrics as sentences. Pure; one `Account` per reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from yoloscale.cli import text
from yoloscale.runs import events
from yoloscale.runs.progress import Progress
from yoloscale.system.formatting import counted


class Account:
    """Feed it records in order; it returns the lines to print, and keeps the progress for a display."""

    def __init__(self) -> None:
        self.progress = Progress()
        self._epoch: dict[str, Any] | None = None  # held back until its evaluation is there

    def event_lines(self, record: Mapping[str, Any]) -> list[str]:
        """Lines for one event."""
        self.progress.on_event(record)
        line = _EVENT_LINES.get(str(record["event"]))
        said = line(record, self.progress) if line else ""
        ends = record["event"] in (events.FINISHED, events.FAILED, events.PREEMPTED, events.EXITED)
        return [*(self.flush() if ends else []), *([said] if said else [])]

    def metric_lines(self, record: Mapping[str, Any]) -> list[str]:
        """Lines for one line of metrics.jsonl: one per epoch, with the evaluation that belongs to it."""
        self.progress.on_metric(record)
        kind = record.get("kind")
        if kind == "epoch":
            held = self.flush()
            self._epoch = dict(record)
            return held
        if kind == "eval" and self._epoch is not None and self._epoch.get("epoch") == record.get("epoch"):
            self._epoch.update(record)
            return self.flush()
        if kind == "eval":
            return [_join(f"evaluation after epoch {record.get('epoch', '?')}", text.metrics(record))]
        return self.flush() if kind == "step" and self._is_past(record) else []

    def flush(self) -> list[str]:
        """The epoch that was held back, if any."""
        held, self._epoch = self._epoch, None
        return [self._epoch_line(held)] if held else []

    def _is_past(self, record: Mapping[str, Any]) -> bool:
        return self._epoch is not None and int(record.get("epoch", 0)) > int(self._epoch.get("epoch", 0))

    def _epoch_line(self, record: Mapping[str, Any]) -> str:
        total = self.progress.epochs or "?"
        epoch = f"epoch {record.get('epoch', '?'):>{len(str(total))}}/{total}"
        speed = text.images_per_s(record.get("images_per_s"))
        return _join(epoch, text.losses(record), text.metrics(record), speed, text.gpus(record))


def _join(*parts: str) -> str:
    return "   ".join(part for part in parts if part)


def _started(record: Mapping[str, Any], progress: Progress) -> str:
    ranks = int(record.get("world_size", len(progress.processes)))
    attempt = f" (attempt {progress.attempt})" if progress.attempt > 1 else ""
    return f"{counted(ranks, 'rank')} on {progress.where}{attempt}"


def _training(record: Mapping[str, Any], progress: Progress) -> str:
    start = f"from epoch {progress.first_epoch}" if progress.first_epoch > 1 else ""
    steps = f"{progress.epochs} epochs of {progress.steps_per_epoch} steps"
    if progress.hours:
        steps = f"{progress.hours:g} hours, in epochs of {progress.steps_per_epoch} steps"
    images = f"{record['images']} images" if "images" in record else ""
    return "training: " + ", ".join(part for part in (images, steps, progress.plan, start) if part)


def _failed(record: Mapping[str, Any], progress: Progress) -> str:
    rank = f"rank {record['rank']} on {record.get('host', '?')}: " if record.get("rank") is not None else ""
    if record.get("collateral"):
        return f"{rank}lost its connection to another rank"
    return f"failed: {rank}{record.get('error', '')}"


def _restarted(record: Mapping[str, Any], progress: Progress) -> str:
    step = int(record.get("step", 0))
    start = f"the checkpoint of step {step}" if step else "the beginning"
    count = f"{record.get('restarts', 1)} of {record.get('max_restarts', '?')} without progress"
    return f"restarting from {start} ({count})"  # the cause stands in the line before


def _regrouped(record: Mapping[str, Any], progress: Progress) -> str:
    step, nodes = int(record.get("step", 0)), counted(int(record.get("nodes", 1)), "node")
    return f"{record.get('cause')}: going on with {nodes} from " + (f"step {step}" if step else "the beginning")


def _stopped(record: Mapping[str, Any], progress: Progress) -> str:
    return f"stopped on request ({record.get('signal') or 'of another rank'}) in epoch {record.get('epoch', '?')}"


def _requeued(record: Mapping[str, Any], progress: Progress) -> str:
    step = int(record.get("step", 0))
    start = f"to go on from the checkpoint of step {step}" if step else "to start from the beginning"
    cause = str(record.get("cause") or "requeued by SLURM")
    return f"job {record.get('job')} is requeued ({cause}), {start}"


def _moved(record: Mapping[str, Any], progress: Progress) -> str:
    before, now = record.get("from", {}), record.get("to", {})
    changes = ", ".join(f"{key} {json.dumps(before.get(key))} → {json.dumps(value)}" for key, value in now.items())
    said = [_join(f"goes on with {changes}", str(record.get("plan", "")))] if changes else []
    return "\n".join([*said, *(f"  {line}" for line in record.get("remarks", []))])


_EVENT_LINES: dict[str, Callable[[Mapping[str, Any], Progress], str]] = {
    events.SUBMITTED: lambda record, progress: f"submitted as job {record.get('job')}",
    events.REQUEUED: _requeued,
    events.ATTEMPT_STARTED: _started,
    events.TRAINING_STARTED: _training,
    events.MOVED: _moved,
    events.TRACKED: lambda record, progress: f"{record.get('tracker')}: {record.get('where')}",
    events.WARNING: lambda record, progress: f"warning: {record.get('message', '')}",
    events.REMARK: lambda record, progress: str(record.get("message", "")),
    events.FAILED: _failed,
    events.PREEMPTED: _stopped,
    events.RESTARTED: _restarted,
    events.REGROUPED: _regrouped,
    events.CANCELLED: lambda record, progress: "cancelled",
    events.FINISHED: lambda record, progress: f"finished: {record.get('epochs', progress.epochs)} epochs",
}
