"""How far a run has come: a fold over its events and metrics, the same for `status`, `runs` and the live display."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yoloscale.config.tasks import MAIN_METRICS
from yoloscale.runs import events
from yoloscale.runs.images import Images

_LATE_WORDS = (events.Requeued, events.Cancelled, events.Failed, events.Exited)


@dataclass
class Progress:
    """What is known so far of the newest attempt; feed it records in the order they were written."""

    attempt: int = 0
    kind: str = "train"  # what the run does, as far as its events tell
    phase: str = ""  # of the set-up; empty once training
    processes: Sequence[events.Process] = ()
    world_size: int = 0  # of the attempt; late ranks come on top
    late_ranks: frozenset[tuple[int, int]] = frozenset()  # attempts and ranks that came on top of an attempt's own
    launcher: events.AttemptLaunched | None = None
    plan: str = ""
    images: Images | None = None  # of a run that predicts or evaluates, once it does; None: it trains
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
    failures: list[events.Failed] = field(default_factory=list)
    is_rescuing: bool = False  # after a failure, what was done before it is being saved
    stopped: events.Preempted | None = None
    cancelled: bool = False
    finished: bool = False
    exited: events.Exited | None = None
    restarts: int = 0  # of the whole run, by a launcher
    restarted: events.Restarted | None = None  # the newest, of whatever attempt
    job: str | None = None  # the job that has the run now, or an allocation that its ranks were started in
    is_submitted: bool = False  # the job is the run's own, which may be requeued; not somebody's allocation
    queued: events.Submitted | events.Requeued | None = None  # that no start has followed yet

    def take(self, told: Iterable[events.Event], metrics: Iterable[Mapping[str, Any]]) -> None:
        """Take events and lines of metrics.jsonl in the order in which they happened."""
        for entry in events.in_order(told, metrics):
            if isinstance(entry, events.Event):
                self.on_event(entry)
            else:
                self.on_metric(entry)

    def on_event(self, event: events.Event) -> None:
        """Take one event."""
        if self._is_of_an_earlier_job(event):
            return
        self.updated_at = event.time
        if isinstance(event, (events.AttemptLaunched, events.AttemptStarted)):
            self._start(event.attempt)
        match event:
            case events.Submitted():
                self._on_submission(event)
            case events.Requeued() if not self._is_of_another_launcher(event):
                self._queue(event)
            case events.AttemptLaunched():
                self._launch(event)
            case events.AttemptStarted():
                if self.launcher is None:  # ranks started by hand are no job's
                    self.job, self.is_submitted, self.queued = None, False, None
                self.processes, self.world_size = self._joined(event.processes), event.world_size
            case events.Joined() if event.attempt == self.attempt:
                mine = events.Process(event.rank, event.host, event.pid, event.device, event.cpus)
                self.processes = self._joined((mine,))
            case events.LateLaunched():
                self.late_ranks |= {(event.attempt, rank) for rank in event.ranks}
            case events.Setup():
                self.phase = event.phase
            case events.TrainingStarted():
                self._begin_training(event)
            case events.PredictionStarted():
                self.kind = "predict"
                self._begin_images(event, event.images_done, event.units_done)
            case events.EvaluationStarted():
                self.kind = "val"
                self._begin_images(event, 0, 0)
            case events.Rescuing():
                self.is_rescuing = True
            case events.CheckpointSaved(reason="failure"):
                self.is_rescuing = False
            case events.Evaluated():
                self.metrics = {key: float(value) for key, value in event.metrics.items() if _is_number(value)}
            case events.Warned() | events.RolledBack():
                self.is_rescuing = False  # if it fails, that is a warning
                self.warnings.append(event.message)
            case events.Failed() if self._is_of_a_late_rank(event):
                self.warnings.append(event.text)
            case events.Failed() if event.attempt == self.attempt:  # a node may be late with its word
                self.failures.append(event)
            case events.Preempted() if event.attempt == self.attempt:
                self.stopped = event
            case events.Cancelled():
                self.cancelled = True
            case events.Finished():
                self.finished = True
                self.phase = ""
            case events.Restarted():
                self.restarts += 1
                self.restarted = event
            case events.Regrouped():
                self.phase = event.cause
            case events.Exited():
                self.exited = event

    def on_metric(self, record: Mapping[str, Any]) -> None:
        """Take one line of metrics.jsonl."""
        self.updated_at = float(record.get("time", 0.0))
        numbers = {key: float(value) for key, value in record.items() if _is_number(value)}
        self.step = int(numbers.get("step", self.step))
        self.epoch = int(numbers.get("epoch", self.epoch))
        self.epoch_step = int(numbers.get("epoch_step", self.epoch_step if record.get("kind") != "epoch" else 0))
        self.epochs = int(numbers.get("epochs", self.epochs))
        self.images_per_s = numbers.get("images_per_s", self.images_per_s)
        if record.get("kind") == "progress":
            self._on_images(record)
        self.training.update({key: value for key, value in numbers.items() if key.startswith("train/")})
        if record.get("kind") == "eval":
            self.metrics = {key: value for key, value in numbers.items() if "/" in key}
        if record.get("kind") == "epoch":
            self.gpus = {key: value for key, value in numbers.items() if key.startswith("gpu/")}
        if record.get("kind") in ("epoch", "eval"):
            self.epoch_step = self.steps_per_epoch

    def _start(self, attempt: int) -> None:
        # after the launcher's last word, ranks are started by hand, under the number of the last start
        if attempt != self.attempt or self.exited is not None:
            self._begin_anew(attempt)

    def _on_submission(self, event: events.Submitted) -> None:
        if self.launcher is not None and self.exited is None and _are_of_one(self.job, event.job):
            self.is_submitted = True  # an array's first elements start before its submission is on record
        else:
            self._queue(event)

    def _queue(self, event: events.Submitted | events.Requeued) -> None:
        self._begin_anew(self.attempt)
        self.job, self.is_submitted, self.queued = event.job, True, event
        self.phase = "waiting in the queue"

    def _launch(self, event: events.AttemptLaunched) -> None:
        job = events.job_of(event)
        self.job, self.is_submitted, self.queued = job, self.is_submitted and _are_of_one(job, self.job), None
        self.launcher = event
        self.phase = "starting"

    def _begin_training(self, event: events.TrainingStarted) -> None:
        self.phase = ""
        self.plan = event.plan
        self.started_at = event.time
        self.epochs = event.epochs
        self.hours, self.clock_s = event.hours, event.clock_s
        self.steps_per_epoch = event.steps_per_epoch
        self.first_epoch = self.epoch = event.epoch
        self.step, self.epoch_step = event.step, 0

    def _begin_images(
        self, event: events.PredictionStarted | events.EvaluationStarted, images_done: int, step: int
    ) -> None:
        self.phase = ""
        self.plan = event.plan
        self.started_at = event.time
        self.step = max(step, self.step)
        self.images = self.images or Images()
        keeps = isinstance(event, events.PredictionStarted)  # an evaluation begins from its first image again
        self.images.begin(event.images, images_done, keeps=keeps)

    def _on_images(self, record: Mapping[str, Any]) -> None:
        self.images = self.images or Images()
        self.images.take(record)
        self.images_per_s = self.images.per_s

    def _joined(self, processes: Sequence[events.Process]) -> Sequence[events.Process]:
        """All processes of the attempt, by rank: those of a prediction say it one by one, in any order."""
        known = {process.rank: process for process in (*self.processes, *processes)}
        return tuple(known[rank] for rank in sorted(known))

    def _is_of_a_late_rank(self, event: events.Failed) -> bool:
        """Whether it failed without the attempt: others do its unit."""
        is_beyond = self.kind == "predict" and event.rank is not None and event.rank >= self.world_size > 0
        return is_beyond or (event.attempt, event.rank) in self.late_ranks

    def _is_of_another_launcher(self, event: events.Requeued) -> bool:
        """Whether the job that starts again is not the launcher's: an element of an array whose ranks came late."""
        job = events.job_of(self.launcher) if self.launcher is not None else None
        return job is not None and job != event.job

    def _is_of_an_earlier_job(self, event: events.Event) -> bool:
        """Whether it is the late word of a job that another submission has followed."""
        job = events.job_of(event) if isinstance(event, _LATE_WORDS) else None
        return job is not None and self.is_submitted and job != self.job

    def _begin_anew(self, attempt: int) -> None:
        of_the_run = ("kind", "epochs", "hours", "epoch", "step", "metrics", "updated_at", "restarts", "restarted")
        values = {name: getattr(self, name) for name in (*of_the_run, "images", "late_ranks", "job", "is_submitted")}
        vars(self).update(vars(Progress(attempt, **values)))

    @property
    def is_training(self) -> bool:
        """Whether this attempt got past its set-up, and trains, predicts or evaluates."""
        return self.started_at is not None

    @property
    def goes_on(self) -> bool:
        """Whether the attempt has ended and its launcher said that it starts another one."""
        return self.exited is not None and self.exited.goes_on

    @property
    def fraction(self) -> float:
        """Share of the run's epochs or images that is done, 0 to 1; of its time, where that ends it."""
        if self.images is not None:
            return self.images.fraction
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
        if self.images is not None:
            now = time.time() if now is None else now
            return None if self.started_at is None else self.images.left_s(now - self.started_at)
        if self.started_at is not None and self.hours:
            return max(self.hours * 3600 - self._trained_s(now if now is not None else time.time()), 0.0)
        if self.started_at is None or not self.epochs:
            return None
        share = self.fraction - (self.first_epoch - 1) / self.epochs
        elapsed = (now if now is not None else time.time()) - self.started_at
        return elapsed / share * (1.0 - self.fraction) if share > 0 and elapsed > 0 else None

    @property
    def metric(self) -> tuple[str, float] | None:
        """The one number that tells best how good the model is so far."""
        for name in MAIN_METRICS:
            if name in self.metrics:
                return name, self.metrics[name]
        return next(((name, value) for name, value in self.metrics.items() if name.startswith("metrics/")), None)

    @property
    def where(self) -> str:
        """Hosts and devices: "node7: 2 × cuda"."""
        hosts: dict[str, list[str]] = {}
        for process in self.processes:
            hosts.setdefault(process.host or "?", []).append((process.device or "cpu").split(":")[0])
        if not hosts:
            return self.launcher.host if self.launcher else ""
        parts = [f"{host}: {len(devices)} × {devices[0]}" for host, devices in hosts.items()]
        return ", ".join(parts[:4]) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")


def _are_of_one(job: str | None, other: str | None) -> bool:
    """Whether two jobs are one, or elements of one array, any of which may have the run."""
    return job is not None and events.array_of(job) == events.array_of(other)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))
