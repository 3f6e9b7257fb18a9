"""A locked run, handed to whoever starts its nodes."""

from __future__ import annotations

import shutil

from yoloscale.backends import registry
from yoloscale.backends.base import job_for
from yoloscale.backends.run_lock import LockedRun
from yoloscale.errors import ConfigError
from yoloscale.launch.start import RunRequest
from yoloscale.runs import events


def submit(request: RunRequest, taken: LockedRun) -> str:
    """Submit a run that was asked for and is taken, and let go of it; the job's id.

    Raises ConfigError with what the scheduler said; the run is as it was before then, and gone if it was not there.
    """
    run, backend = taken.run, registry.required(taken.config.cluster)
    try:
        job = backend.submit(job_for(taken.config, run.path, request.words(run.name)), run.run_id)
        events.append(run, events.Submitted(job=job))
    except ConfigError:
        if run.loss() is None:
            shutil.rmtree(run.path) if taken.before is None else taken.before.restore(run)
        raise
    finally:
        taken.release()
    return job
