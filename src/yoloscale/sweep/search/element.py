"""`python -m yoloscale.sweep.search.element SWEEP`: in the job script of an array's element, before its ranks start.

Asks the study for the element's point and freezes it; one that was requeued has its point already. Exit code 3: there
is no point for it, as a finite space has been tried.
"""

from __future__ import annotations

import sys
from pathlib import Path

from yoloscale.backends import registry
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import BAD_CONFIG, FAILED, FINISHED
from yoloscale.runs import events
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep.directory import take
from yoloscale.sweep.search.search import ask_point, open_search, reconcile
from yoloscale.sweep.search.source import PATIENCE_S

NO_POINT = 3


def main(arguments: list[str]) -> int:
    """0 with a point to train, 1 with one that cannot be trained, 2 without a study, 3 without a point."""
    search = open_search(SweepDirectory(Path(arguments[0])))
    backend = registry.around()  # whatever the search goes on with by now
    assert backend is not None, "it is started in a job"
    index, job = backend.current_point(), backend.current_job()
    assert index is not None, "of an array"
    assert job is not None
    with take(search.sweep, PATIENCE_S):
        if index in {point.index for point in search.sweep.points()}:
            return FINISHED
        if index >= search.total:
            raise ConfigError(Problem("element", f"{index} of {search.total} points", "submit it again"))
        reconcile(search)
        point = ask_point(search, index)
        if point is None:
            print(f"no point is left for element {index}: all of the space has been tried", flush=True)
            return NO_POINT
        run, why = point
        if why is not None:
            print(f"{run.name} cannot be trained: {why}", file=sys.stderr, flush=True)
            return FAILED
        events.append(run, events.Submitted(job=job))
    words = next(point.overrides for point in search.sweep.points() if point.index == index)
    print(f"element {index}: {run.name}: {' '.join(words)}", flush=True)
    return FINISHED


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_CONFIG)
