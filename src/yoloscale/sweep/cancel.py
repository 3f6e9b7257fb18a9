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
from yoloscale.runs.endings import record_cancel
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep import launchers
from yoloscale.sweep.launchers import SweepLauncher
from yoloscale.sweep.problems import attempt
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
    active = [(run, now) for run, now in zip(points, statuses(points), strict=True) if now.is_taken]
    asking = [*queued(sweep).values()]
    if not active and not here and not asking:
        raise ConfigError(Problem("SWEEP", f"{sweep.name!r}: nothing of it is queued or runs", "`yoloscale status`"))
    deadline = time.monotonic() + timeout_s
    for launcher in here:
        launcher.request.touch()
    waiting = [(run, now.job) for run, now in active if now.job is not None and now.state == "pending"]
    training = [(run, now.job) for run, now in active if now.job is None or now.state != "pending"]
    with _frozen(here) if at_once else nullcontext():
        for run, job in training:  # on record first: launchers look there for why they are stopped
            if at_once and job is None:  # as `yoloscale cancel RUN --now`, if it still goes on
                outcome = attempt(cancel, run, at_once=True)
                if isinstance(outcome, ConfigError) and status(run).is_active:
                    raise outcome
                continue
            events.append(run, events.Cancelled())
            if not at_once:
                run.stop_request.touch()
    registry.cancel(asking)
    registry.cancel([job for _, job in [*waiting, *(training if at_once else [])] if job is not None])
    for run, job in waiting:
        record_cancel(run, job)
    runs = [run for run, _ in active]
    poll_s = POLL_S if any(now.job is not None for _, now in active) else LOCAL_POLL_S
    left = len(runs)

    def have_ended() -> bool:
        nonlocal left
        left = sum(status.is_active for status in statuses(runs))
        return not left and not launchers.alive(sweep)

    wait_until(have_ended, deadline - time.monotonic(), poll_s)
    return len(active) + len(asking), left


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
