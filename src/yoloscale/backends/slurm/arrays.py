"""The points of a sweep as job arrays that the site takes: one, or several of consecutive points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from yoloscale.backends.base import JobRequest, JobsLeftError, PointJobs
from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.backends.slurm.limits import ArrayLimits
from yoloscale.backends.slurm.render import script_of
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.formatting import ranges

AT_ONCE = 500  # ids on one command line
GONE = "Invalid job id specified"


@dataclass(frozen=True)
class Part:
    """The points of one array; its element N is point `first` + N."""

    first: int
    indices: tuple[int, ...]

    def element_of(self, array: str, index: int) -> str:
        """The id of the job that trains a point."""
        return f"{array}_{index - self.first}"


def parts_of(indices: Iterable[int], limits: ArrayLimits | None) -> list[Part]:
    """As few arrays as the site's limits allow; elements are numbered as the points are where that is possible."""
    parts, waiting = list[Part](), sorted(indices)
    while waiting:
        if limits is None:
            return [*parts, Part(0, tuple(waiting))]
        chunk = waiting[: limits.tasks]
        first = 0 if chunk[0] < limits.size else chunk[0]
        chunk = [index for index in chunk if index - first < limits.size]
        parts.append(Part(first, tuple(chunk)))
        waiting = waiting[len(chunk) :]
    return parts


def jobs_of(job: JobRequest, parts: Sequence[Part]) -> list[JobRequest]:
    """The job of each part, from that of all points."""
    return [
        replace(job, array=ranges(index - part.first for index in part.indices), first=part.first) for part in parts
    ]


def submit_parts(job: JobRequest, parts: Sequence[Part], submit: Callable[[JobRequest], str]) -> Iterator[PointJobs]:
    """Submit one array after the other; yields each with its points. If one is refused, none of them stays.

    With `cluster.array_parallelism` each begins when the one before has ended: so many points train at a time in all.
    Raises ConfigError with what sbatch said; JobsLeftError where arrays do stay, as scancel fails as well.
    """
    arrays, jobs, is_chain = list[str](), jobs_of(job, parts), job.cluster.array_parallelism is not None
    for request in jobs[1:]:  # what is wrong with any is told before the first is submitted
        script_of(_after(request, "1") if is_chain else request)
    for request, part in zip(jobs, parts, strict=True):
        try:
            array = submit(_after(request, arrays[-1]) if arrays and is_chain else request)
        except ConfigError as error:
            try:
                _scancel(arrays)
            except SlurmError as failed:
                raise JobsLeftError([*error.problems, _left(arrays, failed)], arrays) from error
            raise
        arrays.append(array)
        yield PointJobs(array, {index: part.element_of(array, index) for index in part.indices})


def cancel_jobs(jobs: Iterable[str]) -> None:
    """Take jobs out of the queue, or end them; some may have ended by themselves. Raises ConfigError."""
    try:
        _scancel(jobs)
    except SlurmError as error:
        raise ConfigError(Problem("scancel", error.said, "once SLURM answers, the same again")) from None


def _scancel(jobs: Iterable[str]) -> None:
    """Raises SlurmError for all but jobs that are over."""
    waiting = iter(jobs)
    while chunk := list(islice(waiting, AT_ONCE)):
        try:
            call(["scancel", *chunk])
        except SlurmError as error:
            if not all(GONE in line for line in error.said.splitlines()):
                raise


def _left(arrays: Sequence[str], failed: SlurmError) -> Problem:
    words = f"{failed.said}; in the queue with points of the sweep: {', '.join(arrays)}, submitted before that one"
    return Problem("scancel", words, f"type scancel {' '.join(arrays)}, or leave them and submit the rest later")


def _after(job: JobRequest, array: str) -> JobRequest:
    given = job.cluster.dependency
    if given is not None and "?" in given:
        instead = "write it with commas, or leave cluster.array_parallelism out: so many points take several arrays"
        raise ConfigError(Problem("cluster.dependency", f"{given!r}, any of which is enough", instead))
    dependency = f"afterany:{array}" if given is None else f"{given},afterany:{array}"
    return replace(job, cluster=replace(job.cluster, dependency=dependency))
