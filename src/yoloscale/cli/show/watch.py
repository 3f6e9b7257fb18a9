"""Running a locked run: here with a display, or in the background. Shared by `train` and `resume`."""

from __future__ import annotations

import shlex
import sys

from yoloscale.backends.run_lock import LockedRun
from yoloscale.cli.show.ending import print_ending, shown
from yoloscale.config.schema import RunConfig
from yoloscale.exit_codes import FINISHED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory


def announce(config: RunConfig, run: RunDirectory, attempt: int) -> None:
    """The plan and where to look, before anything starts."""
    from yoloscale.config.plan import describe

    print(f"run   {shown(run.path)}")
    print(f"plan  {describe(config)}")
    print(f"logs  {shown(run.attempt_logs(attempt))}", flush=True)


def run_watched(locked_run: LockedRun) -> int:
    """Run a locked run here with a display; its exit code."""
    from yoloscale.agent.attempt import Observer
    from yoloscale.cli.show.display import Display
    from yoloscale.launch.here import run_here

    before = events.last_attempt(events.history(locked_run.run))
    announce(locked_run.config, locked_run.run, before + 1)
    with Display(locked_run.run, since_attempt=before) as display:
        outcome = run_here(locked_run, Observer(display.watch, display.say))
    print_ending(locked_run.run, outcome)
    return outcome.exit_code


def run_detached(locked_run: LockedRun) -> int:
    """Hand a locked run to a supervisor and say how to follow it."""
    from yoloscale.launch.here import run_in_background

    announce(locked_run.config, locked_run.run, events.last_attempt(events.history(locked_run.run)) + 1)
    run_in_background(locked_run)
    path = shown(locked_run.run.path)
    print(f"runs in the background: {shlex.quote(locked_run.run.name)}")
    print(f"  yoloscale logs {path} -f\n  yoloscale status {path}\n  yoloscale cancel {path}")
    return FINISHED


def say(line: str) -> None:
    """Progress of the preparation."""
    print(line, file=sys.stderr, flush=True)
