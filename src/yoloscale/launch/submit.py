"""A locked run, handed to whoever starts its nodes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from yoloscale.backends import registry
from yoloscale.backends.base import job_for
from yoloscale.backends.run_lock import RunLock
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError
from yoloscale.runs import events
from yoloscale.runs.frozen_state import FrozenState


def submit(taken: RunLock, config: Config, typed: Sequence[str], before: FrozenState | None) -> str:
    """Submit a locked run and let go of it; the job's id. `typed`: words after `yoloscale` that start it so.

    Raises ConfigError with what the scheduler said; the run is as it was `before` then, and gone if it was not there
    (None).
    """
    run, backend = taken.run, registry.required(config.cluster)
    try:
        job = backend.submit(job_for(config, run.path, typed), run.run_id)
        events.append(run, events.Submitted(job=job))
    except ConfigError:
        if run.loss() is None:
            shutil.rmtree(run.path) if before is None else before.restore(run)
        raise
    finally:
        taken.release()
    return job
