"""How far a run has come: a fold over its events and metrics, the same for `status`, `runs` and the live display."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from yoloscale.runs import events

PREFERRED_METRICS = (
    "metrics/mAP50-95(M)",
    "metrics/mAP50-95(P)",
    "metrics/mAP50-95(B)",
    "metrics/mIoU",
    "metrics/accuracy_top1",
)


@dataclass
class Progress:
    """What is known so far of the newest attempt; feed it records in the order they were written."""

    attempt: int = 0
    phase: str = ""  # of the set-up; empty once training
    processes: list[dict[str, Any]] = field(default_factory=list)
    launcher: dict[str, Any] | None = None  # the attempt_launched event
    plan: str = ""
    epochs: int = 0  # 0: not known, as in the first one with `time=`, whose plan follows the pace
    hours: float | None = None  # `time=`: the training ends after so many
    clock_s: float = 0.0  # trained before this attempt
    steps_per_epoch: int = 0
    epoch: int = 0  # 1-based
    epoch_step: int = 0
    step: int = 0
    images_per_s: float | None = None
    training: dict[str, float] = field(default_factory=dict)  # latest losses, train/*
    metrics: dict[str, float] = field(default_factory=dict)  # latest evaluation
    gpus: dict[str, float] = field(default_factory=dict)  # gpu/* of the latest epoch; empty on CPUs
    started_at: float | None = None  # of the training in this attempt
    first_epoch: int = 1
    updated_at: float | None = None
    warnings: list[str] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    is_rescuing: bool = False  # after a failure, what was done before it is being saved
    stopped: dict[str, Any] | None = None  # the preempted event
    cancelled: bool = False
    finished: bool = False
    exited: dict[str, Any] | None = None
    restarts: int = 0  # of the whole run, by a launcher
    restarted: dict[str, Any] | None = None  # the newest restarted event, of whatever attempt
    job: str | None = None  # the SLURM job that has the run now, or an allocation that its ranks were started in
    is_submitted: bool = False  # the job is the run's own, which may be requeued; not somebody's allocation
    queued: dict[str, Any] | None = None  # the submitted or requeued event that no start has followed yet

    def on_event(self, record: Mapping[str, Any]) -> None:
        """Take one event."""
        if self._is_of_an_earlier_job(record):
            return
        self.updated_at = float(record.get("time", 0.0))
        if record["event"] in (events.ATTEMPT_LAUNCHED, events.ATTEMPT_STARTED):
            # after the launcher's last word, ranks are started by hand, under the number of the last start
            self._start_attempt(int(record.get("attempt", self.attempt + 1)), again=self.exited is not None)
        handler = _HANDLERS.get(str(record["event"]))
        if handler is not None:
            handler(self, dict(record))

    def on_metric(self, record: Mapping[str, Any]) -> None:
        """Take one line of metrics.jsonl."""
        self.updated_at = float(record.get("time", 0.0))
        numbers = {key: float(value) for key, value in record.items() if isinstance(value, (int, float))}
        self.step = int(numbers.get("step", self.step))
        self.epoch = int(numbers.get("epoch", self.epoch))
        self.epoch_step = int(numbers.get("epoch_step", self.epoch_step if record.get("kind") != "epoch" else 0))
        self.epochs = int(numbers.get("epochs", self.epochs))
        self.images_per_s = numbers.get("images_per_s", self.images_per_s)
        self.training.update({key: value for key, value in numbers.items() if key.startswith("train/")})
        if record.get("kind") == "eval":
            self.metrics = {key: value for key, value in numbers.items() if "/" in key}
        if record.get("kind") == "epoch":
            self.gpus = {key: value for key, value in numbers.items() if key.startswith("gpu/")}
        if record.get("kind") in ("epoch", "eval"):
            self.epoch_step = self.steps_per_epoch

    def _start_attempt(self, attempt: int, *, again: bool) -> None:
        if again or attempt != self.attempt:
            self._begin_anew(attempt)

    def _is_of_an_earlier_job(self, record: Mapping[str, Any]) -> bool:
        """Whether it is the late word of a job that another submission has followed."""
        job = events.job_of(record) if record["event"] in _LATE_WORDS else None
        return job is not None and self.is_submitted and job != self.job

    def _begin_anew(self, attempt: int) -> None:
        kept = Progress(attempt, epochs=self.epochs, epoch=self.epoch, step=self.step, metrics=self.metrics)
        kept.hours = self.hours
        kept.restarts, kept.restarted = self.restarts, self.restarted
        kept.updated_at, kept.job, kept.is_submitted = self.updated_at, self.job, self.is_submitted
        vars(self).update(vars(kept))

    @property
    def is_training(self) -> bool:
        """Whether this attempt got past its set-up."""
        return self.started_at is not None

    @property
    def goes_on(self) -> bool:
        """Whether the attempt has ended and its launcher said that it starts another one."""
        return self.exited is not None and bool(self.exited.get("goes_on"))

    @property
    def fraction(self) -> float:
        """Share of the run's epochs that is done, 0 to 1; of its time, where that ends it."""
        if self.hours:
            return min(1.0, self._trained_s(self.updated_at) / (self.hours * 3600))
        if not self.epochs or not self.epoch:
            return 0.0
        within = self.epoch_step / self.steps_per_epoch if self.steps_per_epoch else 0.0
        return min(1.0, (self.epoch - 1 + min(within, 1.0)) / self.epochs)

    def _trained_s(self, now: float | None) -> float:
        """Seconds of training and evaluation, earlier attempts included."""
        return 0.0 if self.started_at is None or now is None else self.clock_s + max(now - self.started_at, 0.0)

    def eta_s(self, now: float | None = None) -> float | None:
        """Seconds to the end at the pace of this attempt so far, evaluations included; None before there is a pace."""
        if self.started_at is not None and self.hours:
            return max(self.hours * 3600 - self._trained_s(now if now is not None else time.time()), 0.0)
        if self.started_at is None or not self.epochs:
            return None
        done = self.fraction - (self.first_epoch - 1) / self.epochs
        elapsed = (now if now is not None else time.time()) - self.started_at
        return elapsed / done * (1.0 - self.fraction) if done > 0 and elapsed > 0 else None

    @property
    def metric(self) -> tuple[str, float] | None:
        """The one number that tells best how good the model is so far."""
        for name in PREFERRED_METRICS:
            if name in self.metrics:
                return name, self.metrics[name]
        return next(((name, value) for name, value in self.metrics.items() if name.startswith("metrics/")), None)

    @property
    def where(self) -> str:
        """Hosts and devices: "node7: 2 × cuda"."""
        hosts: dict[str, list[str]] = {}
        for process in self.processes:
            hosts.setdefault(str(process.get("host", "?")), []).append(str(process.get("device", "cpu")).split(":")[0])
        if not hosts:
            return str(self.launcher.get("host", "")) if self.launcher else ""
        shown = [f"{host}: {len(devices)} × {devices[0]}" for host, devices in hosts.items()]
        return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")


def _submitted(progress: Progress, record: dict[str, Any]) -> None:
    if progress.launcher is not None and progress.exited is None and progress.job == events.job_of(record):
        progress.is_submitted = True  # an array's first points start before the submission of its last is on record
    else:
        _queued(progress, record)


def _queued(progress: Progress, record: dict[str, Any]) -> None:
    progress._begin_anew(progress.attempt)
    progress.job, progress.is_submitted, progress.queued = events.job_of(record), True, record
    progress.phase = "waiting in the queue"


def _launched(progress: Progress, record: dict[str, Any]) -> None:
    progress.launcher = record
    progress.phase = "starting"
    job = events.job_of(record)
    progress.job, progress.is_submitted, progress.queued = job, progress.is_submitted and job == progress.job, None


def _joined(progress: Progress, record: dict[str, Any]) -> None:
    if progress.launcher is None:  # ranks started by hand are no job's
        progress.job, progress.is_submitted, progress.queued = None, False, None
    progress.processes = list(record.get("processes", []))


def _phase(progress: Progress, record: dict[str, Any]) -> None:
    progress.phase = str(record.get("phase", ""))


def _training(progress: Progress, record: dict[str, Any]) -> None:
    progress.phase = ""
    progress.started_at = float(record.get("time", 0.0))
    progress.epochs = int(record.get("epochs", progress.epochs))
    progress.hours, progress.clock_s = record.get("hours"), float(record.get("clock_s", 0.0))
    progress.steps_per_epoch = int(record.get("steps_per_epoch", 0))
    progress.first_epoch = progress.epoch = int(record.get("epoch", 1))
    progress.step = int(record.get("step", progress.step))
    progress.epoch_step = 0
    progress.plan = str(record.get("plan", ""))


def _evaluated(progress: Progress, record: dict[str, Any]) -> None:
    metrics = record.get("metrics")
    if isinstance(metrics, dict):
        progress.metrics = {key: float(value) for key, value in metrics.items() if isinstance(value, (int, float))}


def _rescuing(progress: Progress, record: dict[str, Any]) -> None:
    progress.is_rescuing = True


def _saved(progress: Progress, record: dict[str, Any]) -> None:
    if record.get("reason") == "failure":
        progress.is_rescuing = False


def _warned(progress: Progress, record: dict[str, Any]) -> None:
    progress.is_rescuing = False  # if it fails, that is a warning
    progress.warnings.append(str(record.get("message", "")))


def _failed(progress: Progress, record: dict[str, Any]) -> None:
    if int(record.get("attempt", progress.attempt)) == progress.attempt:  # a node may be late with its word
        progress.failures.append(record)


def _stopped(progress: Progress, record: dict[str, Any]) -> None:
    if int(record.get("attempt", progress.attempt)) == progress.attempt:
        progress.stopped = record


def _cancelled(progress: Progress, record: dict[str, Any]) -> None:
    progress.cancelled = True


def _finished(progress: Progress, record: dict[str, Any]) -> None:
    progress.finished = True
    progress.phase = ""


def _restarted(progress: Progress, record: dict[str, Any]) -> None:
    progress.restarts += 1
    progress.restarted = record


def _regrouped(progress: Progress, record: dict[str, Any]) -> None:
    progress.phase = str(record.get("cause", ""))


def _exited(progress: Progress, record: dict[str, Any]) -> None:
    progress.exited = record


_LATE_WORDS = (events.REQUEUED, events.CANCELLED, events.FAILED, events.EXITED)
_HANDLERS = {
    events.SUBMITTED: _submitted,
    events.REQUEUED: _queued,
    events.ATTEMPT_LAUNCHED: _launched,
    events.ATTEMPT_STARTED: _joined,
    events.SETUP: _phase,
    events.TRAINING_STARTED: _training,
    events.RESCUING: _rescuing,
    events.CHECKPOINT_SAVED: _saved,
    events.EVALUATED: _evaluated,
    events.WARNING: _warned,
    events.FAILED: _failed,
    events.PREEMPTED: _stopped,
    events.CANCELLED: _cancelled,
    events.FINISHED: _finished,
    events.RESTARTED: _restarted,
    events.REGROUPED: _regrouped,
    events.EXITED: _exited,
}
