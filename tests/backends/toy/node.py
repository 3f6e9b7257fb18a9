"""`python -m tests.backends.toy.node RUN RUN_ID`: the node of a toy's job, whose id comes on standard input."""

from __future__ import annotations

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
from yoloscale.system.waiting import retry


@dataclass(frozen=True)
class ToyStep:
    start: str
    nodes: int = 1
    first_host: str = "localhost"
    port: int = 0


LOCK_PATIENCE_S, LOCK_POLL_S = 60.0, 0.05  # the command that has submitted the run still has its lock


def main() -> int:
    MODULES["toy"] = "tests.backends.toy.backend"
    job = sys.stdin.readline().strip()
    run = owned(RunDirectory(Path(sys.argv[1])), sys.argv[2])
    taken = retry(lambda: lock(run, job=job), ConfigError, LOCK_PATIENCE_S, LOCK_POLL_S)
    observer = Observer(say=lambda line: print(line, flush=True))
    config, step = load(taken.run.config), ToyStep(f"{job}.0")
    return run_attempts(taken.run, config, observer, step=step).exit_code


if __name__ == "__main__":
    sys.exit(main())
