"""A run's account of itself, line by line: events and metrics as sentences. Pure; one `EventLines` per reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from yoloscale.cli import text
from yoloscale.runs import events
from yoloscale.runs.jobs import label_of
from yoloscale.runs.progress import Progress
from yoloscale.runs.wording import wording
from yoloscale.system.formatting import counted, rank_name


class EventLines:
    """Feed it records in order; it returns the lines to print, and keeps the progress for a display."""

    def __init__(self) -> None:
        self.progress = Progress()
        self._epoch: dict[str, Any] | None = None  # held back until its evaluation is there

    def lines(self, entry: events.Event | Mapping[str, Any]) -> list[str]:
        """Lines for one event, or for one line of metrics.jsonl."""
        return self.event_lines(entry) if isinstance(entry, events.Event) else self.metric_lines(entry)

    def event_lines(self, event: events.Event) -> list[str]:
        """Lines for one event."""
        self.progress.on_event(event)
        line = _sentence(event, self.progress)
        ends = isinstance(event, (events.Finished, events.Failed, events.Preempted, events.Exited))
        return [*(self.flush() if ends else []), *([line] if line else [])]

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


def _sentence(event: events.Event, progress: Progress) -> str:
    """What an event says to a person; nothing of most kinds."""
    words = wording(progress.kind)
    match event:
        case events.Submitted():
            return f"submitted as job {event.job}"
        case events.Requeued():
            start = f"go on from {words.begins_from(event.step)}" if event.step else "start from the beginning"
            cause = event.cause or f"requeued by {label_of(event.job)}"
            return f"job {event.job} is requeued ({cause}), to {start}"
        case events.AttemptStarted():
            attempt = f" (attempt {progress.attempt})" if progress.attempt > 1 else ""
            is_whole = len(progress.processes) >= event.world_size  # those of a prediction say it one by one
            where = progress.where if is_whole or not event.processes else event.processes[0].host
            return f"{counted(event.world_size, 'rank')} on {where}{attempt}"
        case events.TrainingStarted():
            return _training(event, progress)
        case events.PredictionStarted():
            return _predicting(event)
        case events.EvaluationStarted():
            return "evaluating: " + ", ".join(part for part in (_images(event.images), event.plan) if part)
        case events.Joined() if event.rank >= progress.world_size:
            return f"{rank_name(event.rank, event.host)} takes part, too"
        case events.Moved():
            return _moved(event)
        case events.Tracked():
            return f"{event.tracker}: {event.where}"
        case events.Warned() | events.RolledBack():
            return f"warning: {event.message}"
        case events.Remark():
            return str(event.message)
        case events.Failed(collateral=True):
            return replace(event, error="lost its connection to another rank").text
        case events.Failed():
            return f"failed: {event.text}"
        case events.Preempted():
            where = f" in epoch {event.epoch}" if event.epoch else ""
            return f"stopped on request ({event.signal or 'of another rank'}){where}"
        case events.Restarted():  # the cause stands in the line before
            start = words.begins_from(event.step)
            return f"restarting from {start} ({event.restarts} of {event.max_restarts} without progress)"
        case events.Regrouped():
            start = words.saved(event.step) if event.step else "the beginning"
            return f"{event.cause}: going on with {counted(event.nodes, 'node')} from {start}"
        case events.Cancelled():
            return "cancelled"
        case events.Finished():
            return f"finished: {event.epochs} epochs" if event.images is None else f"finished: {_images(event.images)}"
    return ""


def _training(event: events.TrainingStarted, progress: Progress) -> str:
    start = f"from epoch {progress.first_epoch}" if progress.first_epoch > 1 else ""
    steps = f"{progress.epochs} epochs of {progress.steps_per_epoch} steps"
    if progress.hours:
        steps = f"{progress.hours:g} hours, in epochs of {progress.steps_per_epoch} steps"
    images = f"{event.images} images" if event.images is not None else ""
    return "training: " + ", ".join(part for part in (images, steps, progress.plan, start) if part)


def _predicting(event: events.PredictionStarted) -> str:
    plan = event.plan or f"{_images(event.images)} in {counted(event.units, 'unit')}"
    there = f"{event.images_done} of them done before" if event.images_done else ""
    return "predicting: " + ", ".join(part for part in (plan, there) if part)


def _images(count: int) -> str:
    return counted(count, "image")


def _moved(event: events.Moved) -> str:
    before = event.from_
    changes = ", ".join(f"{key} {json.dumps(before.get(key))} → {json.dumps(value)}" for key, value in event.to.items())
    head = [_join(f"goes on with {changes}", event.plan)] if changes else []
    return "\n".join([*head, *(f"  {line}" for line in event.remarks)])
