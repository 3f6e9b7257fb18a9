"""What state a run is in: from its events and result, whether its processes live, and what a scheduler says of it.

The first line that holds:

| what there is | state |
| --- | --- |
| result.json, or `finished` | finished |
| a job whose scheduler has a say in it | that of queue_state.py, unless it leaves it to the lines below |
| `exited`, after which nothing goes on | preempted (code 75), cancelled (130), failed (others) |
| a launcher that lives, or is on another machine | running, restarting or pending: queue_state.active |
| `cancelled` | cancelled |
| `preempted` | preempted |
| no attempt yet | pending |
| nothing of these | failed: the processes are gone without a word |
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from yoloscale.exit_codes import INTERRUPTED, STOPPED
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import Event, EventTail, Failed
from yoloscale.runs.goodput import starts_of, time_spent
from yoloscale.runs.jobs import Answer, Ask, Job, NoAnswer, nobody, output_of
from yoloscale.runs.progress import Progress
from yoloscale.runs.queue_state import RunState, active, asks, state_of
from yoloscale.runs.tail import Tail
from yoloscale.system.liveness import is_alive

RECENT_BYTES = 65536
_ENDED = {STOPPED: "preempted", INTERRUPTED: "cancelled"}
ACTIVE = ("pending", "running", "restarting")
LOST = "its processes are gone without a word (killed from outside, out of memory, or the machine went down)"


@dataclass(frozen=True)
class Status:
    """One run at one moment. `state` is one of: pending running preempted restarting finished failed cancelled."""

    name: str
    path: str
    state: str
    phase: str
    attempt: int
    epoch: int
    epochs: int
    step: int
    metric_name: str | None
    metric: float | None
    images_per_s: float | None
    eta_s: float | None
    where: str
    error: str | None
    failed_rank: int | None
    failed_log: str | None  # below the run directory
    updated_at: float | None  # seconds since the epoch
    metrics: dict[str, float]
    time_s: dict[str, float] | None = None  # by share of runs/goodput.py; None before the first start
    goodput: float | None = None  # training / total of these
    restarts: int = 0  # after failures
    restart_cause: str | None = None  # of the newest restart
    job: str | None = None  # the scheduler's id of the newest one; ARRAY_TASK for an element of an array
    gpus: dict[str, float] | None = None  # gpu/* of the newest epoch; None on CPUs, and before an epoch is done
    hours: float | None = None  # `time=`, by which it ends: `epochs` is what will fit then, 0 before that is known
    kind: str = "train"  # what the run does: a name in config/kinds.py
    images: int | None = None  # of a run that predicts or evaluates, once they are counted; None: it trains
    images_done: int | None = None
    scheduler: str | None = None  # why it has no say in `state`, in its own words; None where it was not needed

    def as_json(self) -> dict[str, Any]:
        """For `-o json`; keys are stable."""
        return asdict(self)

    @property
    def is_active(self) -> bool:
        """Whether somebody is working on it."""
        return self.state in ACTIVE

    @property
    def is_lost(self) -> bool:
        """Whether it ended without a word: shown as failed, though a machine that went down is no fault of the run."""
        return self.state == "failed" and self.error == LOST

    @property
    def has_failed(self) -> bool:
        """Whether it failed by a fault of its own, so that another start of the same would fail again."""
        return self.state == "failed" and not self.is_lost

    @property
    def is_taken(self) -> bool:
        """Whether somebody works on it, or has submitted it; a run that was only frozen is pending, too."""
        return self.is_active and (self.job is not None or self.attempt > 0)


def read_progress(run: RunDirectory, told: EventTail | None = None) -> Progress:
    """Everything that the events tell, and the recent part of metrics.jsonl, in the order in which it happened.

    `told`: what has been read of the events so far, for who looks again and again.
    """
    return _progress(run, (told or EventTail(run)).history())


def _progress(run: RunDirectory, history: Sequence[Event]) -> Progress:
    progress = Progress()
    progress.take(history, Tail(run.metrics, last_bytes=RECENT_BYTES).new())
    return progress


def status(run: RunDirectory, asked: Ask, told: EventTail | None = None) -> Status:
    """The state of a run directory, now. `asked`: whom to ask for its job; `nobody` costs nothing.

    `told`: what has been read of the events so far, for who looks again and again.
    """
    return _statuses([_read(run, told or EventTail(run))], asked)[0]


def statuses(runs: Sequence[RunDirectory], asked: Ask) -> list[Status]:
    """The states of runs, in their order, for which a scheduler is asked once at most."""
    return _statuses([_read(run, EventTail(run)) for run in runs], asked)


def _statuses(read: Sequence[_Read], asked: Ask) -> list[Status]:
    answer = asked({str(entry.progress.job) for entry in read if entry.asks})
    return [_status(*_with_job(entry, answer)) for entry in read]


def _with_job(read: _Read, answer: Answer) -> tuple[_Read, Job | NoAnswer | None]:
    """What files and scheduler tell. A job that is over may have had its last word while the scheduler was asked."""
    if not read.asks:
        return read, None
    asked_for = str(read.progress.job)
    job = answer.of(asked_for)
    if isinstance(job, NoAnswer) or (job is not None and not job.is_over):
        return read, job
    again = _read(read.run, read.told)
    return again, job if str(again.progress.job) == asked_for else NoAnswer()


def is_finished(run: RunDirectory) -> bool:
    """Whether there is nothing left to train."""
    return status(run, nobody).state == "finished"


@dataclass(frozen=True)
class _Read:
    """What the files of a run tell."""

    run: RunDirectory
    told: EventTail
    history: list[Event]
    progress: Progress
    result: dict[str, Any] | None

    @property
    def asks(self) -> bool:
        return self.result is None and asks(self.progress)


def _read(run: RunDirectory, told: EventTail) -> _Read:
    history = told.history()
    progress, result = _progress(run, history), read_result(run)
    if result is not None:
        progress.metrics = {key: float(value) for key, value in (result.get("metrics") or {}).items()}
    return _Read(run, told, history, progress, result)


def _status(read: _Read, job: Job | NoAnswer | None) -> Status:
    run, progress, result = read.run, read.progress, read.result or {}
    run_state = _told(read, job)
    is_active, has_failed, metric = run_state.state in ACTIVE, run_state.state == "failed", progress.metric
    cause, images = _cause(progress), progress.images
    return Status(
        name=run.name,
        path=str(run.path),
        state=run_state.state,
        phase=run_state.phase if is_active else _ending(result),
        attempt=progress.attempt,
        epoch=int(result.get("epochs", progress.epoch)),
        epochs=progress.epochs,
        step=progress.step,
        metric_name=metric[0] if metric else None,
        metric=metric[1] if metric else None,
        images_per_s=result.get("images_per_s") or progress.images_per_s,
        eta_s=progress.eta_s() if run_state.state == "running" else None,
        where=progress.where or (job.nodes if isinstance(job, Job) else ""),
        error=_error(progress, run_state) if has_failed else run_state.error,
        failed_rank=cause.rank if has_failed and cause is not None else None,
        failed_log=_failed_log(run, progress) if has_failed else None,
        updated_at=progress.updated_at,
        metrics=progress.metrics,
        restarts=progress.restarts,
        restart_cause=progress.restarted.cause if progress.restarted else None,
        job=progress.job,
        gpus=progress.gpus or None,
        hours=progress.hours,
        kind=run.kind,
        images=result.get("images", images.total if images is not None else None),
        images_done=result.get("images", images.done if images is not None else None),
        scheduler=(job.words or None) if isinstance(job, NoAnswer) else None,
        **_times(read, is_active=is_active),
    )


def _ending(result: dict[str, Any]) -> str:
    """What is to be said of a run beside that it is finished."""
    return f"pruned after epoch {result.get('epochs')}" if result.get("pruned") else ""


def read_result(run: RunDirectory) -> dict[str, Any] | None:
    """result.json, which is there once a run has finished."""
    try:
        result = json.loads(run.result.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return result if isinstance(result, dict) else None


def live_launcher(progress: Progress) -> tuple[str, int, bool | None] | None:
    """Host, pid and liveness (None: another machine) of what looks after the newest attempt; None if nobody ever did.

    A job started by hand with torchrun or srun has no launcher of ours; its first rank stands in.
    """
    if progress.launcher is not None:
        host, pid = progress.launcher.host, progress.launcher.pid
        return host, pid, is_alive(host, pid, progress.launcher.time)
    if progress.processes and progress.updated_at is not None:
        first = progress.processes[0]
        return first.host, first.pid, is_alive(first.host, first.pid, progress.updated_at)
    return None


def _times(read: _Read, *, is_active: bool) -> dict[str, Any]:
    """`time_s` and `goodput`: those of the result, else until now, or until the last word or sign of life of a run."""
    result = read.result or {}
    if "time_s" in result:
        return {"time_s": result["time_s"], "goodput": result.get("goodput")}
    attempts = starts_of(read.run, read.history)
    if not attempts:
        return {}
    until = time.time() if is_active else attempts[-1].ended or read.progress.updated_at or attempts[-1].seen
    spent = time_spent(attempts, until, goes_on=is_active)
    return {"time_s": spent.as_json(), "goodput": round(spent.goodput, 4)}


def _told(read: _Read, job: Job | NoAnswer | None) -> RunState:
    progress = read.progress
    if progress.finished or read.result is not None:  # which is written last: only the word is missing
        return RunState("finished")
    launcher = live_launcher(progress)
    by_job = state_of(progress, job, lives=launcher[2] if launcher is not None else None) if read.asks else None
    if by_job is not None:
        return by_job
    if progress.exited is not None and not progress.goes_on:
        return RunState(_ENDED.get(progress.exited.exit_code, "failed"))
    if launcher is not None and launcher[2] is not False:
        return active(progress)
    if progress.cancelled:
        return RunState("cancelled")
    if progress.stopped is not None:
        return RunState("preempted")
    return RunState("pending") if progress.attempt == 0 else RunState("failed", error=LOST)


def _cause(progress: Progress) -> Failed | None:
    """Why the launcher gave up, or the first failure that says more than that another rank is gone; None without."""
    return min(progress.failures, key=lambda event: (not event.gave_up, event.collateral), default=None)


def _failed_log(run: RunDirectory, progress: Progress) -> str | None:
    """That of an earlier attempt, if the failure is from there; that of the rank, or of the job where none began."""
    failure = _cause(progress)
    if failure is not None and failure.log:
        return failure.log
    if failure is None or failure.rank is None:
        output = output_of(run, progress.job) if not progress.processes else None
        return os.path.relpath(output, run.path) if output is not None else None
    return str(run.rank_log(progress.attempt, failure.rank).relative_to(run.path))


def _error(progress: Progress, run_state: RunState) -> str:
    if failure := _cause(progress):
        return failure.text
    if run_state.error is not None:
        return run_state.error
    assert progress.exited is not None, "without a word, a run has failed for a reason that was told"
    return f"the job exited with {progress.exited.exit_code}"
