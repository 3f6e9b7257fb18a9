"""`python -m yoloscale.worker.bench.checkpoint RUN` under torchrun: one rank of `yoloscale bench checkpoint`.

Trains, and saves as our runs do and as Ultralytics does; RUN/bench.json then holds the samples.
"""

from __future__ import annotations

import sys

from yoloscale.worker.bench.rank import Measure, run_rank


def _measure() -> Measure:
    from yoloscale.worker.bench.checkpoint_cost import measure

    return measure


if __name__ == "__main__":
    sys.exit(run_rank(sys.argv[1:], _measure))
