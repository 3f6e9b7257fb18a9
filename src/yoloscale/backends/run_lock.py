"""The lock on a run directory, and whether somebody works on the run: no two launchers take one run."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from dataclasses import dataclass

from yoloscale.backends import registry
from yoloscale.backends.status import status
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.jobs import NoAnswer, label_of, nobody
from yoloscale.runs.status import Status
from yoloscale.system.locks import try_lock


@dataclass
class RunLock:
    """A run directory and the lock on it, held until `release` or the end of the process."""

    run: RunDirectory
    descriptor: int

    def own(self) -> None:
        """Work for the run that lies there, and for no other; the lock's file says whose it is."""
        self.run = owned(self.run, None if self.run.owner is None else self.run.run_id)
        with suppress(OSError):  # it is a word for people
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, f"{self.run.run_id}\n".encode(), 0)

    def release(self) -> None:
        """Let others use the run directory."""
        os.close(self.descriptor)

    def with_config(self, config: Config) -> LockedRun:
        """The same lock, on a run that is ready to go on with a config."""
        return LockedRun(self.run, self.descriptor, config)


@dataclass
class LockedRun(RunLock):
    """A locked run that is ready to go on, and the config that it is frozen with."""

    config: Config


def lock(run: RunDirectory, *, node_rank: int = 0, job: str | None = None) -> RunLock:
    """Lock an existing run directory. Raises ConfigError that says who has it. Nodes of one job lock apart.

    A run that a scheduler's job has, or is to have, is in use; not for that very `job`, nor for what it has started.
    Where the file system has no locks, a run that goes on by its events is in use; not if it is the `job` that has it,
    or is to have it, which does not run twice at the same time. Raises RunLost if the directory is owned, and that
    run does not lie there any more.
    """
    run.check()
    taken = RunLock(run, os.open(run.node_lock(node_rank), os.O_RDWR | os.O_CREAT, 0o644))
    try:
        is_locked = try_lock(taken.descriptor)
        if is_locked is False or (is_locked is None and node_rank == 0 and _goes_on(run, job)):
            raise ConfigError(_in_use(run, status(run, nobody)))
        if node_rank == 0:
            refuse_if_submitted(run, job)  # after the lock: who had it may have submitted the run just now
        if run.config.exists():
            taken.own()
    except BaseException:
        taken.release()
        raise
    return taken


def refuse_if_submitted(run: RunDirectory, job: str | None = None) -> None:
    """Raise ConfigError if a job has the run, running or still in the queue, and is not the `job` of who asks."""
    quiet = status(run, nobody)
    own = {job, *registry.current_jobs()}
    if quiet.job is None or quiet.job in own:
        return
    answer = registry.ask([quiet.job])
    found, told = status(run, lambda jobs: answer), answer.of(quiet.job)
    is_unanswered = found.scheduler is not None
    if is_unanswered and isinstance(told, NoAnswer) and not told.is_here:  # a copy, or another kind of machine
        return  # the lock has told
    if (found.is_active or is_unanswered) and found.job not in (None, *own):
        raise ConfigError(_in_use(run, found))


def _goes_on(run: RunDirectory, job: str | None) -> bool:
    """Whether somebody has the run by its events; not if that is the `job` of who asks."""
    found = status(run, nobody)
    return found.is_active and found.attempt > 0 and (job is None or found.job != job)


def _in_use(run: RunDirectory, found: Status) -> Problem:
    quoted = shlex.quote(str(run.path))
    words = f"run {run.name!r} is being trained already" + (f" ({found.where})" if found.where else "")
    if found.job is not None:
        words = f"run {run.name!r} is in job {found.job} already: {found.phase or found.state}"
        words += f" ({label_of(found.job)}: {found.scheduler})" if found.scheduler else ""
    return Problem("name", words, f"`yoloscale logs {quoted} -f` follows it, `yoloscale cancel {quoted}` stops it")
