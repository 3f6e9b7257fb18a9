"""`python -m yoloscale.backends.slurm.owner FOLDER`: print the id of the run that a job script is to train.

For scripts that were not told it when they were submitted: those of arrays, whose elements are runs of their own, and
those that a person has submitted. SLURM keeps a script and its arguments, so that a job that is requeued knows its run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from yoloscale.backends.slurm.node import run_of
from yoloscale.errors import ConfigError
from yoloscale.exit_codes import BAD_CONFIG, FAILED, FINISHED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.system.slurm_step import job_of, restarts_of


def main(arguments: list[str], environ: Mapping[str, str] = os.environ) -> int:
    """0 with the id on standard output; 1 if a job that was requeued finds another run; 2 if there is none."""
    try:
        run = owned(run_of(Path(arguments[0]), environ))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_CONFIG
    job = job_of(environ)
    if restarts_of(environ) > 0 and _is_of_others(run, job):
        words = f"the folder {run.path} belongs to another run by now, which knows nothing of this job: it ends here"
        print(f"job {job}: {words}", file=sys.stderr)
        return FAILED
    print(run.run_id)
    return FINISHED


def _is_of_others(run: RunDirectory, job: str | None) -> bool:
    """Whether the run's history tells of jobs or launchers, and never of this job, which has been here before."""
    kinds = (events.Submitted, events.AttemptLaunched)
    history = [event for event in events.history(run) if isinstance(event, kinds)]
    return bool(history) and all(events.job_of(event) != job for event in history)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
