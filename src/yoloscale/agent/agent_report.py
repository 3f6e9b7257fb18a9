"""What torchrun's agent printed about ranks that died. Its exit code is 1 whatever happened; its report tells more."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from yoloscale.runs.tail import Lines

_BLOCK = re.compile(
    r"^\s*rank\s*: (?P<rank>\d+) \(local_rank: \d+\)\n"
    r"\s*exitcode\s*: (?P<exit_code>-?\d+) \(pid: (?P<pid>\d+)\)",
    re.MULTILINE,
)
_CLOSING = re.compile(r"Sending process (\d+) closing signal")
_DEATH = re.compile(r"Received (?:Signals\.)?(\w+) death signal")  # a number, or a name under Python 3.10
_FORCED = re.compile(r"Unable to shutdown process (\d+) via")
_RENDEZVOUS = re.compile(r"RendezvousConnectionError|RendezvousTimeoutError|DistNetworkError|DistStoreError")


@dataclass(frozen=True)
class RankExit:
    """How one rank ended; exit codes below zero are signals."""

    rank: int
    exit_code: int
    pid: int


class AgentLog:
    """The log of an agent that still prints, read on from where it was read to."""

    def __init__(self, path: Path) -> None:
        self.closed_pids: list[int] = []  # ranks that the agent told to end because another one had ended badly
        self.death_signal: signal.Signals | None = None  # as `death_signal` says
        self._lines = Lines(path)

    def look(self) -> None:
        text = b"\n".join(self._lines.new()).decode(errors="replace")
        self.closed_pids += closed_pids(text)
        self.death_signal = self.death_signal or death_signal(text)


def rank_exits(log: str) -> list[RankExit]:
    """Ranks of the agent's node that ended badly, what it takes for the root cause last."""
    return [RankExit(int(match["rank"]), int(match["exit_code"]), int(match["pid"])) for match in _BLOCK.finditer(log)]


def closed_pids(log: str) -> list[int]:
    """Ranks that the agent told to end because another one had ended badly."""
    return [int(pid) for pid in _CLOSING.findall(log)]


def forced_pids(log: str) -> set[int]:
    """Ranks that the agent killed because they did not end when told."""
    return {int(pid) for pid in _FORCED.findall(log)}


def death_signal(log: str) -> signal.Signals | None:
    """The signal that the agent itself received and passed on; the ranks then have its --shutdown-timeout to save."""
    if (match := _DEATH.search(log)) is None:
        return None
    return signal.Signals(int(match[1])) if match[1].isdigit() else signal.Signals[match[1]]


def failed_to_meet(log: str) -> bool:
    """Whether the nodes did not find each other."""
    return _RENDEZVOUS.search(log) is not None
