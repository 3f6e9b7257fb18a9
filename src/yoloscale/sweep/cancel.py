"""Stopping the points of a sweep: those that wait leave the queue at once, those that train save first."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.launch.slurm.record import record_cancel
from yoloscale.runs import events
from yoloscale.runs.slurm_commands import SlurmError, call
from yoloscale.runs.status import statuses
from yoloscale.runs.sweep_directory import SweepDirectory

POLL_S = 3.0  # each time SLURM is asked
AT_ONCE = 500  # ids on one command line


def cancel_points(sweep: SweepDirectory, *, at_once: bool = False, timeout_s: float = 120.0) -> tuple[int, int]:
    """Cancel all that are queued or running, and wait; how many there were, and how many of them have not ended yet.

    `at_once`: SLURM ends those that train, too, and lets them live for its KillWait. Raises ConfigError if there are
    none, or SLURM does not answer.
    """
    active = [(run, found) for run, found in zip(sweep.runs(), statuses(sweep.runs()), strict=True) if found.is_active]
    if not active:
        raise ConfigError(Problem("SWEEP", f"{sweep.name!r}: nothing of it is queued or runs", "`yoloscale status`"))
    leaving = [(run, found) for run, found in active if at_once or found.state == "pending"]
    _scancel(str(found.job) for _, found in leaving if found.job is not None)
    for run, found in active:
        if found.state == "pending":
            record_cancel(run, str(found.job))
        else:
            events.record(run, events.CANCELLED)
            if not at_once:
                run.stop_request.touch()
    runs, deadline = [run for run, _ in active], time.monotonic() + timeout_s
    while (left := sum(found.is_active for found in statuses(runs))) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return len(active), left


def _scancel(jobs: Iterable[str]) -> None:
    waiting = iter(jobs)
    while some := list(islice(waiting, AT_ONCE)):
        try:
            call(["scancel", *some])
        except SlurmError as error:
            raise ConfigError(Problem("scancel", error.said, "once SLURM answers, the same again")) from None
