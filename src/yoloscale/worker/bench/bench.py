"""The program of one rank of `yoloscale bench …`: it measures what the section `bench` of its config says."""

from __future__ import annotations

import json

from yoloscale.config.schema.bench import BenchConfig, Measurement
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.exit_codes import FINISHED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import write_whole
from yoloscale.worker.bench import checkpoint_cost, checkpoint_positions, steps

_MEASUREMENTS = {
    Measurement.steps: steps.measure,
    Measurement.checkpoints: checkpoint_cost.measure,
    Measurement.positions: checkpoint_positions.store,
}


def bench(config: BenchConfig, run: RunDirectory, ranks: Ranks, attempt: int, requests: StopRequests) -> int:
    """Collective. Measure; rank 0 writes what came of it to result.json and says that the run is finished."""
    requests.stop_listening()  # a measurement that is broken off has nothing to save
    measured = _MEASUREMENTS[config.bench.measurement](config, run, ranks)
    if ranks.is_first:
        run.check()
        write_whole(run.result, json.dumps({"metrics": {}, "bench": measured}))
        events.append(run, events.Finished(epochs=0, steps=0))
    group.barrier()
    group.leave()
    return FINISHED
