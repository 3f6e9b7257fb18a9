"""Stopping the points of a sweep: those that wait leave the queue at once, those that train save first."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.launch.slurm.record import record_cancel
from yoloscale.runs import events
from yoloscale.runs.slurm_commands import SlurmError, call
from yoloscale.runs.status import Status, statuses
from yoloscale.runs.sweep_directory import SweepDirectory

POLL_S = 3.0  # each time SLURM is asked
AT_ONCE = 500  # ids on one command line
GONE = "Invalid job id specified"


def cancel_points(sweep: SweepDirectory, *, at_once: bool = False, timeout_s: float = 120.0) -> tuple[int, int]:
    """Cancel all that are queued or running, and wait; how many there were, and how many of them have not ended yet.

    `at_once`: SLURM ends those that train, too, and lets them live for its KillWait. Raises ConfigError if there are
    none, or SLURM does not answer.
    """
    active = [(run, found) for run, found in zip(sweep.runs(), statuses(sweep.runs()), strict=True) if _is_taken(found)]
    if not active:
        raise ConfigError(Problem("SWEEP", f"{sweep.name!r}: nothing of it is queued or runs", "`yoloscale status`"))
    waiting = [(run, found.job) for run, found in active if found.job is not None and found.state == "pending"]
    training = [(run, found.job) for run, found in active if found.job is None or found.state != "pending"]
    for run, job in training:  # on record first: launchers look there for why they are stopped
        events.record(run, events.CANCELLED)
        if not at_once or job is None:
            run.stop_request.touch()
    _scancel(job for _, job in [*waiting, *(training if at_once else [])] if job is not None)
    for run, job in waiting:
        record_cancel(run, job)
    runs, deadline = [run for run, _ in active], time.monotonic() + timeout_s
    while (left := sum(found.is_active for found in statuses(runs))) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return len(active), left


def _is_taken(found: Status) -> bool:
    """Whether somebody has the point; one that was only frozen is pending, too."""
    return found.is_active and (found.job is not None or found.attempt > 0)


def _scancel(jobs: Iterable[str]) -> None:
    waiting = iter(jobs)
    while some := list(islice(waiting, AT_ONCE)):
        try:
            call(["scancel", *some])
        except SlurmError as error:
            if all(GONE in line for line in error.said.splitlines()):
                continue  # some have ended by themselves meanwhile; the others are cancelled
            raise ConfigError(Problem("scancel", error.said, "once SLURM answers, the same again")) from None
