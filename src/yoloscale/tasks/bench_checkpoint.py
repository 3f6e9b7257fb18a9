"""`python -m yoloscale.tasks.bench_checkpoint RUN` under torchrun: one rank of `yoloscale bench checkpoint`.

Trains, and saves as our runs do and as Ultralytics does; RUN/bench.json then holds the samples.
"""

from __future__ import annotations

import sys

from yoloscale.tasks.bench_rank import Measure, run_rank


def _measure() -> Measure:
    from yoloscale.tasks.bench_checkpoint_cost import measure

    return measure


if __name__ == "__main__":
    sys.exit(run_rank(sys.argv[1:], _measure))
