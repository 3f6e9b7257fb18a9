"""A launcher of a test: `search_worker.py SWEEP`: takes points of a search until there are none, and "trains" each."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.run_events import write_event

from yoloscale.backends.run_lock import lock
from yoloscale.backends.status import status
from yoloscale.config.freeze import load
from yoloscale.errors import ConfigError
from yoloscale.runs.jobs import nobody
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep.search.search import open_search
from yoloscale.sweep.search.source import SearchSource


def main(sweep: SweepDirectory) -> None:
    source = SearchSource(open_search(sweep), print)
    while not source.is_exhausted():
        run = source.next()
        if run is None:
            time.sleep(0.1)
            continue
        try:
            taken = lock(run)
        except ConfigError:
            source.ended(run, status(run, nobody))
            continue
        if not run.result.exists():
            write_event(run, "training_started", attempt=1, epochs=1)
            trial = load(run.config).trial
            assert trial is not None
            beside = run.result.with_suffix(".writing")
            beside.write_text(json.dumps({"fitness": 1 / (trial.number + 1), "metrics": {}, "epochs": 1}))
            beside.replace(run.result)
        taken.release()
        source.ended(run, status(run, nobody))


if __name__ == "__main__":
    main(SweepDirectory(Path(sys.argv[1])))
