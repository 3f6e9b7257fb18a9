"""`sweep.max_failures` on SLURM: an element of an array that starts after too many of it have failed does not train."""

from __future__ import annotations

from yoloscale.launch.slurm.record import record_cancel
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.scheduler import nobody
from yoloscale.runs.status import statuses
from yoloscale.runs.sweep_directory import SweepDirectory, is_sweep, read


def give_up(run: RunDirectory, job: str) -> str | None:
    """Why a point is not to be started in this job, put on record; None if it is.

    Failures of earlier submissions do not count, and a point that this job has trained already goes on. One that is
    given up is cancelled: `resume SWEEP` takes it up again.
    """
    array, _, task = job.partition("_")
    sweep = SweepDirectory(run.path.parent)
    if not task or not is_sweep(sweep.path):
        return None
    most = read(sweep).settings.max_failures
    if most is None or any(_is_launch_in(record, job) for record in events.history(run)):
        return None
    found = statuses(sweep.runs(), nobody)
    failed = [each.name for each in found if each.state == "failed" and str(each.job).partition("_")[0] == array]
    if len(failed) < most:
        return None
    record_cancel(run, job)
    return f"{len(failed)} points have failed (sweep.max_failures={most}), the first: {failed[0]}; it is not started"


def _is_launch_in(record: dict[str, object], job: str) -> bool:
    return record["event"] == events.ATTEMPT_LAUNCHED and events.job_of(record) == job
