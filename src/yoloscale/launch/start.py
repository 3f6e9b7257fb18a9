"""From a composed config to a run that goes on: here and watched, or in the background."""

from __future__ import annotations

import json
import shlex
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from yoloscale.agent import leftovers
from yoloscale.agent.attempt import Observer
from yoloscale.agent.attempts import run_attempts
from yoloscale.agent.monitor import TRAINING_STOP_S
from yoloscale.agent.outcome import Outcome
from yoloscale.agent.spec import WORKER
from yoloscale.config.check.train import validate
from yoloscale.config.freeze import load
from yoloscale.config.schema import Config
from yoloscale.config.typed_again import changed
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch import anew
from yoloscale.launch.move import done_by, move, moved_run
from yoloscale.launch.prepare import prepare
from yoloscale.launch.run_folder import Claim, claim, finished_problem, lock, named_run, refuse_if_taken
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.event_files import EventTail
from yoloscale.runs.status import is_finished
from yoloscale.runs.tail import last_lines
from yoloscale.system.liveness import is_alive
from yoloscale.system.processes import start_detached
from yoloscale.system.remarks import Say

SUPERVISOR_START_S = 30.0
LEFTOVERS_POLL_S = 0.2


def end_leftovers(run: RunDirectory, say: Say) -> None:
    """Let the ranks of a launcher that was killed save and end before others take the run up; on this machine only.

    The lock went with their launcher. Whoever is still there when a stop in order would be over is killed.
    A request to stop that nobody was left to honour is forgotten.
    """
    _await_leftovers(run, say)
    run.check()
    run.stop_request.unlink(missing_ok=True)


def _await_leftovers(run: RunDirectory, say: Say) -> None:
    try:
        record = json.loads(run.launch_record(events.last_attempt(events.history(run))).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return
    mark = f"{record['job_id']}-0"
    if not leftovers.processes_of(mark):
        return
    say("waiting for the ranks of a launcher that was killed to save and end")
    deadline = time.monotonic() + TRAINING_STOP_S
    while leftovers.processes_of(mark) and time.monotonic() < deadline:
        time.sleep(LEFTOVERS_POLL_S)
    leftovers.kill_all(mark)


def ready(config: Config, overrides: list[str], say: Say) -> Claim:
    """Prepare all that a new or taken-up run needs, then take its directory. Raises ConfigError."""
    if config.name is not None:
        refuse_if_taken(named_run(config, config.name), config)
    taken = claim(prepare(config, say), overrides, say)
    try:
        end_leftovers(taken.run, say)
    except BaseException:
        taken.release()
        raise
    return taken


def ready_again(run: RunDirectory, say: Say, changes: Sequence[str] = ()) -> Claim:
    """Take an unfinished run up where it stopped, with the config it was frozen with. Raises ConfigError.

    `changes` are settings as typed, to go on elsewhere or otherwise; they are frozen and put on record.
    """
    if is_finished(run):
        raise ConfigError(finished_problem(run, changes))
    wanted_again(run, changes)  # before anything is written into the folder, and again under the lock
    run.job.mkdir(exist_ok=True)
    taken = lock(run)
    try:
        end_leftovers(taken.run, say)
        wanted = prepared_again(run.path, wanted_again(run, changes), say)
        typed = [*anew.without(anew.typed_for(run), [anew.key_of(change) for change in changes]), *changes]
        move(taken.run, wanted, typed, say, by_resume=True)
    except BaseException:
        taken.release()
        raise
    return taken


def prepared_again(folder: Path, wanted: Config, say: Say) -> Config:
    """As `prepare`, for the run or sweep in a folder: what is wrong may be that the data lies elsewhere by now."""
    try:
        return prepare(wanted, say)
    except ConfigError as error:
        told = shlex.quote(str(folder))
        moved_data = f"if it lies elsewhere by now: yoloscale resume {told} data=PATH"
        raise ConfigError(
            [
                replace(problem, instead=f"{problem.instead}\n{moved_data}")
                if problem.key.partition(".")[0] == "data"
                else problem
                for problem in error.problems
            ]
        ) from error


def asked(run: RunDirectory, changes: Sequence[str]) -> Config:
    """What a run is asked to go on with: as it is frozen, but for changes as typed. Not validated, but for these."""
    frozen = load(run.config)
    if frozen.origin.folder is None:
        frozen = replace(frozen, origin=replace(frozen.origin, folder=_first_folder(run)))
    return changed(frozen, changes, lambda: anew.offer(run, changes), done_by(run)) if changes else frozen


def _first_folder(run: RunDirectory) -> str | None:
    """Where a run was started that was frozen by a version that did not put the folder down."""
    try:
        return str(json.loads(run.launch_record(1).read_text(encoding="utf-8"))["working_folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def wanted_again(run: RunDirectory, changes: Sequence[str]) -> Config:
    """What a run is to go on with. Raises ConfigError if it cannot, here or at all."""
    config = asked(run, changes)
    if problems := validate(config):  # this machine may have fewer GPUs than the one it was frozen on
        raise ConfigError(problems)
    return moved_run(run, config, by_resume=True)


def run_here(taken: Claim, observer: Observer, *, worker: str = WORKER) -> Outcome:
    """Run a claimed run to its end, restarts included, in this process's main thread, then let go of the run."""
    try:
        return run_attempts(taken.run, load(taken.run.config), observer, worker=worker)
    finally:
        taken.release()


def run_in_background(taken: Claim, *, worker: str = WORKER) -> int:
    """Hand a claimed run to a supervisor that outlives this process and its terminal; the supervisor's pid.

    Returns when the supervisor has said in the events that it is there. The lock goes over to it without a gap.
    """
    run = taken.run
    log = run.job / "supervisor.log"
    before = events.last_attempt(events.history(run))
    argv = [sys.executable, "-m", "yoloscale.backends.local.supervise", str(run.path), str(taken.descriptor), worker]
    try:
        pid = start_detached(argv, log, keep_open=(taken.descriptor,))
    finally:
        taken.release()
    _wait_until_launched(run, before, pid, log)
    return pid


def _wait_until_launched(run: RunDirectory, before: int, pid: int, log: Path) -> None:
    started, deadline = time.time(), time.monotonic() + SUPERVISOR_START_S
    told = EventTail(run)
    while events.last_attempt(told.history()) == before:
        if not is_alive(socket.gethostname(), pid, started) or time.monotonic() > deadline:
            said = "\n".join(last_lines(log, 20))
            raise ConfigError(Problem("--detach", f"the supervisor did not start:\n{said}", f"its log is {log}"))
        time.sleep(0.02)
