"""Sweeps: `train -m`, and what `status`, `resume` and `cancel` do with the name of one."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence

from yoloscale.cli.ending import shown
from yoloscale.cli.runs import COLUMNS, row, table
from yoloscale.cli.watch import say
from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.schema import Config, Launcher
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.runs.sweep_directory import is_sweep as is_sweep_directory

SHOWN = 40  # points of a table, unless all are asked for


def is_sweep(tokens: Sequence[str]) -> bool:
    """Whether several values are to be tried."""
    return "-m" in tokens or "--multirun" in tokens


def train(tokens: Sequence[str], *, dry_run: bool, prepare: bool) -> int:
    """Freeze the points of a sweep and submit them as one array."""
    from yoloscale.cli.submit import write_out
    from yoloscale.launch.slurm.render import script_of
    from yoloscale.sweep.configure import configure_all
    from yoloscale.sweep.freeze import proposed_directory, refuse_if_taken
    from yoloscale.sweep.points import expand
    from yoloscale.sweep.ready import ready
    from yoloscale.sweep.submit import array_job, refuse_if_nothing, submit_points, unfinished

    found = configure_all(expand(tokens))
    _refuse_local(found.first)
    proposed = proposed_directory(found)
    words = ["train", *tokens, *([] if found.name is not None else [f"name={proposed.name}"])]
    if dry_run:
        refuse_if_taken(found)
        indices = unfinished(proposed) if is_sweep_directory(proposed.path) else list(range(len(found.points)))
        refuse_if_nothing(proposed, indices, failed_only=False)
        print(f"sweep {shown(proposed.path)}\npoints {len(indices)}", file=sys.stderr)
        write_out(script_of(array_job(found.first, proposed, words, indices)))
        return 0
    with ready(tokens, say) as taken:
        sweep = taken.directory
        if prepare:
            print(f"sweep {shown(sweep.path)}")
            return 0
        indices = unfinished(sweep)
        refuse_if_nothing(sweep, indices, failed_only=False)
        try:
            submission = submit_points(sweep, words, indices)
        except ConfigError:
            if taken.is_new:  # as with a run that was refused, nothing of it stays
                shutil.rmtree(sweep.path)
            raise
    _announce(sweep, submission.job, len(submission.indices))
    return 0


def resume(sweep: SweepDirectory, changes: Sequence[str], *, failed_only: bool) -> int:
    """Submit what is unfinished, or what failed, as another array."""
    if changes:
        instead = "type the sweep's own command with it, and the same name="
        raise ConfigError(Problem(changes[0].partition("=")[0], "beside the name of a sweep", instead))
    from yoloscale.sweep.directory import take
    from yoloscale.sweep.submit import refuse_if_nothing, submit_points, unfinished

    with take(sweep):
        indices = unfinished(sweep, failed_only=failed_only)
        refuse_if_nothing(sweep, indices, failed_only=failed_only)
        submission = submit_points(sweep, ["resume", str(sweep.path)], indices)
    _announce(sweep, submission.job, len(submission.indices))
    return 0


def status(sweep: SweepDirectory, *, as_json: bool, show_all: bool) -> int:
    """A table of the points, or an array of objects."""
    from yoloscale.runs.status import statuses

    found = statuses(sweep.runs())
    if as_json:
        print(json.dumps([entry.as_json() for entry in found], indent=1))
        return 0
    counts = Counter(entry.state for entry in found)
    print(f"{sweep.name}: {len(found)} points: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    entries = found if show_all else found[:SHOWN]
    rows = [row(entry, time.time()) for entry in entries]
    print("\n".join(table([("point", *COLUMNS[1:]), *rows])))
    if len(entries) < len(found):
        print(f"and {len(found) - len(entries)} more: --all shows them")
    for words in dict.fromkeys(entry.scheduler for entry in found if entry.scheduler):
        print(f"SLURM: {words}; states are those of the runs' last events")
    if counts["failed"]:
        print(f"  yoloscale resume {shown(sweep.path)} --failed")
    return 0


def cancel(sweep: SweepDirectory, *, at_once: bool, timeout_s: float, as_json: bool) -> int:
    """Stop all points; those that train save first. 1 if some of them still do."""
    from yoloscale.sweep.cancel import cancel_points

    count, left = cancel_points(sweep, at_once=at_once, timeout_s=timeout_s)
    if as_json:
        status(sweep, as_json=True, show_all=True)
        return 1 if left else 0
    print(f"{sweep.name}: {count - left} of {count} points stopped" + (", the others still save" if left else ""))
    return 1 if left else 0


def _announce(sweep: SweepDirectory, job: str, count: int) -> None:
    path = shown(sweep.path)
    points = f"{count} point{'' if count == 1 else 's'}"
    print(f"sweep {path}\njob   {job} submitted: {points}\nlogs  {shown(sweep.job / f'slurm-{job}_INDEX.out')}")
    print(f"  yoloscale status {path}\n  yoloscale cancel {path}\n  squeue -j {shlex.quote(job)}")


def _refuse_local(config: Config) -> None:
    if config.cluster.launcher is not Launcher.slurm:
        instead = "write cluster=slurm; on one machine start one run for each value"
        raise ConfigError(
            Problem("--multirun", f"sweeps with cluster.launcher={config.cluster.launcher.value}", instead)
        )
