"""A sweep on this machine as a person sees it: what is to be done, how far it is, and what has become of it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from yoloscale.agent.attempt import command
from yoloscale.agent.spec import node_spec
from yoloscale.backends.status import statuses
from yoloscale.cli.report import say_warnings, screen_width, text
from yoloscale.cli.show.ending import shown
from yoloscale.cli.show.sweep_display import SweepDisplay
from yoloscale.config.plan import describe
from yoloscale.errors import ConfigError
from yoloscale.exit_codes import FAILED, FINISHED
from yoloscale.report.sweep import summary
from yoloscale.runs.status import Status
from yoloscale.runs.sweep_directory import SweepDirectory, is_sweep
from yoloscale.sweep import local
from yoloscale.sweep.configure import ConfiguredSweep
from yoloscale.sweep.freeze import proposed_directory
from yoloscale.sweep.local import PointSource
from yoloscale.sweep.pool import PoolObserver
from yoloscale.sweep.slots import Slots
from yoloscale.sweep.unfinished import unfinished
from yoloscale.system.formatting import counted, tally
from yoloscale.system.variables import CPU_SHARE, VISIBLE_GPUS

MAX_FAILED = 10  # told at the end, with their errors


def start(sweep: SweepDirectory, *, failed_only: bool, detach: bool) -> int:
    """Train what is left of a frozen sweep, watched or in the background; the exit code."""
    slots = local.frozen_slots(sweep)
    display = SweepDisplay(sweep.name, slots.count)
    source = local.source_of(sweep, display.say, failed_only=failed_only)
    print(f"sweep {shown(sweep.path)}", flush=True)
    if not len(source):
        points = statuses(sweep.runs())
        _print_end(sweep, points)
        return FAILED if any(each.state == "failed" for each in points) else FINISHED
    print(f"plan  {_plan(len(source), slots)}", flush=True)
    if source.left_out:
        count = len(source.left_out)
        print(f"{count} failed before, and {'is' if count == 1 else 'are'} not tried again without --failed")
    return _detached(sweep, failed_only=failed_only) if detach else _watched(sweep, source, display, slots)


def dry_run(configured: ConfiguredSweep) -> int:
    """Print the points and what each would be started with; nothing is made, fetched or started."""
    sweep, slots = proposed_directory(configured), configured.slots
    left = set(unfinished(sweep)) if is_sweep(sweep.path) else set(range(len(configured.points)))
    print(f"sweep {shown(sweep.path)}\nplan  {_plan(len(left), slots)}")
    shares = {CPU_SHARE: str(slots.cpus)}
    if slots.gpus is not None:
        shares[VISIBLE_GPUS] = f"{slots.ranks} of {','.join(slots.gpus)}"
    print("each  " + "  ".join([*(f"{name}={value}" for name, value in shares.items()), describe(configured.first)]))
    spec = node_spec(configured.first, sweep.path, attempt=1, job_id="JOB_ID")
    argv, _ = command(spec)
    for each in configured.points:
        if each.point.index in left:
            run = str(sweep.run(each.name).path)
            print(shlex.join([run if word == str(spec.run) else word for word in argv]))
    return FINISHED


def _plan(count: int, slots: Slots) -> str:
    points, ranks, cpus = (counted(*each) for each in ((count, "point"), (slots.ranks, "rank"), (slots.cpus, "CPU")))
    where = f"on GPUs of their own among {', '.join(slots.gpus)}" if slots.gpus is not None else f"on {cpus}"
    return f"{points} to train, {slots.count} at a time, each {ranks} {where}"


def _watched(sweep: SweepDirectory, source: PointSource, display: SweepDisplay, slots: Slots) -> int:
    display.expect(source.total, kept=source.total - len(source))
    with display:
        observer = PoolObserver(display.started, display.ended, display.watch, display.say)
        end = local.run_sweep(sweep, source, observer, slots)
    points = statuses(sweep.runs())
    _print_end(sweep, points)
    if end.stopped_by is None and end.count("finished"):
        _print_results(sweep)
    return local.exit_code_of(end, points)


def _print_results(sweep: SweepDirectory) -> None:
    """As `yoloscale report SWEEP`. What cannot be written does not make a sweep fail."""
    try:
        report = summary(sweep, screen_width())
    except (ConfigError, OSError) as error:
        print(f"no report was written: {error}", file=sys.stderr)
        return
    print("\n".join(text(report)[1:]))
    say_warnings(report.warnings)


def _detached(sweep: SweepDirectory, *, failed_only: bool) -> int:
    local.start_in_background(sweep, failed_only=failed_only)
    path = shown(sweep.path)
    print(f"runs in the background: {shlex.quote(sweep.name)}\nlogs  {shown(sweep.launcher_log)}")
    print(f"  yoloscale status {path}\n  yoloscale cancel {path}")
    return FINISHED


def _print_end(sweep: SweepDirectory, points: Sequence[Status]) -> None:
    """What has become of the points, those that failed with their errors, and how to go on."""
    print(f"{sweep.name}: {len(points)} points: {tally(each.state for each in points)}")
    failed = [each for each in points if each.state == "failed"]
    for each in failed[:MAX_FAILED]:
        print(f"failed  {each.name}: {each.error}", file=sys.stderr)
        if each.failed_log is not None:
            print(f"        {shown(sweep.run(each.name).path / each.failed_log)}", file=sys.stderr)
    if len(failed) > MAX_FAILED:
        print(f"and {len(failed) - MAX_FAILED} more", file=sys.stderr)
    path = shown(sweep.path)
    if any(each.state not in ("finished", "failed") for each in points):
        print(f"go on with  yoloscale resume {path}")
    if failed:
        print(f"try those that failed again with  yoloscale resume {path} --failed")
