"""The points of a sweep as jobs of a scheduler: one array, or several."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from yoloscale.backends import registry
from yoloscale.backends.base import JobRequest, JobsLeftError, PointJobs
from yoloscale.backends.status import statuses
from yoloscale.config.freeze import Sections, load, load_own
from yoloscale.config.locations import cache_folder
from yoloscale.config.schema import ClusterConfig, Config
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.arrays import put_down
from yoloscale.runs.endings import record_cancel
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep.problems import refuse_unlike
from yoloscale.system.files import write_whole
from yoloscale.system.formatting import ranges, tally


@dataclass(frozen=True)
class Submission:
    """What was submitted: ids of arrays, one if the site takes so large a one, and the indices of all points."""

    jobs: tuple[str, ...]
    indices: tuple[int, ...]


def array_job(
    config: Config, sweep: SweepDirectory, typed: Sequence[str], indices: Iterable[int], *, asks: bool = False
) -> JobRequest:
    """The array of some points of a sweep; `config` is that of one of them, whose cluster is that of all.

    `asks`: it is a search, whose elements ask for their points.
    """
    return JobRequest(
        cluster=config.cluster,
        name=sweep.name,
        folder=sweep.path.absolute(),
        cache=cache_folder(config.paths),
        working_folder=Path.cwd(),
        typed=tuple(typed),
        array=ranges(indices),
        asks=asks,
    )


def cluster_of(sweep: SweepDirectory, indices: Sequence[int]) -> ClusterConfig:
    """Where the first of these points is to run, or, without any, the first that is there."""
    if (base := sweep.base).exists():
        return load(base).cluster
    points = sweep.points()
    chosen = [points[index] for index in indices] or [each for each in points if sweep.run(each.name).config.exists()]
    if not chosen:
        raise ConfigError(Problem("SWEEP", f"{sweep.name!r}: no point is left", "type the sweep's own command again"))
    return load(sweep.run(chosen[0].name).config).cluster


def submit_points(
    sweep: SweepDirectory, typed: Sequence[str], indices: Sequence[int], *, is_new: bool = False
) -> Submission:
    """Submit these points of a grid: see `submit`. Raises ConfigError also where they are to run in different ways."""
    return submit(sweep, array_job(_config_of_all(sweep, indices), sweep, typed, indices), indices, is_new=is_new)


def submit(sweep: SweepDirectory, request: JobRequest, indices: Sequence[int], *, is_new: bool) -> Submission:
    """Submit points, or places of a search, in one array if the site takes it; the caller has taken the sweep.

    Raises ConfigError. As with a run that is refused, nothing of a new sweep stays then, unless some of its arrays do:
    they read their points there.
    """
    runs = {point.index: sweep.run(point.name) for point in sweep.points()}
    parts, backend = list[PointJobs](), registry.required(request.cluster)
    try:
        for part in backend.submit_points(request, indices):
            parts.append(part)
            for index in runs.keys() & part.jobs.keys():
                events.append(runs[index], events.Submitted(job=part.jobs[index]))
    except ConfigError as error:
        if not isinstance(error, JobsLeftError):
            for index, job in _jobs(parts).items():
                if index in runs:
                    record_cancel(runs[index], job)
            parts.clear()
            if is_new:
                shutil.rmtree(sweep.path, ignore_errors=True)  # what the scheduler said is raised
        raise
    finally:  # also after Ctrl-C: what was submitted by then stays, and nobody else submits these places
        if parts:
            if request.asks:
                asking = {index: job for index, job in _jobs(parts).items() if index not in runs}
                write_whole(sweep.elements, json.dumps({**asking_jobs(sweep), **asking}))
            put_down(sweep, [part.id for part in parts])
    return Submission(tuple(part.id for part in parts), tuple(indices))


def asking_jobs(sweep: SweepDirectory) -> dict[int, str]:
    """The jobs that are, or were, to ask for the point of a place of a search."""
    try:
        jobs = json.loads(sweep.elements.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {int(index): job for index, job in jobs.items()}


def _jobs(parts: Sequence[PointJobs]) -> dict[int, str]:
    return {index: job for part in parts for index, job in part.jobs.items()}


def said_of_others(first: JobRequest, others: int) -> str:
    """What the script of the first of several arrays leaves out."""
    return (
        f"this is the script of {first.array}; the site takes no larger array: the same without --dry-run submits "
        f"{others} more"
    )


def _config_of_all(sweep: SweepDirectory, indices: Sequence[int]) -> Config:
    """The config of the first of these points. Raises ConfigError if one of them is to run elsewhere than it."""
    sections, points = Sections(), sweep.points()
    names = [points[index].name for index in indices]
    configs = [load_own(sweep.run(name).config, sections) for name in names]
    instead = "all points are one job array: resume that point alone, or type the sweep's own command again"
    if configs[0].cluster.is_here:
        found = f"{configs[0].cluster.launcher} in point {names[0]}"
        raise ConfigError(Problem("cluster.launcher", found, instead))
    refuse_unlike(configs, names, instead)
    return configs[0]


def refuse_if_nothing(sweep: SweepDirectory, indices: Sequence[int], *, failed_only: bool) -> None:
    """Raise ConfigError that says why there is nothing to submit."""
    if indices:
        return
    states = [status.state for status in statuses(sweep.runs())]
    why = "none of them has failed" if failed_only else "there is nothing left to submit"
    has_failed = "failed" in states and not failed_only
    instead = "`yoloscale resume SWEEP --failed` tries those again" if has_failed else "`yoloscale status SWEEP`"
    raise ConfigError(Problem("SWEEP", f"{sweep.name!r}: {tally(states)}; {why}", instead))


def refuse_if_missing(sweep: SweepDirectory, indices: Sequence[int]) -> None:
    """Raise ConfigError if the folder of one of these points was removed; a search makes such a point by itself."""
    runs = sweep.runs()
    missing = [runs[index].name for index in indices if not runs[index].config.exists()]
    if missing and not sweep.base.exists():
        found = f"{sweep.name!r}: {len(missing)} of its points are not there any more, the first: {missing[0]}"
        raise ConfigError(Problem("SWEEP", found, "type the sweep's own command again: it makes them anew"))
