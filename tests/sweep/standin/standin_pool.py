"""`python -m standin_pool SWEEP COUNT GPUS`: a sweep's launcher whose points are stand-ins; GPUs are names, or -.

With a file `full` in the sweep's folder, the disk is full for it: nothing that happens can be put on record.
"""

from __future__ import annotations

import sys
from pathlib import Path

from yoloscale.backends.status import statuses
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep import pool
from yoloscale.sweep.grid import GridSource
from yoloscale.sweep.local import exit_code_of, run_sweep
from yoloscale.sweep.pool import PoolObserver
from yoloscale.sweep.slots import Slots


def main() -> int:
    pool.LAUNCHER = "standin_supervise"
    sweep, count = SweepDirectory(Path(sys.argv[1])), int(sys.argv[2])
    if (sweep.path / "full").exists():
        pool.events.note = lambda run, name, **facts: say(f"not recorded: {name}")
    gpus = None if sys.argv[3] == "-" else tuple(sys.argv[3].split(","))
    observer = PoolObserver(lambda run, where: say(f"{run.name} started {where}"), say=say)
    end = run_sweep(sweep, GridSource(sweep.runs(), say), observer, Slots(count, 1, 1, gpus))
    return exit_code_of(end, statuses(sweep.runs()))


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
