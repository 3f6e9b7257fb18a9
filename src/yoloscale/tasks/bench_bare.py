"""`python -m yoloscale.tasks.bench_bare RUN` under torchrun: one rank of the yardstick of `yoloscale bench train`.

Measures forward, backward and optimiser step of the run's model on a batch that never changes; trains nothing.
Writes RUN/bench.json: {"images_per_s": {"ddp": …, "flat": …}, "precision", "threads"}.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from yoloscale.config.freeze import load
from yoloscale.dist.environment import from_environment
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory

RESULT = "bench.json"


def main(arguments: list[str]) -> int:
    """Measure; rank 0 writes the result and says in events.jsonl that the run is finished."""
    run, ranks = RunDirectory(Path(arguments[0]).absolute()), from_environment()
    config = replace(load(run.config), cache=False)  # one batch is all that is read
    from yoloscale.yolo import runtime

    runtime.prepare(ranks.world_size, config.model.allow_pickle)
    from yoloscale.dist import group
    from yoloscale.tasks.bench_steps import measure

    runtime.keep_offline()
    try:
        measured = measure(config, run, ranks)
    except Exception as error:
        said = {"rank": ranks.rank, "host": ranks.host, "error": f"{type(error).__name__}: {error}"}
        events.record(run, events.FAILED, attempt=1, **said)
        raise
    if ranks.is_first:
        (run.path / RESULT).write_text(json.dumps(measured), encoding="utf-8")
        events.record(run, events.FINISHED, epochs=0, steps=0)
    group.barrier()
    group.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
