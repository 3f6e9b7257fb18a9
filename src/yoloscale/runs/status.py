"""What state a run is in: from its events, its result, and whether its processes live."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.goodput import starts_of, time_spent
from yoloscale.runs.liveness import is_alive
from yoloscale.runs.progress import Progress
from yoloscale.runs.tail import Tail

RECENT_BYTES = 65536
_ENDED = {75: "preempted", 130: "cancelled"}  # exit codes of the launcher (DESIGN: a contract)
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

    def as_json(self) -> dict[str, Any]:
        """For `-o json`; keys are stable."""
        return asdict(self)

    @property
    def is_active(self) -> bool:
        """Whether somebody is working on it."""
        return self.state in ACTIVE


def read_progress(run: RunDirectory) -> Progress:
    """Everything events.jsonl tells, and the recent part of metrics.jsonl, in the order in which it happened."""
    return _progress(run, Tail(run.events).new())


def _progress(run: RunDirectory, history: Sequence[dict[str, Any]]) -> Progress:
    progress = Progress()
    numbers = Tail(run.metrics, last_bytes=RECENT_BYTES).new()
    for record in heapq.merge(history, numbers, key=lambda entry: float(entry.get("time", 0.0))):
        (progress.on_event if "event" in record else progress.on_metric)(record)
    return progress


def status(run: RunDirectory) -> Status:
    """The state of a run directory, now."""
    history = Tail(run.events).new()
    progress = _progress(run, history)
    result = read_result(run)
    if result is not None:
        progress.metrics = {key: float(value) for key, value in (result.get("metrics") or {}).items()}
    state = _state(progress, has_result=result is not None)
    metric = progress.metric
    return Status(
        name=run.name,
        path=str(run.path),
        state=state,
        phase=progress.phase if state in ACTIVE else "",
        attempt=progress.attempt,
        epoch=int(result.get("epochs", progress.epoch)) if result else progress.epoch,
        epochs=progress.epochs,
        step=progress.step,
        metric_name=metric[0] if metric else None,
        metric=metric[1] if metric else None,
        images_per_s=(result or {}).get("images_per_s") or progress.images_per_s,
        eta_s=progress.eta_s() if state == "running" else None,
        where=progress.where,
        error=_error(progress) if state == "failed" else None,
        failed_rank=_cause(progress).get("rank") if state == "failed" else None,
        failed_log=_failed_log(run, progress) if state == "failed" else None,
        updated_at=progress.updated_at,
        metrics=progress.metrics,
        restarts=progress.restarts,
        restart_cause=str(progress.restarted.get("cause", "")) if progress.restarted else None,
        **_times(run, history, progress, result or {}, is_active=state in ACTIVE),
    )


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
        host, pid = str(progress.launcher["host"]), int(progress.launcher["pid"])
        return host, pid, is_alive(host, pid, float(progress.launcher["time"]))
    if progress.processes and progress.updated_at is not None:
        first = progress.processes[0]
        host, pid = str(first["host"]), int(first["pid"])
        return host, pid, is_alive(host, pid, progress.updated_at)
    return None


def _times(
    run: RunDirectory, history: Sequence[dict[str, Any]], progress: Progress, result: dict[str, Any], *, is_active: bool
) -> dict[str, Any]:
    """`time_s` and `goodput`: those of the result, else until now, or until the last word or sign of life of a run."""
    if "time_s" in result:
        return {"time_s": result["time_s"], "goodput": result.get("goodput")}
    found = starts_of(run, history)
    if not found:
        return {}
    until = time.time() if is_active else found[-1].ended or progress.updated_at or found[-1].seen
    spent = time_spent(found, until, goes_on=is_active)
    return {"time_s": spent.as_json(), "goodput": round(spent.goodput, 4)}


def _state(progress: Progress, *, has_result: bool) -> str:
    if progress.finished or has_result:  # the result is written last: only the word that says so is missing
        return "finished"
    if progress.exited is not None and not progress.goes_on:
        return _ENDED.get(int(progress.exited.get("exit_code", 1)), "failed")
    if _is_looked_after(progress):
        return _active_state(progress)
    if progress.cancelled:
        return "cancelled"
    if progress.stopped is not None:
        return "preempted"
    return "pending" if progress.attempt == 0 else "failed"


def _active_state(progress: Progress) -> str:
    if progress.goes_on:
        return "restarting"
    if progress.is_training:
        return "running"
    if progress.attempt > 1:
        return "restarting"
    return "running" if progress.processes else "pending"


def _is_looked_after(progress: Progress) -> bool:
    launcher = live_launcher(progress)
    return launcher is not None and launcher[2] is not False


def _cause(progress: Progress) -> dict[str, Any]:
    """Why the launcher gave up, or the first failure that says more than that another rank is gone; empty without."""
    return min(progress.failures, key=_order_of_blame, default={})


def _failed_log(run: RunDirectory, progress: Progress) -> str | None:
    """The log of an earlier attempt, if the failure is from there; otherwise that of the rank in the newest one."""
    failure = _cause(progress)
    if failure.get("log") or failure.get("rank") is None:
        return failure.get("log")
    return str(run.rank_log(progress.attempt, int(failure["rank"])).relative_to(run.path))


def _order_of_blame(record: dict[str, Any]) -> tuple[bool, bool]:
    return not record.get("gave_up"), bool(record.get("collateral"))


def _error(progress: Progress) -> str:
    if failure := _cause(progress):
        where = f"rank {failure['rank']} on {failure.get('host', '?')}: " if failure.get("rank") is not None else ""
        return where + str(failure.get("error", "failed"))
    if progress.exited is None or progress.goes_on:
        return LOST
    return f"the job exited with {progress.exited.get('exit_code')}"


def weights_of(run: RunDirectory) -> Path | None:
    """The best weights so far, if there are any."""
    return run.best_weights if run.best_weights.exists() else None
