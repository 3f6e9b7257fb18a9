"""The seam between a run and who starts its nodes: what a back end is asked, and what it is given."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from yoloscale.config.locations import cache_folder
from yoloscale.config.schema import ClusterConfig, RunConfig
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import Answer, Ask
from yoloscale.system.remarks import Say

if TYPE_CHECKING:
    from yoloscale.agent.attempt import Observer
    from yoloscale.agent.outcome import Outcome
    from yoloscale.backends.run_lock import RunLock


_Run = TypeVar("_Run", bound=RunConfig)


@dataclass(frozen=True)
class JobRequest:
    """One job, or one array of them.

    Args:
        folder: of the run or the sweep; absolute.
        cache: where images and weights lie; absolute.
        working_folder: where the person typed, and where the script runs.
        typed: words after `yoloscale` that make the folder if it is not there: a script printed by --dry-run.
        array: indices of the points of a sweep, as ranges (`0-7`), or of elements that all work on one run; None for a
            run that has one job.
        is_one_run: whether the elements of the array all work on the run in `folder`.
        first: the point that element 0 of the array trains; above 0 where the site's arrays are too small for all.
        asks: whether an element asks the study of a search for its point before its ranks start.
    """

    cluster: ClusterConfig
    name: str
    folder: Path
    cache: Path
    working_folder: Path
    typed: tuple[str, ...]
    array: str | None = None
    first: int = 0
    asks: bool = False
    is_one_run: bool = False
    launcher_python: str = sys.executable

    @property
    def python(self) -> str:
        """The interpreter on the nodes, outside of a container."""
        return self.cluster.python or self.launcher_python

    @property
    def marker(self) -> Path:
        """What is there once the folder is made."""
        return self.folder / ("config.yaml" if self.array is None or self.is_one_run else "sweep.yaml")


def job_for(config: RunConfig, folder: Path, typed: Sequence[str]) -> JobRequest:
    """The job of one run."""
    cluster, cache = config.cluster, cache_folder(config.paths)
    job = JobRequest(cluster, folder.name, folder.absolute(), cache, Path.cwd(), (*typed,))
    if cluster.array_size is None:
        return job
    return replace(job, array=f"0-{cluster.array_size - 1}", is_one_run=True)


@dataclass(frozen=True)
class RankProcess:
    """A rank that got, or is to get, a signal."""

    rank: int
    host: str
    pid: int


@dataclass(frozen=True)
class PointJobs:
    """Points of a sweep that were submitted together: the id of all, and that of the job of each point."""

    id: str
    jobs: Mapping[int, str]


class JobsLeftError(ConfigError):
    """A job was refused, and those submitted before it could not be taken back: they wait, or run."""

    def __init__(self, problems: Sequence[Problem], jobs: Sequence[str]) -> None:
        super().__init__(problems)
        self.jobs = tuple(jobs)


class Allocation(Protocol):
    """A job of somebody's own around this process, whose nodes a run may use."""

    @property
    def name(self) -> str:
        """The id that the scheduler knows it by."""

    @property
    def gpus(self) -> int | None:
        """GPUs of the node that has fewest; None if the scheduler does not tell."""

    def fit(self, config: _Run, say: Say, *, says_nodes: bool, frozen: RunConfig | None) -> _Run:
        """The config with what this job has where the config leaves it open; `says_nodes`: somebody wrote how many."""

    def refuse_too_small(self, config: RunConfig) -> None:
        """Raise ConfigError if the job has less than the run is to have."""

    def run(self, taken: RunLock, config: RunConfig, typed: Sequence[str], observer: Observer) -> Outcome:
        """Run a locked run on the nodes of this job and stay until it ends; lets go of the run."""


class Backend(Protocol):
    """Who starts the nodes of a run. Job ids are `NAME:NUMBER`, the name in letters; SLURM's are bare numbers."""

    name: str

    def check(self, cluster: ClusterConfig) -> list[Problem]:
        """Problems of a resolved cluster section that this back end is to start. Pure."""

    def check_site(self, config: RunConfig, say: Say, *, points: int = 1) -> list[Problem]:
        """What the site would refuse about a run, or a sweep of so many points; `say` gets its defaults that count."""

    def complete(self, config: _Run) -> _Run:
        """A config with what the site decides where the config leaves it open."""

    def remarks(self, config: RunConfig) -> list[str]:
        """Lines where a command that is typed in a job of this back end uses less of it than a person may think."""

    def inside(self) -> Allocation | None:
        """The job whose nodes a command typed here would use; None outside of one."""

    def current_job(self) -> str | None:
        """The job that this process runs in; None outside of one."""

    def current_point(self) -> int | None:
        """The index of the sweep's point that is for this part of an array; None outside of one."""

    def job_time_left(self) -> Callable[[], float | None] | None:
        """What tells the seconds until its job around this process ends; None outside of a node of one."""

    def render(self, request: JobRequest) -> bytes:
        """What `submit` hands over, byte for byte. Pure but for reading templates."""

    def render_points(self, request: JobRequest, indices: Sequence[int]) -> list[JobRequest]:
        """The jobs that `submit_points` would submit, one after the other."""

    def submit(self, request: JobRequest, *arguments: str) -> str:
        """Submit a job whose folder is there; its id. Raises ConfigError with what the scheduler said."""

    def submit_points(self, request: JobRequest, indices: Sequence[int]) -> Iterator[PointJobs]:
        """Submit points of a sweep, in as few jobs as the site takes.

        If one is refused none of them stays. Raises ConfigError; JobsLeftError where some do stay.
        """

    def ask(self, jobs: Collection[str]) -> Answer:
        """What is known of jobs, by their ids. One call for any number; no answer is an answer."""

    def cancel(self, jobs: Collection[str]) -> None:
        """Take jobs out of the queue, or end them; some may be over. Raises ConfigError."""

    def cancel_run(self, run: RunDirectory, asked: Ask, *, at_once: bool, timeout_s: float) -> bool:
        """Stop a run that has a job here, and wait; True once both are over. Raises ConfigError."""

    def signal(self, job: str, ranks: Sequence[RankProcess], number: signal.Signals) -> list[RankProcess] | None:
        """Send a signal to ranks on the nodes of a job; those that got it, None where this machine cannot."""

    def output(self, folder: Path, job: str) -> Path:
        """Where the words of a job go that are no rank's: below `folder`, as `…-ID.out` (runs/jobs.py)."""

    def watch_command(self, jobs: Sequence[str]) -> str:
        """What a person types to see jobs in the scheduler's own words."""
