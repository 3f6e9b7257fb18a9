"""Taking a run directory: which name, whether it may be used, and that nobody else uses it now."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import yaml

from yoloscale.backends.slurm.queue import nobody
from yoloscale.config.freeze import freeze, new_id
from yoloscale.config.plan import world_size
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch import anew
from yoloscale.launch.move import move, moved_run
from yoloscale.runs import event_files
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.status import Status, is_finished, status
from yoloscale.system.remarks import Say, silent
from yoloscale.system.slurm_step import job_of

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # Lustre and NFS as many sites mount them


@dataclass
class Claim:
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


def claim(config: Config, overrides: list[str], say: Say = silent) -> Claim:
    """Make or take up the run directory of a resolved config, lock it, and freeze the config into it.

    Sets `config.name` where none was given. A run that is there goes on where this config says. Raises ConfigError if
    it is finished, in use, or another one. `say` gets a line for what a run that goes on has otherwise by now.
    """
    if config.name is None:
        run = _make_first_free(config)
        config.name = run.name
    else:
        run = named_run(config, config.name)
        refuse_if_taken(run, config)  # before anything is written into the folder, and again under the lock
        run.job.mkdir(parents=True, exist_ok=True)
    taken = lock(run)
    try:
        refuse_if_taken(run, config)
        if not run.config.exists():
            event_files.begin(run)
            run.overrides.write_text(yaml.safe_dump(overrides, allow_unicode=True), encoding="utf-8")
            freeze(_planned(config), run.config)  # last: a folder with config.yaml is a run
            taken.own()
        else:
            move(taken.run, config, overrides, say)
    except BaseException:
        taken.release()
        raise
    return taken


def lock(run: RunDirectory, *, node_rank: int = 0, job: str | None = None) -> Claim:
    """Lock an existing run directory. Raises ConfigError that says who has it. Nodes of one job lock apart.

    A run that a SLURM job has, or is to have, is in use; not for that very `job`, nor for what it has started. Where
    the file system has no locks, a run that goes on by its events is in use; not if it is the SLURM `job` that has
    it, or is to have it, which does not run twice at the same time. Raises RunLost if the directory is owned, and that
    run does not lie there any more.
    """
    run.check()
    path = run.lock if node_rank == 0 else run.lock.with_name(f"lock-node-{node_rank}")
    taken = Claim(run, os.open(path, os.O_RDWR | os.O_CREAT, 0o644))
    try:
        _flock(taken, is_first=node_rank == 0, job=job)
        if node_rank == 0:
            refuse_if_submitted(run, job)  # after the lock: who had it may have submitted the run just now
        if run.config.exists():
            taken.own()
    except BaseException:
        taken.release()
        raise
    return taken


def refuse_if_submitted(run: RunDirectory, job: str | None = None) -> None:
    """Raise ConfigError if a SLURM job has the run, running or still in the queue, and is not the `job` of who asks."""
    quiet = status(run, nobody)
    own = (job, job_of(os.environ))
    if quiet.job is None or quiet.job in own:
        return
    found = status(run)
    is_unanswered = found.scheduler is not None
    if is_unanswered and shutil.which("squeue") is None:  # a copy, or another kind of machine: the lock has told
        return
    if (found.is_active or is_unanswered) and found.job not in (None, *own):
        raise ConfigError(_in_use(run, found))


def _flock(taken: Claim, *, is_first: bool, job: str | None) -> None:
    try:
        fcntl.flock(taken.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        has_no_locks = error.errno in NO_LOCKS
        if has_no_locks and (not is_first or not _goes_on(taken.run, job)):
            return
        if has_no_locks or isinstance(error, BlockingIOError):
            raise ConfigError(_in_use(taken.run, status(taken.run, nobody))) from None
        raise


def named_run(config: Config, name: str) -> RunDirectory:
    """Where a run of this name lies."""
    return RunDirectory((Path(config.paths.runs).expanduser() / name).absolute())


def proposed_run(config: Config) -> RunDirectory:
    """The run directory that `claim` would take if nobody came between; makes nothing."""
    if config.name is not None:
        return named_run(config, config.name)
    return next(run for run in _candidates(config) if not run.path.exists())


def refuse_if_taken(run: RunDirectory, config: Config) -> None:
    """Raise ConfigError if the directory holds a finished or a submitted run, another one, or something else."""
    if not run.config.exists():
        _refuse_if_foreign(run)
        return
    if is_finished(run):
        raise ConfigError(finished_problem(run))
    refuse_if_submitted(run)
    moved_run(run, config)


def finished_problem(run: RunDirectory, changes: Sequence[str] = ()) -> Problem:
    """What to say to somebody who starts or resumes a finished run, with `changes` as typed.

    More epochs do not go on from its end, where the learning rate is almost nothing: they are another run.
    """
    said = f"run {run.name!r} is finished: {run.path}"
    instead = f"give another name= to start a new run, or {anew.offer(run, changes)}"
    return Problem("name", said, instead)


def _planned(config: Config) -> Config:
    """The config of a first start: later ones keep its id, its split of the batch and its working folder."""
    cluster = replace(config.cluster, planned_ranks=world_size(config))
    origin = replace(config.origin, folder=config.origin.folder or str(Path.cwd()))
    return replace(config, id=new_id(), cluster=cluster, origin=origin)


def default_name(config: Config) -> str:
    """`<model>-<dataset>`, as a folder name."""
    return re.sub(r"[/\s]+", "-", f"{config.model.name}-{config.data.name}").strip("-.") or "run"


def _candidates(config: Config) -> Iterator[RunDirectory]:
    base = default_name(config)
    for number in count(1):
        yield named_run(config, base if number == 1 else f"{base}-{number}")


def _make_first_free(config: Config) -> RunDirectory:
    for run in _candidates(config):
        try:
            run.path.mkdir(parents=True)  # atomic: of two that try, one gets it
        except FileExistsError:
            continue
        run.job.mkdir()
        return run
    raise AssertionError("numbers do not end")


def _refuse_if_foreign(run: RunDirectory) -> None:
    if run.path.exists() and not all(_is_ours(run, entry) for entry in run.path.iterdir()):
        raise ConfigError(
            Problem("name", f"{run.path} exists and is no run (it has no config.yaml)", "give another name=")
        )


def _is_ours(run: RunDirectory, entry: Path) -> bool:
    """Whether `claim` makes it before config.yaml: all there is of a run whose launcher was killed just then."""
    return entry in (run.job, run.overrides) or entry.match(f"{run.config.name}.*.part")


def _goes_on(run: RunDirectory, job: str | None) -> bool:
    """Whether somebody has the run by its events; not if that is the SLURM `job` of who asks."""
    found = status(run, nobody)
    return found.is_active and found.attempt > 0 and (job is None or found.job != job)


def _in_use(run: RunDirectory, found: Status) -> Problem:
    quoted = shlex.quote(str(run.path))
    said = f"run {run.name!r} is being trained already" + (f" ({found.where})" if found.where else "")
    if found.job is not None:
        said = f"run {run.name!r} is in job {found.job} already: {found.phase or found.state}"
    return Problem(
        "name",
        said + (f" (SLURM: {found.scheduler})" if found.scheduler else ""),
        f"`yoloscale logs {quoted} -f` follows it, `yoloscale cancel {quoted}` stops it",
    )
