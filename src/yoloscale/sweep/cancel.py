"""Stopping the points of a sweep: those that wait leave the queue at once, those that train save first."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from yoloscale.backends import registry
from yoloscale.backends.status import status, statuses
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch.cancel import cancel
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.endings import record_cancel
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep import launchers
from yoloscale.sweep.launchers import SweepLauncher
from yoloscale.sweep.search.submit import queued
from yoloscale.system.waiting import wait_until

POLL_S = 3.0  # each time a scheduler is asked
LOCAL_POLL_S = 0.2


def cancel_points(sweep: SweepDirectory, *, at_once: bool = False, timeout_s: float = 120.0) -> tuple[int, int]:
    """Cancel all that are queued or running, and wait; how many there were, and how many of them have not ended yet.

    Launchers of the sweep that train its points on machines start no other. `at_once`: a scheduler ends those that
    train, too, and lets them live for as long as it does (KillWait of SLURM); on this machine they are killed. Raises
    ConfigError if there is nothing to cancel, or a scheduler does not answer.
    """
    here, points = launchers.alive(sweep), sweep.runs()  # read once: those of a search become more
    active = [(run, found) for run, found in zip(points, statuses(points), strict=True) if found.is_taken]
    asking = [*queued(sweep).values()]
    if not active and not here and not asking:
        raise ConfigError(Problem("SWEEP", f"{sweep.name!r}: nothing of it is queued or runs", "`yoloscale status`"))
    deadline = time.monotonic() + timeout_s
    for launcher in here:
        launcher.request.touch()
    waiting = [(run, found.job) for run, found in active if found.job is not None and found.state == "pending"]
    training = [(run, found.job) for run, found in active if found.job is None or found.state != "pending"]
    with _frozen(here) if at_once else nullcontext():
        for run, job in training:  # on record first: launchers look there for why they are stopped
            if at_once and job is None:
                _kill(run)
                continue
            events.append(run, events.Cancelled())
            if not at_once:
                run.stop_request.touch()
    registry.cancel(asking)
    registry.cancel([job for _, job in [*waiting, *(training if at_once else [])] if job is not None])
    for run, job in waiting:
        record_cancel(run, job)
    runs = [run for run, _ in active]
    poll_s = POLL_S if any(found.job is not None for _, found in active) else LOCAL_POLL_S
    wait_until(lambda: not (_active(runs) or launchers.alive(sweep)), deadline - time.monotonic(), poll_s)
    return len(active) + len(asking), _active(runs)


def _active(runs: Sequence[RunDirectory]) -> int:
    return sum(found.is_active for found in statuses(runs))


@contextmanager
def _frozen(here: Sequence[SweepLauncher]) -> Iterator[None]:
    """Within, these launchers start no other point, and do not see theirs die; then they are killed, come what may."""
    for launcher in here:
        launcher.freeze()
    try:
        yield
    finally:
        for launcher in here:
            launcher.kill()


def _kill(run: RunDirectory) -> None:
    """As `yoloscale cancel RUN --now`, if it still goes on."""
    try:
        cancel(run, at_once=True)
    except ConfigError:
        if status(run).is_active:
            raise
