"""The lock on a run directory, and whether somebody works on the run: no two launchers take one run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from yoloscale.backends import registry
from yoloscale.backends.status import status
from yoloscale.config.schema import RunConfig
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.frozen_state import FrozenState
from yoloscale.runs.jobs import NoAnswer, label_of, nobody
from yoloscale.runs.status import Status
from yoloscale.runs.sweep_directory import sweep_of
from yoloscale.runs.wording import wording
from yoloscale.system.locks import try_lock


class RunInUse(ConfigError):  # noqa: N818 - reads as what is the case, as in `except RunInUse`
    """Somebody works on the run, or a job has it."""


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

    def with_config(self, config: RunConfig, before: FrozenState | None = None) -> LockedRun:
        """The same lock, on a run that is ready to go on with a config."""
        return LockedRun(self.run, self.descriptor, config, before)


@dataclass
class LockedRun(RunLock):
    """A locked run that is ready to go on, and the config that it is frozen with.

    `before`: how it was frozen when it was locked; None for a run that was made then.
    """

    config: RunConfig
    before: FrozenState | None


def lock(run: RunDirectory, *, node_rank: int = 0, job: str | None = None) -> RunLock:
    """Lock an existing run directory. Raises RunInUse that says who has it. Nodes of one job lock apart.

    A run that a scheduler's job has, or is to have, is in use; not for that very `job`, nor for what it has started.
    Where the file system has no locks, a run that goes on by its events is in use; not if it is the `job` that has it,
    or is to have it, which does not run twice at the same time. Raises RunLost if the directory is owned, and that
    run does not lie there any more.
    """
    run.check()
    run_lock = RunLock(run, os.open(run.node_lock(node_rank), os.O_RDWR | os.O_CREAT, 0o644))
    try:
        is_locked = try_lock(run_lock.descriptor)
        if is_locked is False or (is_locked is None and node_rank == 0 and _goes_on(run, job)):
            raise RunInUse(_in_use(run, status(run, nobody)))
        if node_rank == 0:
            refuse_if_submitted(run, job)  # after the lock: who had it may have submitted the run just now
        if run.config.exists():
            run_lock.own()
    except BaseException:
        run_lock.release()
        raise
    return run_lock


def refuse_if_submitted(run: RunDirectory, job: str | None = None) -> None:
    """Raise RunInUse if a job has the run, running or still in the queue, and is not the `job` of who asks."""
    quiet = status(run, nobody)
    own_jobs = {job, *registry.current_jobs()}
    if quiet.job is None or quiet.job in own_jobs or _is_in_own_array(run, quiet.job, own_jobs):
        return
    answer = registry.ask([quiet.job])
    run_status, reply = status(run, lambda jobs: answer), answer.of(quiet.job)
    is_unanswered = run_status.scheduler is not None
    if is_unanswered and isinstance(reply, NoAnswer) and not reply.is_here:  # a copy, or another kind of machine
        return  # the lock has told
    if (run_status.is_active or is_unanswered) and run_status.job not in (None, *own_jobs):
        raise RunInUse(_in_use(run, run_status))


def _is_in_own_array(run: RunDirectory, job: str, own_jobs: Collection[str | None]) -> bool:
    """Whether `job` is another element of an array around this process that works on one run: the lock has told."""
    arrays = {events.array_of(own) for own in own_jobs if own is not None and "_" in own}
    return sweep_of(run) is None and events.array_of(job) in arrays


def _goes_on(run: RunDirectory, job: str | None) -> bool:
    """Whether somebody has the run by its events; not if that is the `job` of who asks."""
    run_status = status(run, nobody)
    return run_status.is_active and run_status.attempt > 0 and (job is None or run_status.job != job)


def _in_use(run: RunDirectory, run_status: Status) -> Problem:
    quoted = shlex.quote(str(run.path))
    where = f" ({run_status.where})" if run_status.where else ""
    words = f"run {run.name!r} is being {wording(run.kind).done} already{where}"
    if run_status.job is not None:
        words = f"run {run.name!r} is in job {run_status.job} already: {run_status.phase or run_status.state}"
        words += f" ({label_of(run_status.job)}: {run_status.scheduler})" if run_status.scheduler else ""
    return Problem("name", words, f"`yoloscale logs {quoted} -f` follows it, `yoloscale cancel {quoted}` stops it")
