"""The front door: a run as it is asked for, and its start. The command line prints it, `yoloscale.train` returns it.

request = start_request(tokens)      or      resume_request(run, changes)       nothing is made yet
taken = request.take(say)                    prepared, locked, frozen
run_here(taken, …)     run_in_background(taken)     submit(request, taken)      (here.py, submit.py)
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from yoloscale.agent.previous_start import end_leftovers
from yoloscale.backends import registry
from yoloscale.backends.base import Allocation
from yoloscale.backends.check import validate
from yoloscale.backends.run_lock import LockedRun, lock
from yoloscale.config.compose.flags import Flags, parsed
from yoloscale.config.kinds import TRAIN, kind_of
from yoloscale.config.quoting import quote_odd
from yoloscale.config.schema import RunConfig
from yoloscale.config.typed_again import changed
from yoloscale.errors import ConfigError
from yoloscale.launch import anew
from yoloscale.launch.move import done_by, move, moved_run, not_compared
from yoloscale.launch.prepare import prepared
from yoloscale.launch.run_folder import create_or_resume, proposed_run, refuse_if_finished, refuse_if_taken
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.frozen_state import FrozenState
from yoloscale.system.remarks import Say, silent

if TYPE_CHECKING:
    from yoloscale.launch.configure import Configured


_Run = TypeVar("_Run", bound=RunConfig)


class RunRequest(Protocol):
    """A run as it is asked for, of which nothing is made yet.

    config: what it is to go on with.
    run: its folder; of a new run without a name the one that it would get if nobody came between.
    """

    @property
    def config(self) -> RunConfig: ...
    @property
    def run(self) -> RunDirectory: ...

    def refuse_if_taken(self) -> None:
        """Raise ConfigError if this run cannot go on, or the folder is another's."""

    def words(self, name: str) -> list[str]:
        """What would be typed after `yoloscale` for the run of that name, on another node or in a job."""

    def take(self, say: Say) -> LockedRun:
        """Prepare all that it needs, lock its folder, and freeze its config. Raises ConfigError."""


@dataclass(frozen=True)
class StartRequest:
    """A run that is asked for by a whole config: a new one, or the unfinished one of that name."""

    configured: Configured
    run: RunDirectory
    line: Flags

    @property
    def config(self) -> RunConfig:
        return self.configured.config

    @property
    def seen(self) -> FrozenState | None:
        return self.configured.seen

    def words(self, name: str) -> list[str]:
        verb = kind_of(self.config.kind).verb
        return [verb, *self.line.argv, *([] if self.config.name is not None else [f"name={quote_odd(name)}"])]

    def refuse_if_taken(self) -> None:
        """Raise ConfigError if the folder is another run's, or this one is finished or in a job."""
        refuse_if_taken(self.run, self.config, self.seen)

    def remarks(self) -> list[str]:
        """What a dry run cannot tell of a run that is there."""
        line = None
        if self.seen is not None:
            line = not_compared(self.seen.config, self.config, of=f"run {self.run.name!r}")
        return [] if line is None else [line]

    def take(self, say: Say) -> LockedRun:
        """Prepare all that a new or taken-up run needs, then take its directory. Raises ConfigError."""
        if self.config.name is not None:
            self.refuse_if_taken()
        taken = create_or_resume(prepared(self.config, say), list(self.line.argv), say, self.seen)
        try:
            end_leftovers(taken.run, say)
        except BaseException:
            taken.release()
            raise
        return taken


@dataclass(frozen=True)
class ResumeRequest:
    """An unfinished run that is to go on as it is frozen, but for changes as typed; these are not validated yet."""

    run: RunDirectory
    seen: FrozenState
    config: RunConfig
    changes: tuple[str, ...]

    def words(self, name: str) -> list[str]:
        return ["resume", str(self.run.path), *self.changes]

    def refuse_if_taken(self) -> None:
        """Raise ConfigError if the run is finished."""
        refuse_if_finished(self.run, self.changes)

    def checked(self) -> RunConfig:
        """What the run is to go on with. Raises ConfigError if it cannot, here or at all."""
        if problems := validate(self.config):  # this machine may have fewer GPUs than the one it was frozen on
            raise ConfigError(problems)
        return moved_run(self.run, self.seen.config, self.config, by_resume=True)

    def take(self, say: Say) -> LockedRun:
        """Take the run up where it stopped; the changes are frozen and put on record. Raises ConfigError."""
        self.refuse_if_taken()
        self.checked()  # before anything is written into the folder
        self.run.job.mkdir(exist_ok=True)
        taken = lock(self.run)
        try:
            self.refuse_if_taken()
            end_leftovers(taken.run, say)
            now = self if FrozenState.now(self.run, self.seen) is self.seen else resume_request(self.run, self.changes)
            wanted = prepared_again(self.run.path, now.checked(), say)
            typed = anew.without(anew.typed_for(self.run), [anew.key_of(change) for change in self.changes])
            config = move(taken.run, now.seen.config, wanted, [*typed, *self.changes], say, by_resume=True)
        except BaseException:
            taken.release()
            raise
        return taken.with_config(config, now.seen)


def start_request(
    typed: Sequence[str] | Flags, say: Say = silent, *, kind: str = TRAIN, uses_own_job: bool = False
) -> StartRequest:
    """What is asked for by what was typed after the verb of a kind, checked as a whole.

    `kind`: of tokens that are not parsed yet. Raises ConfigError with every problem.
    `say`, `uses_own_job`: as of `configured`.
    """
    from yoloscale.launch.configure import configured  # Hydra, which a run that is resumed does without

    line = parsed(typed, kind)
    asked_for = configured(line, say, uses_own_job=uses_own_job)
    return StartRequest(asked_for, proposed_run(asked_for.config), line)


def resume_request(run: RunDirectory, changes: Sequence[str] = ()) -> ResumeRequest:
    """What is asked for by what was typed after `resume RUN`. Raises ConfigError for changes that may not be."""
    seen = FrozenState.of(run)
    return ResumeRequest(run, seen, asked(run, seen.config, changes), tuple(changes))


def asked(run: RunDirectory, frozen: RunConfig, changes: Sequence[str]) -> RunConfig:
    """What a run is asked to go on with: as it is frozen, but for changes as typed. Not validated, but for these."""
    if frozen.origin.folder is None:
        frozen = replace(frozen, origin=replace(frozen.origin, folder=_first_folder(run)))
    return changed(frozen, changes, lambda: anew.offer(run, changes), done_by(run)) if changes else frozen


def allocation(config: RunConfig) -> Allocation | None:
    """The job of somebody's own around this process that a run would use; None outside of one, and for a run here."""
    backend = registry.of(config.cluster)
    return None if backend is None else backend.inside()


def prepared_again(folder: Path, wanted: _Run, say: Say) -> _Run:
    """As `prepared`, for the run or sweep in a folder: what is wrong may be that the data lies elsewhere by now."""
    try:
        return prepared(wanted, say)
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


def _first_folder(run: RunDirectory) -> str | None:
    """Where a run was started that was frozen by a version that did not put the folder down."""
    try:
        return str(json.loads(run.launch_record(1).read_text(encoding="utf-8"))["working_folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
