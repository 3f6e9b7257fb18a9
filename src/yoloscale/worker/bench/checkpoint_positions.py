"""Checkpoints at some steps of an epoch, for the runs that `yoloscale bench checkpoint` lets go on from there.

Only one step is trained: the states are that of the first step with another position, as large and as valid as those
of a training that really got there.
"""

from __future__ import annotations

from typing import Any

from yoloscale.config.schema.bench import BenchConfig
from yoloscale.distributed.environment import Ranks
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.bench.training import Training


def store(config: BenchConfig, run: RunDirectory, ranks: Ranks) -> dict[str, Any]:
    """Collective. Store a checkpoint at each of the steps."""
    positions = config.bench.positions
    training = Training(config, run, ranks)
    steps_per_epoch = training.parts.order.steps
    if steps_per_epoch <= max(positions):
        raise ValueError(f"an epoch has {steps_per_epoch} steps, too few for a start at step {max(positions)}")
    training.run(1)
    for step in positions:
        position = training.progress.position
        position.epochs, position.step, position.total = config.epochs, step, step
        training.checkpointer.save(training.progress, "measured")
        training.checkpointer.wait()
    training.close()
    return {"steps_per_epoch": steps_per_epoch}
