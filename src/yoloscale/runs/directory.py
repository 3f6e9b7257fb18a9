"""The run directory: where each file of a run lies. The only place that knows the names (DESIGN: a contract).

Machines that share it may write at the same time; what keeps each file whole:

| file | who writes | and two at once |
| --- | --- | --- |
| events/ | everybody | a file for each process: events/files.py |
| metrics.jsonl, trace.jsonl, results.csv | rank 0 | not while another attempt has begun: turn.py |
| checkpoints/, weights/, result.json, job/*.json | rank 0, a launcher | written beside, renamed: system/files.py |
| config.yaml | who has the lock | written beside, renamed; overrides.yaml before there is one |
| job/lock | the launcher | flock; where there are no locks, the events tell: backends/run_lock.py |
| STOP | anybody | an empty file, which is there or not |
| logs/attempt-k/ | a rank or a node each its own | a number is one process's within an attempt |
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from yoloscale.config.freeze import id_in, kind_in
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs.identity import Owner, RunLost


class Folder(Protocol):
    """What has a path of its own."""

    @property
    def path(self) -> Path: ...


class Below:
    """A path below that of the object whose attribute this is."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def __get__(self, folder: Folder, kind: type) -> Path:
        return folder.path.joinpath(*self._parts)


@dataclass(frozen=True)
class RunDirectory:
    """Paths below one run directory; nothing is created or read by asking for a path.

    Who works for a run has its directory `owned_by` it: what writes through that, writes for this run only.
    """

    path: Path
    owner: Owner | None = field(default=None, compare=False, repr=False)  # None: for whatever run is there

    config = Below("config.yaml")  # resolved, frozen, complete
    overrides = Below("overrides.yaml")  # what the person typed
    events = Below("events")  # the history: a file for each process that wrote some of it (runs/events/files.py)
    old_events = Below("events.jsonl")  # the history that versions with one file for all have written
    metrics = Below("metrics.jsonl")  # one object a line: steps, epochs, evaluations
    trace = Below("trace.jsonl")  # with debug.trace: one line per optimiser step
    results_csv = Below("results.csv")  # one line an epoch, as Ultralytics writes it
    arguments = Below("args.yaml")  # the arguments of the training, as Ultralytics writes them
    checkpoints = Below("checkpoints")  # complete training states, to resume from
    weights = Below("weights")  # plain Ultralytics checkpoints
    best_weights = Below("weights", "best.pt")  # the best model so far
    last_weights = Below("weights", "last.pt")  # the model after the newest epoch
    manifest = Below("manifest.parquet")  # of a run that predicts: all its images, in order
    predictions = Below("predictions")  # a file for each unit of the manifest, complete or absent
    failures_csv = Below("failures.csv")  # images that could not be read, or not be predicted
    result = Below("result.json")  # written once, last
    stop_request = Below("STOP")  # made by whoever wants the run to save and stop; rank 0 removes it when it has
    logs = Below("logs")  # a folder for every start of the job
    job = Below("job")  # what was started or submitted
    lock = Below("job", "lock")  # held (flock) by the launcher of the run for as long as it lives
    supervisor_log = Below("job", "supervisor.log")  # what a launcher in the background printed
    trackers = Below("job", "trackers.json")  # the ids by which trackers know the run

    @property
    def name(self) -> str:
        """The name a person calls the run by: the folder's."""
        return self.path.name

    @property
    def kind(self) -> str:
        """The kind of the run that lies there now, by its config.yaml; that of one that trains where there is none."""
        try:
            with self.config.open("rb") as file:
                return kind_in(file.readline())
        except OSError:
            return kind_in(b"")

    def node_lock(self, node_rank: int) -> Path:
        """Held by the launcher of one node; of node 0, that of the run."""
        return self.lock if node_rank == 0 else self.job / f"lock-node-{node_rank}"

    def launch_record(self, attempt: int, node_rank: int = 0) -> Path:
        """What was started on one node for one attempt: argv, environment, working folder."""
        return self.job / (f"attempt-{attempt}.json" if node_rank == 0 else f"attempt-{attempt}-node-{node_rank}.json")

    def node_record(self, node_rank: int) -> Path:
        """What the launcher of one node says of itself, for as long as it lives; of runs that go on with fewer."""
        return self.job / f"node-{node_rank}.json"

    def node_data(self, host: str) -> Path:
        """What a node has found of data that is on nodes only."""
        return self.job / f"data-{host}.json"

    def tracked(self, node: int) -> Path:
        """What one node has told the trackers so far."""
        return self.job / ("tracked.json" if node == 0 else f"tracked-node-{node}.json")

    def attempt_logs(self, attempt: int) -> Path:
        """Folder of one start of the job; attempts count from 1."""
        return self.logs / f"attempt-{attempt}"

    def agent_log(self, attempt: int, node_rank: int = 0) -> Path:
        """What torchrun's agent of one node printed."""
        return self.attempt_logs(attempt) / ("launcher.log" if node_rank == 0 else f"launcher-node-{node_rank}.log")

    def rank_log(self, attempt: int, rank: int) -> Path:
        """What one rank printed."""
        return self.attempt_logs(attempt) / f"rank-{rank}.log"

    def owned_by(self, run_id: str) -> RunDirectory:
        """The same for a process that works for the run of this id; empty: for a run of before there were ids."""
        return replace(self, owner=Owner(self.config, run_id))

    @property
    def run_id(self) -> str:
        """The owner's; empty where there is none, and in a run of before there were ids."""
        return self.owner.run_id if self.owner is not None else ""

    def id_now(self) -> str:
        """The owner's id; without an owner, that of the run that lies there now, empty if there is none."""
        if self.owner is not None:
            return self.owner.run_id
        try:
            return id_in(self.config.read_bytes())
        except OSError:
            return ""

    def check(self) -> None:
        """Raise RunLost if the folder is not the owner's any more. Right before a file is replaced or made."""
        if self.owner is not None:
            self.owner.check()

    def glance(self) -> None:
        """As `check`, for what is written many times a second."""
        if self.owner is not None:
            self.owner.glance()

    def loss(self) -> str | None:
        """Why the owner cannot go on in this folder, as a sentence; None if it can."""
        try:
            self.check()
        except RunLost as lost:
            return str(lost)
        return None


def owned(run: RunDirectory, run_id: str | None = None) -> RunDirectory:
    """The directory for a process that works for the run of this id; None: for the run that lies there now.

    Raises RunLost if another run lies there, and ConfigError if there is none to work for.
    """
    if run_id is None:
        try:
            return run.owned_by(id_in(run.config.read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            instead = "give the folder of a run, one that holds config.yaml"
            raise ConfigError(Problem(str(run.config), "there is no such file", instead)) from None
    directory = run.owned_by(run_id)
    directory.check()
    return directory
