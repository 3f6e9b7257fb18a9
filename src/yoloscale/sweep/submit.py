"""The points of a sweep as jobs of a scheduler: one array, or several."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from yoloscale.backends import registry
from yoloscale.backends.base import JobRequest, JobsLeftError
from yoloscale.backends.status import statuses
from yoloscale.config.freeze import load
from yoloscale.config.locations import cache_folder
from yoloscale.config.schema import ClusterConfig, Config
from yoloscale.config.topology import differences
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.arrays import put_down
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.endings import record_cancel
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.system.formatting import ranges


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
    """Submit these points, in one array if the site takes it; the caller has taken the sweep.

    Raises ConfigError as `submit_parts` does. As with a run that is refused, nothing of a new sweep stays then, unless
    some of its arrays do: they read their points there.
    """
    runs = sweep.runs()
    arrays, waiting = list[str](), list[tuple[RunDirectory, str]]()
    try:
        config = _config_of_all(sweep, indices)
        request, backend = array_job(config, sweep, typed, indices), registry.required(config.cluster)
        for part in backend.submit_points(request, indices):
            arrays.append(part.id)
            for index, job in part.jobs.items():
                waiting.append((runs[index], job))
                events.append(runs[index], events.Submitted(job=job))
    except ConfigError as error:
        if not isinstance(error, JobsLeftError):
            arrays.clear()
            for run, job in waiting:
                record_cancel(run, job)
            if is_new:
                shutil.rmtree(sweep.path, ignore_errors=True)  # what the scheduler said is raised
        raise
    finally:  # also after Ctrl-C: what was submitted by then stays
        if arrays:
            put_down(sweep, arrays)
    return Submission(tuple(arrays), tuple(indices))


def said_of_others(first: JobRequest, others: int) -> str:
    """What the script of the first of several arrays leaves out."""
    return (
        f"this is the script of {first.array}; the site takes no larger array: the same without --dry-run submits "
        f"{others} more"
    )


def _config_of_all(sweep: SweepDirectory, indices: Sequence[int]) -> Config:
    """The config of the first of these points. Raises ConfigError if one of them is to run elsewhere than it."""
    of_all = sweep.points()
    points = [of_all[index] for index in indices]
    paths = [sweep.run(point.name).config for point in points]
    first, section = load(paths[0]), _cluster_section(paths[0])
    alone = "all points are one job array: resume that point alone, or type the sweep's own command again"
    if first.cluster.is_here:
        found = f"{first.cluster.launcher} in point {points[0].name}"
        raise ConfigError(Problem("cluster.launcher", found, alone))
    for point, path in zip(points, paths, strict=True):
        if _cluster_section(path) == section:
            continue
        like_it = replace(first, cluster=load(path).cluster)
        for key, there, here in differences(like_it, first)[:1]:
            found = f"{there} in point {point.name}, {here} in point {points[0].name}"
            raise ConfigError(Problem(key, found, alone))
    return first


def _cluster_section(config: Path) -> str:
    """As it stands in the file: a thousand of them are not parsed to find that they are the same."""
    found = re.search(r"^cluster:\n(?:[ -].*\n|\n)*", config.read_text(encoding="utf-8"), re.MULTILINE)
    return found[0] if found is not None else ""


def refuse_if_nothing(sweep: SweepDirectory, indices: Sequence[int], *, failed_only: bool) -> None:
    """Raise ConfigError that says why there is nothing to submit."""
    if indices:
        return
    states = [status.state for status in statuses(sweep.runs())]
    found = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    wanted = "none of them has failed" if failed_only else "there is nothing left to submit"
    has_failed = "failed" in states and not failed_only
    instead = "`yoloscale resume SWEEP --failed` tries those again" if has_failed else "`yoloscale status SWEEP`"
    raise ConfigError(Problem("SWEEP", f"{sweep.name!r}: {found}; {wanted}", instead))


def refuse_if_missing(sweep: SweepDirectory, indices: Sequence[int]) -> None:
    """Raise ConfigError if the folder of one of these points was removed; a search makes such a point by itself."""
    runs = sweep.runs()
    missing = [runs[index].name for index in indices if not runs[index].config.exists()]
    if missing and not sweep.base.exists():
        found = f"{sweep.name!r}: {len(missing)} of its points are not there any more, the first: {missing[0]}"
        raise ConfigError(Problem("SWEEP", found, "type the sweep's own command again: it makes them anew"))
