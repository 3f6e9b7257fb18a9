"""Sends what runs have logged offline to W&B, by wandb's own command in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from yoloscale.config.check.wandb_access import environment_with
from yoloscale.config.freeze import load_own
from yoloscale.errors import ConfigError
from yoloscale.runs.directory import RunDirectory

TIMEOUT_S = 3600.0  # for one run: its weights may be large and the line slow
IMPORTS = "import sys; from wandb.cli.cli import cli; sys.exit(cli())"


@dataclass(frozen=True)
class Synced:
    """What became of a run's files, and what wandb said."""

    sent: tuple[Path, ...]
    left: tuple[Path, ...]
    said: str


def unsent(run: RunDirectory) -> list[Path]:
    """The .wandb files of a run that were not sent, one for each start, oldest first.

    Of a start that was online they are there, too, unless it ended in order; only the newest start's are taken then,
    since wandb would put what is older below what is newer.
    """
    files = sorted(run.path.glob("wandb/*run-*/run-*.wandb"), key=_started)
    newest = files[-1:]
    return [file for file in files if not _is_sent(file) and (_is_offline(file) or [file] == newest)]


def server_of_run(run: RunDirectory) -> str | None:
    """The server that a run was frozen with; None where it was with none, or its config cannot be read."""
    try:
        wandb = load_own(run.config).logger.wandb
    except ConfigError:  # sending takes nothing else from it
        return None
    return wandb.base_url if wandb is not None else None


def sync(files: Sequence[Path], timeout_s: float = TIMEOUT_S, *, server: str | None = None) -> Synced:
    """Send the files of one run, in the order of its starts, to a server, or to the one of this environment.

    What wandb prints is kept; it is asked nothing.
    """
    online = [] if all(map(_is_offline, files)) else ["--include-online"]
    argv = [sys.executable, "-c", IMPORTS, "sync", *online, *map(str, files)]
    with TemporaryFile() as output:
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment_with(server),
                timeout=timeout_s,
                check=False,  # its exit code does not tell what was sent
            )
        output.seek(0)
        words = output.read().decode(errors="replace")
    sent = tuple(file for file in files if _is_sent(file))
    return Synced(sent, tuple(file for file in files if file not in sent), words.strip())


def _started(file: Path) -> str:
    """The time in `offline-run-20261122_223637-ID`, or in `run-…` of a start that was online."""
    return file.parent.name.removeprefix("offline-")


def _is_sent(file: Path) -> bool:
    return file.with_suffix(".wandb.synced").exists()


def _is_offline(file: Path) -> bool:
    return file.parent.name.startswith("offline-")
