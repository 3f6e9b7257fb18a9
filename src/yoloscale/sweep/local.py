"""A sweep on this machine: its points side by side, here or by a launcher in the background.

`python -m yoloscale.sweep.local SWEEP [--failed]` is that launcher.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from yoloscale.agent.attempts import TimeLimit, end_of_job
from yoloscale.backends import registry
from yoloscale.backends.check import validate
from yoloscale.config.freeze import Sections, load, load_own
from yoloscale.config.schema.sweep import SweepConfig
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import BAD_CONFIG, FAILED, FINISHED, INTERRUPTED, STOPPED
from yoloscale.launch.here import wait_until_started
from yoloscale.launch.start import prepared_again
from yoloscale.report.sweep import summary
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import nobody
from yoloscale.runs.status import Status, statuses
from yoloscale.runs.sweep_directory import SweepDirectory, read
from yoloscale.sweep import launchers, problems
from yoloscale.sweep.grid import GridSource
from yoloscale.sweep.pool import PoolEnd, PoolObserver, Source, run_pool
from yoloscale.sweep.prepare import needs
from yoloscale.sweep.search.search import open_search
from yoloscale.sweep.search.source import SearchSource
from yoloscale.sweep.slots import Slots, plan_slots
from yoloscale.system.formatting import tally
from yoloscale.system.machine import this_machine
from yoloscale.system.processes import start_detached
from yoloscale.system.remarks import Say
from yoloscale.system.variables import VISIBLE_GPUS

PointSource = GridSource | SearchSource
REPORT_WIDTH = 120


def run_sweep(
    sweep: SweepDirectory,
    source: Source,
    observer: PoolObserver,
    slots: Slots,
    *,
    conclude: Callable[[PoolEnd], None] = lambda end: None,
) -> PoolEnd:
    """Train the points that a source gives, in this process's main thread, until they have ended or are stopped.

    They stop before the end of the job that this is typed in; `cluster.time` is a limit of each point alone.

    `conclude` is called at the end, while others still see that this launcher is at work.
    """
    job_end = end_of_job(load(frozen_config(sweep)).cluster, registry.job_time_left(), TimeLimit(), observer.say)
    with launchers.on_record(sweep) as launcher:
        end = run_pool(
            source,
            slots,
            observer,
            max_failures=read(sweep).settings.max_failures,
            is_cancelled=launcher.is_asked_to_stop,
            job_end=job_end,
        )
        conclude(end)
        return end


def exit_code_of(end: PoolEnd, points: Sequence[Status]) -> int:
    """What a sweep's launcher exits with: 0 if all points are finished, 1 if one has failed; 75 and 130 as of a run."""
    if end.is_cancelled or end.stopped_by is signal.SIGINT:
        return INTERRUPTED
    if end.stopped_by is not None:
        return STOPPED
    states = {status.state for status in points}
    if states <= {"finished"}:
        return FINISHED
    if "failed" in states or end.count("failed"):
        return FAILED
    return INTERRUPTED if "cancelled" in states else STOPPED


def frozen_slots(sweep: SweepDirectory, settings: SweepConfig | None = None) -> Slots:
    """How many points of a frozen sweep train at a time here, by its own settings or others.

    Raises ConfigError as `plan_slots` does.
    """
    cluster = load(frozen_config(sweep)).cluster
    machine, parallel = this_machine(), (settings or read(sweep).settings).parallel
    cluster.gpus = _named(sweep)
    return plan_slots(cluster, machine, parallel=parallel, visible=os.environ.get(VISIBLE_GPUS))


def frozen_config(sweep: SweepDirectory) -> Path:
    """A config that says where all points go on; finished ones keep that of their own. ConfigError if there is none."""
    runs = sorted(sweep.runs(), key=lambda run: run.result.exists())
    for path in (sweep.base, *(run.config for run in runs)):
        if path.exists():
            return path
    raise ConfigError(Problem("SWEEP", f"{sweep.name!r}: it has no points", "type the sweep's own command again"))


def refuse_unlike(runs: Sequence[RunDirectory]) -> None:
    """Raise ConfigError unless these points are all to run here, and in the same way."""
    sections = Sections()
    configs = [load_own(run.config, sections) for run in runs]
    if elsewhere := next((config for config in configs if not config.cluster.is_here), None):
        found = f"{elsewhere.cluster.launcher} in some of its points, local in others"
        instead = "resume each point alone, or type the sweep's own command again"
        raise ConfigError(Problem("cluster.launcher", found, instead))
    instead = "resume that point alone, or type the sweep's own command again, for all to go on in one way"
    problems.refuse_unlike(configs, [run.name for run in runs], instead)


def ready_again(sweep: SweepDirectory, runs: Sequence[RunDirectory], say: Say) -> None:
    """Check points that are to go on here, and see that all is there which they need. Raises ConfigError."""
    sections, machine = Sections(), this_machine()
    configs = [load_own(run.config, sections) for run in runs]
    of_points = [validate(config, machine) for config in configs]
    if lines := problems.gathered(of_points, [run.name for run in runs]):
        raise ConfigError(lines)
    for config in {needs(config): config for config in configs}.values():
        prepared_again(sweep.path, config, say)


def start_in_background(sweep: SweepDirectory, *, failed_only: bool = False) -> int:
    """Hand a frozen sweep to a launcher that outlives this process and its terminal; that launcher's pid."""
    argv = [sys.executable, "-m", "yoloscale.sweep.local", str(sweep.path.absolute()), *["--failed"] * failed_only]
    pid = start_detached(argv, sweep.launcher_log)

    def is_on_record() -> bool:
        return pid in [launcher.pid for launcher in launchers.alive(sweep)]

    wait_until_started("the sweep's launcher", pid, sweep.launcher_log, is_on_record)
    return pid


def source_of(sweep: SweepDirectory, say: Say, *, failed_only: bool = False) -> PointSource:
    """The points of a frozen sweep that are to be trained; those of a search are asked for as it goes on."""
    if read(sweep).settings.search is not None:
        return SearchSource(open_search(sweep), say, failed_only=failed_only)
    return GridSource(sweep.runs(), say, failed_only=failed_only)


def _named(sweep: SweepDirectory) -> list[int] | None:
    try:
        return [int(index) for index in json.loads(sweep.gpus.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        instead = "type the sweep's own command again, with device= as before"
        raise ConfigError(Problem(str(sweep.gpus), f"no list of GPUs: {error}", instead)) from error


def main(arguments: Sequence[str]) -> int:
    """Be the launcher of a frozen sweep, without a display; its exit code."""
    try:
        return _launched(SweepDirectory(Path(arguments[0])), failed_only="--failed" in arguments)
    except ConfigError as error:
        _say(str(error))
        return BAD_CONFIG


def _launched(sweep: SweepDirectory, *, failed_only: bool) -> int:
    source, slots = source_of(sweep, _say, failed_only=failed_only), frozen_slots(sweep)
    observer = PoolObserver(
        started=lambda run, where: _say(f"{run.name}: started" + (f" on {where}" if where else "")),
        ended=lambda run, end: _say(f"{run.name}: {end.state}" + (f": {end.error}" if end.error else "")),
        say=_say,
    )
    _say(f"{sweep.name}: {len(source)} points, {slots.count} at a time, by process {os.getpid()}")
    end = run_sweep(sweep, source, observer, slots, conclude=lambda end: _conclude(sweep, end))
    return exit_code_of(end, statuses(sweep.runs(), nobody))


def _conclude(sweep: SweepDirectory, end: PoolEnd) -> None:
    """Say what has become of the points, and write the results down if they have come to an end."""
    _say(f"{sweep.name}: {tally(point.state for point in statuses(sweep.runs(), nobody))}")
    if end.stopped_by is not None or not end.count("finished"):
        return
    try:
        _say("\n".join(["results", *map(str, summary(sweep, REPORT_WIDTH).paths)]))
    except (ConfigError, OSError) as error:
        _say(f"no report was written: {error}")


def _say(line: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S"), line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
