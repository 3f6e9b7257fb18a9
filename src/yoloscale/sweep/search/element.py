"""`python -m yoloscale.sweep.search.element SWEEP`: in the job script of an array's element, before its ranks start.

Asks the study for the element's point and freezes it; one that was requeued has its point already. Exit code 3: there
is no point for it, as a finite space has been tried.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import BAD_CONFIG, FAILED, FINISHED
from yoloscale.runs import events
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep.directory import take
from yoloscale.sweep.search.search import ask_point, open_search, reconcile
from yoloscale.sweep.search.source import PATIENCE_S
from yoloscale.system.slurm_step import job_of, point_of

NO_POINT = 3


def main(arguments: list[str], environ: Mapping[str, str] = os.environ) -> int:
    """0 with a point to train, 1 with one that cannot be trained, 2 without a study, 3 without a point."""
    search = open_search(SweepDirectory(Path(arguments[0])))
    index, job = point_of(environ), job_of(environ)
    assert index is not None, "the script of an array"
    assert job is not None, "its job"
    with take(search.sweep, PATIENCE_S):
        if index in {point.index for point in search.sweep.points()}:
            return FINISHED
        if index >= search.total:
            raise ConfigError(Problem("SLURM_ARRAY_TASK_ID", f"{index} of {search.total} points", "submit it again"))
        reconcile(search)
        asked = ask_point(search, index)
        if asked is None:
            print(f"no point is left for element {index}: all of the space has been tried", flush=True)
            return NO_POINT
        run, why = asked
        if why is not None:
            print(f"{run.name} cannot be trained: {why}", file=sys.stderr, flush=True)
            return FAILED
        events.append(run, events.Submitted(job=job))
    print(f"element {index}: {run.name}: {' '.join(point_words(search.sweep, index))}", flush=True)
    return FINISHED


def point_words(sweep: SweepDirectory, index: int) -> tuple[str, ...]:
    """What a point differs from others by."""
    return next(point.overrides for point in sweep.points() if point.index == index)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_CONFIG)
