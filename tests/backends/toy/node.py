"""`python -m tests.backends.toy.node RUN RUN_ID|SEARCH --point=INDEX`: the node of a toy's job.

The job's id comes on standard input.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from yoloscale.agent.attempt import Observer
from yoloscale.agent.attempts import run_attempts
from yoloscale.backends.run_lock import lock
from yoloscale.config.freeze import load
from yoloscale.config.launchers import MODULES
from yoloscale.errors import ConfigError
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep.search import element
from yoloscale.system.waiting import retry


@dataclass(frozen=True)
class ToyStep:
    start: str
    nodes: int = 1
    first_host: str = "localhost"
    port: int = 0


LOCK_PATIENCE_S, LOCK_POLL_S = 300.0, 0.05  # the command that has submitted the run still has its lock


def main() -> int:
    MODULES["toy"] = "tests.backends.toy.backend"
    job = sys.stdin.readline().strip()
    folder, what = Path(sys.argv[1]), sys.argv[2]
    if what.startswith("--point="):
        os.environ |= {"TOY_JOB": job, "TOY_POINT": what.partition("=")[2]}
        if (code := element.main([str(folder)])) != 0:
            return code
        run = SweepDirectory(folder).run_of(int(os.environ["TOY_POINT"]))
    else:
        run = owned(RunDirectory(folder), what)
    taken = retry(lambda: lock(run, job=job), ConfigError, LOCK_PATIENCE_S, LOCK_POLL_S)
    observer = Observer(say=lambda line: print(line, flush=True))
    config, step = load(taken.run.config), ToyStep(f"{job}.0")
    return run_attempts(taken.run, config, observer, step=step).exit_code


if __name__ == "__main__":
    sys.exit(main())
