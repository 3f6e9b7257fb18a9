"""`python -m yoloscale.worker.bench.checkpoint_positions RUN` under torchrun: one rank of `yoloscale bench checkpoint`.

Leaves checkpoints at the steps of an epoch that RUN/wanted.json names. Only one step is trained: the states are that
of the first step with another position, as large and as valid as those of a training that really got there.
RUN/bench.json then holds {"steps_per_epoch"}.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from yoloscale.worker.bench.rank import Measure, run_rank

if TYPE_CHECKING:
    from yoloscale.config.schema import Config
    from yoloscale.distributed.environment import Ranks
    from yoloscale.runs.directory import RunDirectory

WANTED = "wanted.json"  # in the run directory: {"steps": steps of the first epoch, two or fewer}


def _measure() -> Measure:
    from yoloscale.worker.bench.training import Training

    def store(config: Config, run: RunDirectory, ranks: Ranks) -> dict[str, Any]:
        """Collective. Store a checkpoint at each of the steps."""
        wanted = json.loads((run.path / WANTED).read_text(encoding="utf-8"))["steps"]
        training = Training(config, run, ranks)
        steps_per_epoch = training.parts.order.steps
        if steps_per_epoch <= max(wanted):
            raise ValueError(f"an epoch has {steps_per_epoch} steps, too few for a start at step {max(wanted)}")
        training.run(1)
        for step in wanted:
            position = training.progress.position
            position.epochs, position.step, position.total = config.epochs, step, step
            training.keeper.save(training.progress, "measured")
            training.keeper.settle()
        training.close()
        return {"steps_per_epoch": steps_per_epoch}

    return store


if __name__ == "__main__":
    sys.exit(run_rank(sys.argv[1:], _measure))
