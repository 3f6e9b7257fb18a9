"""`python -m yoloscale.launch.supervise RUN LOCK_DESCRIPTOR`: a launcher without a display.

For detached runs, and for the points of a sweep on this machine.

The descriptor is the inherited lock on the run; it is let go when this process ends, however it ends.
"""

from __future__ import annotations

import sys
from pathlib import Path

from yoloscale.agent.attempt import Observer
from yoloscale.agent.previous_start import end_leftovers
from yoloscale.backends.run_lock import RunLock
from yoloscale.config.freeze import load
from yoloscale.config.schema import RunConfig
from yoloscale.exit_codes import FAILED
from yoloscale.launch.here import run_here
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.identity import RunLost


def main(arguments: list[str]) -> int:
    """Run the next attempt of a locked run; its exit code."""
    taken = RunLock(RunDirectory(Path(arguments[0])), int(arguments[1]))
    try:
        taken.own()
        end_leftovers(taken.run, print)
        return run_here(taken.with_config(load(taken.run.config, of=RunConfig)), Observer()).exit_code
    except RunLost as lost:
        print(lost, file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
