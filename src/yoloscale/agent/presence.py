"""Who is there, of a run that may go on with fewer nodes: node 0 calls, the others answer for as long as they live.

job/node-<k>.json is written by the launcher of node k alone. Node 0's names its call, which is new with every launcher
of node 0; the others repeat it, so that nobody is taken to be there who answered an earlier one. `beat` changes while
the launcher lives: clocks of two nodes are never compared. The file is written in place: NFS may show one that is
replaced as it was, and what is read torn is read again.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from dataclasses import asdict, dataclass

from yoloscale.config.freeze import load
from yoloscale.config.schema import RunConfig
from yoloscale.config.topology import differences
from yoloscale.runs.directory import RunDirectory

BEAT_S = 2.0


@dataclass(frozen=True)
class Sign:
    """What the launcher of a node says of itself."""

    call: str
    host: str
    pid: int
    beat: int
    start: str | None = None  # of the job, where there is one

    @property
    def launcher(self) -> tuple[str, int]:
        return self.host, self.pid


def read(run: RunDirectory, node_rank: int) -> Sign | None:
    """The sign of a node; None without a whole one."""
    try:
        record = json.loads(run.node_record(node_rank).read_text(encoding="utf-8"))
        return Sign(**{name: record.get(name) for name in Sign.__dataclass_fields__})
    except (OSError, ValueError, AttributeError):
        return None


def _write(run: RunDirectory, node_rank: int, content: bytes) -> None:
    descriptor = os.open(run.node_record(node_rank), os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.ftruncate(descriptor, os.write(descriptor, content))
    finally:
        os.close(descriptor)


class Call:
    """Node 0's sign; or that of another node, whose `call` is then not its own."""

    def __init__(self, run: RunDirectory, node_rank: int, call: str, start: str | None) -> None:
        self.call = call
        self._run, self._node_rank, self._start = run, node_rank, start
        self._beat_at = 0.0

    def beat(self) -> None:
        """Say that this launcher lives, if it is time; a disk that does not take it makes the node be missed."""
        if time.monotonic() < self._beat_at:
            return
        self._beat_at = time.monotonic() + BEAT_S
        if self._run.loss() is not None:  # the folder is another run's
            return
        sign = Sign(self.call, socket.gethostname(), os.getpid(), time.time_ns(), self._start)
        with contextlib.suppress(OSError):
            _write(self._run, self._node_rank, json.dumps(asdict(sign)).encode())

    def close(self) -> None:
        """This node is not to be waited for any longer."""
        sign = read(self._run, self._node_rank)
        if sign is not None and (sign.call, sign.launcher) == (self.call, (socket.gethostname(), os.getpid())):
            with contextlib.suppress(OSError):
                self._run.node_record(self._node_rank).unlink(missing_ok=True)


class Answer:
    """Another node's answer to whatever node 0 calls, for as long as both have the same config."""

    def __init__(self, run: RunDirectory, config: RunConfig, node_rank: int, start: str | None) -> None:
        self.is_refused = False  # node 0 lives, and has another config
        self._run, self._config, self._node_rank, self._start = run, config, node_rank, start
        self._own: Call | None = None
        self._different: Sign | None = None
        self._look_at = 0.0

    def beat(self) -> None:
        """Look for node 0's call, and answer, if it is time."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + BEAT_S
        sign = read(self._run, 0)
        if sign is None or sign.start != self._start:
            return
        if self._own is None or self._own.call != sign.call:
            self._own = self._answer_to(sign)
        if self._own is not None:
            self._own.beat()

    def close(self) -> None:
        if self._own is not None:
            self._own.close()

    def _answer_to(self, sign: Sign) -> Call | None:
        if not differences(load(self._run.config, of=RunConfig), self._config):
            self.is_refused = False
            return Call(self._run, self._node_rank, sign.call, self._start)
        before, self._different = self._different, sign
        # a launcher of node 0 that was killed leaves its call, too: the next one may be about to freeze this config
        self.is_refused = before is not None and before.call == sign.call and before.beat != sign.beat
        return None
