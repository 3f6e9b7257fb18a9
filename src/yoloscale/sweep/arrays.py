"""The points of a sweep as job arrays that the site takes: one, or several of consecutive points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.launch.slurm.job import SlurmJob
from yoloscale.launch.slurm.limits import ArrayLimits
from yoloscale.runs.slurm_commands import SlurmError, call


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
        some = waiting[: limits.tasks]
        first = 0 if some[0] < limits.size else some[0]
        some = [index for index in some if index - first < limits.size]
        parts.append(Part(first, tuple(some)))
        waiting = waiting[len(some) :]
    return parts


def jobs_of(job: SlurmJob, parts: Sequence[Part]) -> list[SlurmJob]:
    """The job of each part, from that of all points."""
    return [
        replace(job, array=ranges(index - part.first for index in part.indices), first=part.first) for part in parts
    ]


def submit_parts(job: SlurmJob, parts: Sequence[Part], submit: Callable[[SlurmJob], str]) -> Iterator[tuple[str, Part]]:
    """Submit one array after the other; yields the id of each with its part. If one is refused, none of them stays.

    With `cluster.array_parallelism` each begins when the one before has ended: so many points train at a time in all.
    Raises ConfigError.
    """
    arrays = list[str]()
    for each, part in zip(jobs_of(job, parts), parts, strict=True):
        try:
            array = submit(_after(each, arrays[-1]) if arrays and each.cluster.array_parallelism else each)
        except ConfigError:
            cancel_arrays(arrays)
            raise
        arrays.append(array)
        yield array, part


def cancel_arrays(arrays: Sequence[str]) -> None:
    """Take arrays back that were submitted a moment ago. Raises ConfigError with the command to type if that fails."""
    if not arrays:
        return
    try:
        call(["scancel", *arrays])
    except SlurmError as error:
        instead = f"type scancel {' '.join(arrays)}: these were submitted, and one after them was refused"
        raise ConfigError(Problem("scancel", error.said, instead)) from None


def ranges(indices: Iterable[int]) -> str:
    """Indices as sbatch writes them: 0, 1, 2, 5 is `0-2,5`."""
    parts = list[list[int]]()
    for index in sorted(indices):
        if parts and parts[-1][1] == index - 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in parts)


def _after(job: SlurmJob, array: str) -> SlurmJob:
    given = job.cluster.dependency
    if given is not None and "?" in given:
        instead = "write it with commas, or leave cluster.array_parallelism out: so many points take several arrays"
        raise ConfigError(Problem("cluster.dependency", f"{given!r}, any of which is enough", instead))
    dependency = f"afterany:{array}" if given is None else f"{given},afterany:{array}"
    return replace(job, cluster=replace(job.cluster, dependency=dependency))
