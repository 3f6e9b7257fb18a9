"""A locked run on this machine: watched to its end, or handed to a supervisor in the background."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from yoloscale.agent.attempt import Observer
from yoloscale.agent.attempts import run_attempts
from yoloscale.agent.outcome import Outcome
from yoloscale.backends import registry
from yoloscale.backends.run_lock import LockedRun, RunLock
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.events import EventTail
from yoloscale.runs.tail import last_lines
from yoloscale.system.liveness import is_alive
from yoloscale.system.processes import start_detached
from yoloscale.system.waiting import wait_until

BACKGROUND_START_S = 120.0  # Python comes from a file system that many share
POLL_S = 0.02


def run_here(taken: LockedRun, observer: Observer) -> Outcome:
    """Run a locked run to its end, restarts included, in this process's main thread, then let go of the run."""
    try:
        left_s = registry.job_time_left()
        return run_attempts(taken.run, taken.config, observer, left_s=left_s)
    finally:
        taken.release()


def run_in_background(taken: RunLock) -> int:
    """Hand a locked run to a supervisor that outlives this process and its terminal; the supervisor's pid.

    Returns when the supervisor has said in the events that it is there. The lock goes over to it without a gap.
    """
    run = taken.run
    log = run.supervisor_log
    before = events.last_attempt(events.history(run))
    argv = [sys.executable, "-m", "yoloscale.launch.supervise", str(run.path), str(taken.descriptor)]
    try:
        pid = start_detached(argv, log, keep_open=(taken.descriptor,))
    finally:
        taken.release()
    told = EventTail(run)
    wait_until_started("the supervisor", pid, log, lambda: events.last_attempt(told.history()) != before)
    return pid


def wait_until_started(what: str, pid: int, log: Path, has_started: Callable[[], bool]) -> None:
    """Wait for the word of a process in the background. Raises ConfigError with the end of its log if none comes."""
    host, now = socket.gethostname(), time.time()
    wait_until(lambda: has_started() or not is_alive(host, pid, now), BACKGROUND_START_S, POLL_S)
    if not has_started():
        log_end = "\n".join(last_lines(log, 20))
        raise ConfigError(Problem("--detach", f"{what} did not start:\n{log_end}", f"its log is {log}"))
