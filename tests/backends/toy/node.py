"""`python -m tests.backends.toy.node RUN RUN_ID`: the node of a toy's job, whose id comes on standard input."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from yoloscale.agent.attempt import Observer
from yoloscale.agent.attempts import run_attempts
from yoloscale.backends import registry
from yoloscale.backends.run_lock import RunLock, lock
from yoloscale.config.freeze import load
from yoloscale.errors import ConfigError
from yoloscale.runs.directory import RunDirectory, owned


@dataclass(frozen=True)
class ToyStep:
    start: str
    nodes: int = 1
    first_host: str = "localhost"
    port: int = 0


LOCK_POLL_S, LOCK_PATIENCE_S = 0.05, 60.0


def take(run: RunDirectory, job: str) -> RunLock:
    """The lock of the run, once the command that has submitted it lets go."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            return lock(run, job=job)
        except ConfigError:
            if time.monotonic() > deadline:
                raise
        time.sleep(LOCK_POLL_S)


def main() -> int:
    registry.MODULES["toy"] = "tests.backends.toy.backend"
    job = sys.stdin.readline().strip()
    taken = take(owned(RunDirectory(Path(sys.argv[1])), sys.argv[2]), job)
    observer = Observer(say=lambda line: print(line, flush=True))
    config, step = load(taken.run.config), ToyStep(f"{job}.0")
    return run_attempts(taken.run, config, observer, step=step).exit_code


if __name__ == "__main__":
    sys.exit(main())
