"""`python -m yoloscale.worker.bench.bare RUN` under torchrun: one rank of the yardstick of `yoloscale bench train`.

Measures forward, backward and optimiser step of the run's model on a batch that never changes; trains nothing.
Writes RUN/bench.json: {"images_per_s": {"ddp": …, "flat": …}, "precision", "threads"}.
"""

from __future__ import annotations

import sys

from yoloscale.worker.bench.rank import Measure, run_rank


def _measure() -> Measure:
    from yoloscale.worker.bench.steps import measure

    return measure


if __name__ == "__main__":
    sys.exit(run_rank(sys.argv[1:], _measure))
