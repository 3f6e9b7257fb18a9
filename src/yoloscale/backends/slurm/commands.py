"""The one place that runs SLURM's commands: argv lists, time limits, SLURM's own words in the error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

TIMEOUT_S = 60.0


class SlurmError(Exception):
    """A command of SLURM failed; `said` is what it wrote to stderr."""

    def __init__(self, argv: Sequence[str], said: str) -> None:
        super().__init__(f"{argv[0]}: {said}")
        self.said = said


def call(
    argv: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    timeout_s: float = TIMEOUT_S,
) -> str:
    """Run a command, return what it printed. Raises SlurmError."""
    try:
        process = subprocess.run(
            list(argv),
            cwd=folder,
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError:
        raise SlurmError(argv, f"there is no {argv[0]} on this machine") from None
    except subprocess.TimeoutExpired:
        raise SlurmError(argv, f"no answer within {timeout_s:.0f} s") from None
    if process.returncode != 0:
        words = process.stderr.strip() or process.stdout.strip() or f"it ended with {process.returncode}"
        raise SlurmError(argv, words)
    return process.stdout
