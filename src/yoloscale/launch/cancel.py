"""Stopping a run from outside: through its launcher, or through a file in its folder where that is on another host."""

from __future__ import annotations

import os
import signal

from yoloscale.agent import leftovers
from yoloscale.backends import registry
from yoloscale.backends.registry import RateLimited
from yoloscale.backends.status import status
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.events import EventTail
from yoloscale.runs.status import live_launcher, read_progress
from yoloscale.system.variables import MARK
from yoloscale.system.waiting import wait_until

POLL_S = 0.1
SCHEDULER_POLL_S = 1.0


def cancel(run: RunDirectory, *, at_once: bool = False, timeout_s: float = 120.0) -> bool:
    """Ask the run to stop, and wait; True once it has ended.

    `at_once` kills launcher and ranks without saving, on this host only. A run on another host is asked by RUN/STOP,
    which ranks and launcher look for; one of a scheduler loses its job, too, wherever that is. Raises ConfigError if it
    does not run, or cannot be stopped from here.
    """
    import psutil

    run, asked = owned(run), RateLimited(SCHEDULER_POLL_S)
    newest = status(run, asked)
    if newest.is_active and newest.job is not None:
        return registry.of_job(newest.job).cancel_run(run, asked, at_once=at_once, timeout_s=timeout_s)
    if not newest.is_active or newest.attempt == 0:
        raise ConfigError(
            Problem("RUN", f"{run.name!r} is {newest.state}: there is nothing to cancel", "`yoloscale runs`")
        )
    launcher = live_launcher(read_progress(run))
    assert launcher is not None, "an active run has somebody who looks after it"
    host, pid, is_here = launcher
    if is_here is None and at_once:
        raise ConfigError(Problem("--now", f"{run.name!r} runs on {host}", f"type the same command on {host}"))
    events.append(run, events.Cancelled())
    try:
        if at_once:
            _kill(pid)
        elif is_here is None:
            run.stop_request.touch()
        else:
            os.kill(pid, signal.SIGTERM)
    except (ProcessLookupError, psutil.NoSuchProcess):  # it ended by itself just now
        return True
    except PermissionError:
        raise ConfigError(Problem("RUN", f"process {pid} of {run.name!r} is not yours", "ask who started it")) from None
    told = EventTail(run)
    return wait_until(lambda: not status(run, told=told).is_active, timeout_s, POLL_S)


def _kill(pid: int) -> None:
    """Kill a launcher first, so that it starts nothing more, then every process with the mark of its job."""
    import psutil

    marks = set()
    for child in psutil.Process(pid).children(recursive=True):
        try:
            marks.add(child.environ().get(MARK))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    os.kill(pid, signal.SIGKILL)
    for mark in marks:
        if mark:
            leftovers.kill_all(mark)
