"""Sweeps: `train -m`, and what `status`, `resume` and `cancel` do with the name of one."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from yoloscale.cli.runs import COLUMNS, row, scheduler_lines, table
from yoloscale.cli.show.ending import shown
from yoloscale.cli.show.watch import say
from yoloscale.config.schema.sweep import Pruner
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import FAILED, FINISHED
from yoloscale.runs.sweep_directory import SweepDirectory, read
from yoloscale.system.formatting import counted

if TYPE_CHECKING:
    from yoloscale.config.compose.flags import Flags
    from yoloscale.sweep.search.ready import PlannedSearch
    from yoloscale.sweep.start import SweepRequest
    from yoloscale.sweep.submit import Submission

SHOWN = 40  # points of a table, unless all are asked for


def train(line: Flags, *, dry_run: bool, prepare: bool, detach: bool) -> int:
    """Freeze the points of a sweep, or make a search; train them here or submit them as one array."""
    from yoloscale.cli.sweep import local as sweep_local
    from yoloscale.sweep.start import SearchRequest, submit_rest, sweep_request

    request = sweep_request(line, say)
    refuse_flags(is_local=request.is_here, prepare=prepare, detach=detach)
    if isinstance(request, SearchRequest):
        output = sys.stdout if request.is_here else sys.stderr
        print("\n".join(described(request.planned)), file=output, flush=True)
    if dry_run:
        return _dry_run(request)
    with request.take(say) as taken:
        sweep = taken.directory
        if prepare:
            print(f"sweep {shown(sweep.path)}")
            return FINISHED
        if not request.is_here:  # by the name that it got: another command may have taken the first one that was free
            submission = submit_rest(sweep, request.words(sweep.name), is_new=taken.is_new)
            return announce(sweep, submission)
    return sweep_local.start(sweep, failed_only=False, detach=detach)


def _dry_run(request: SweepRequest) -> int:
    """Say what happens to the data before a start, and print what would be started or submitted.

    Raises ConfigError as a start does, also for weights that are here and cannot be trained.
    """
    from yoloscale.cli.sweep import local as sweep_local
    from yoloscale.launch.prepare import say_outlook
    from yoloscale.sweep.freeze import refuse_if_taken, say_not_compared
    from yoloscale.sweep.prepare import refuse_weights_of
    from yoloscale.sweep.start import GridRequest

    is_grid = isinstance(request, GridRequest)
    if is_grid:
        refuse_if_taken(request.points)
    refuse_weights_of(request.points)
    say_outlook([each.config for each in request.points.points], say)
    say_not_compared(request.points, say)
    if not request.is_here:
        return _print_script(request)
    return sweep_local.dry_run(request.points) if is_grid else FINISHED


def _print_script(request: SweepRequest) -> int:
    from yoloscale.backends import registry
    from yoloscale.cli.start import write_out
    from yoloscale.sweep.submit import said_of_others

    job, indices = request.job()
    print(f"sweep {shown(job.folder)}\npoints {len(indices)}", file=sys.stderr)
    backend = registry.required(job.cluster)
    first, *others = backend.render_points(job, indices)
    if others:
        print(said_of_others(first, len(others)), file=sys.stderr)
    write_out(backend.render(first))
    return FINISHED


def described(planned: PlannedSearch) -> list[str]:
    """What is to be searched, by whom and for what, a line for each."""
    from yoloscale.study.objectives import objectives_of
    from yoloscale.sweep.search.settings import total

    settings = planned.settings
    objectives = ", ".join(f"{direction} {metric}" for metric, direction in objectives_of(settings).items())
    pruned = "" if settings.pruner is Pruner.none else f", pruned by {settings.pruner.value}"
    head = f"search {total(settings, planned.space)} points by {settings.sampler.value}{pruned}: {objectives}"
    return [head, *(f"  {dimension}" for dimension in planned.space.dimensions)]


def refuse_flags(*, is_local: bool, prepare: bool, detach: bool) -> None:
    """Flags that do not go with where a sweep runs."""
    problems = []
    if prepare and is_local:
        problems.append(Problem("--prepare", "without cluster=slurm", "leave it out: scripts of SLURM jobs use it"))
    if detach and not is_local:
        problems.append(Problem("--detach", "for a sweep on SLURM", "leave it out: its points are a job"))
    if problems:
        raise ConfigError(problems)


def resume(sweep: SweepDirectory, changes: Sequence[str], *, failed_only: bool, detach: bool) -> int:
    """Go on with what is unfinished, or with what failed: here, or as another array."""
    from yoloscale.cli.sweep import local as sweep_local
    from yoloscale.sweep import local
    from yoloscale.sweep.changes import change_points, changed_settings
    from yoloscale.sweep.directory import take
    from yoloscale.sweep.freeze import change_settings
    from yoloscale.sweep.start import submit_rest
    from yoloscale.sweep.submit import cluster_of, refuse_if_missing
    from yoloscale.sweep.unfinished import unfinished

    settings, words = changed_settings(changes, read(sweep).settings)
    indices = unfinished(sweep, failed_only=failed_only)
    refuse_if_missing(sweep, indices)
    is_local = cluster_of(sweep, indices).is_here
    refuse_flags(is_local=is_local, prepare=False, detach=detach)
    points = sweep.runs()
    runs = [points[index] for index in indices if points[index].config.exists()]  # a search makes the others anew
    if is_local:  # before anything is written
        local.frozen_slots(sweep, settings)
        local.refuse_unlike(runs)
    if words:
        change_points(sweep, runs, words, say)
    elif is_local:
        local.ready_again(sweep, runs, say)
    with take(sweep):
        change_settings(sweep, settings)
        if not is_local:
            return announce(sweep, submit_rest(sweep, ["resume", str(sweep.path)], failed_only=failed_only))
    return sweep_local.start(sweep, failed_only=failed_only, detach=detach)


def status(sweep: SweepDirectory, *, as_json: bool, show_all: bool) -> int:
    """A table of the points, or an array of objects."""
    from yoloscale.backends.status import statuses

    points = statuses(sweep.runs())
    if as_json:
        print(json.dumps([entry.as_json() for entry in points], indent=1))
        return FINISHED
    counts = Counter(entry.state for entry in points)
    total = _total(sweep)
    count = f"{len(points)} points" if total == len(points) else f"{len(points)} of {total} points"
    states = ", ".join(f"{number} {state}" for state, number in counts.items()) or "none has started"
    print(f"{sweep.name}: {count}: {states}")
    entries = points if show_all else points[:SHOWN]
    rows = [row(entry, time.time()) for entry in entries]
    print("\n".join(table([("point", *COLUMNS[1:]), *rows])))
    if len(entries) < len(points):
        print(f"and {len(points) - len(entries)} more: --all shows them")
    for line in scheduler_lines(points):
        print(line)
    is_left = [entry.is_lost or (entry.state == "pending" and entry.job is None) for entry in points]
    is_whole = len(points) == total and not any(is_left)
    _say_how_to_go_on(sweep, counts, is_whole=is_whole)
    return FINISHED


def _total(sweep: SweepDirectory) -> int:
    """How many points there will be: those of a search are made one after another."""
    from yoloscale.sweep.search.search import open_search

    return len(sweep.points()) if read(sweep).settings.search is None else open_search(sweep).total


def _say_how_to_go_on(sweep: SweepDirectory, counts: Mapping[str, int], *, is_whole: bool) -> None:
    """Who trains points here, or what starts them again; and those that failed, which takes a word of its own."""
    from yoloscale.sweep.launchers import alive

    path, here = shown(sweep.path), alive(sweep)
    for launcher in here:
        print(f"trained by process {launcher.pid} on {launcher.host}: yoloscale cancel {path}")
    if not here and (counts["preempted"] + counts["cancelled"] or not is_whole):
        print(f"  yoloscale resume {path}")
    if counts["failed"]:
        print(f"  yoloscale resume {path} --failed")


def cancel(sweep: SweepDirectory, *, at_once: bool, timeout_s: float, as_json: bool) -> int:
    """Stop all points; those that train save first. 1 if some of them still do."""
    from yoloscale.sweep.cancel import cancel_points

    count, left = cancel_points(sweep, at_once=at_once, timeout_s=timeout_s)
    if as_json:
        status(sweep, as_json=True, show_all=True)
        return FAILED if left else FINISHED
    print(f"{sweep.name}: {count - left} of {count} points stopped" + (", the others still save" if left else ""))
    return FAILED if left else FINISHED


def announce(sweep: SweepDirectory, submission: Submission) -> int:
    """Say what was submitted, and how to follow it."""
    from yoloscale.backends import registry

    jobs, count = submission.jobs, len(submission.indices)
    backend = registry.of_job(jobs[0])
    path, job = shown(sweep.path), ",".join(jobs)
    several = f" in {len(jobs)} arrays, as large as the site takes them" if len(jobs) > 1 else ""
    print(f"sweep {path}\njob   {job} submitted: {counted(count, 'point')}{several}")
    array = jobs[0] if len(jobs) == 1 else "ARRAY"
    print(f"logs  {shown(backend.output(sweep.job, f'{array}_INDEX'))}")
    print(f"  yoloscale status {path}\n  yoloscale cancel {path}\n  {backend.watch_command(jobs)}")
    return FINISHED
