"""`sweep.max_failures` on SLURM: an element of an array that starts after too many of it have failed does not train."""

from __future__ import annotations

from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.arrays import together_with
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.endings import record_cancel
from yoloscale.runs.jobs import nobody
from yoloscale.runs.status import statuses
from yoloscale.runs.sweep_directory import read, sweep_of


def refuse_after_failures(run: RunDirectory, job: str) -> None:
    """Raise ConfigError, which ends the other nodes, too, if a point is not to be started in this job any more.

    Failures of earlier submissions do not count, and a point that this job has trained already goes on. One that is
    given up is put on record as cancelled: `resume SWEEP` takes it up again.
    """
    array, _, task = job.partition("_")
    sweep = sweep_of(run)
    if not task or sweep is None:
        return
    most = read(sweep).settings.max_failures
    launches = (event for event in events.history(run) if isinstance(event, events.AttemptLaunched))
    if most is None or any(events.job_of(event) == job for event in launches):
        return
    points, arrays = statuses(sweep.runs(), nobody), together_with(sweep, array)
    failed = [point.name for point in points if point.state == "failed" and str(point.job).partition("_")[0] in arrays]
    if len(failed) >= most:
        record_cancel(run, job)
        words = f"{most}, and {len(failed)} failed, the first: {failed[0]}"
        raise ConfigError(Problem("sweep.max_failures", words, "`yoloscale resume SWEEP` starts those that are left"))
