"""What every rank program of a benchmark does around its measurement. Nothing heavy is imported before it is time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yoloscale.config.freeze import load
from yoloscale.config.schema import Config
from yoloscale.distributed.environment import Ranks, from_environment
from yoloscale.exit_codes import FINISHED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.system.variables import RUN_ID

RESULT = "bench.json"

Measure = Callable[[Config, RunDirectory, Ranks], dict[str, Any]]


def run_rank(arguments: list[str], chosen: Callable[[], Measure]) -> int:
    """Measure in the run directory `arguments[0]`; rank 0 writes RUN/bench.json and says that the run is finished.

    `chosen` imports the measurement, which is collective, once Ultralytics has been prepared.
    """
    run, ranks = owned(RunDirectory(Path(arguments[0]).absolute()), os.environ.get(RUN_ID)), from_environment()
    config = load(run.config)
    from yoloscale.yolo import runtime

    runtime.prepare(ranks.world_size, config.model.allow_pickle)
    from yoloscale.distributed import group

    measure = chosen()
    runtime.check_ranks(ranks.rank, ranks.world_size, ranks.local_rank)
    runtime.keep_offline()
    try:
        measured = measure(config, run, ranks)
    except Exception as error:
        said = {"rank": ranks.rank, "host": ranks.host, "error": f"{type(error).__name__}: {error}"}
        events.record(run, events.FAILED, attempt=1, **said)
        raise
    if ranks.is_first:
        run.check()
        (run.path / RESULT).write_text(json.dumps(measured), encoding="utf-8")
        events.record(run, events.FINISHED, epochs=0, steps=0)
    group.barrier()
    group.leave()
    return FINISHED
