"""What a rank learns from the record of a run while it waits for the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT, SETTING_UP, WAITING
from yoloscale.distributed.peers import Loss, Peers
from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import files as event_files
from yoloscale.runs.events import parse
from yoloscale.worker.train import hang
from yoloscale.worker.train.hang import recorded_loss


def failed(rank: int | None = 3, attempt: int = 2, time: float = 11.0, **more: Any) -> dict[str, Any]:
    said = {"host": "node1", "error": "was killed by SIGKILL", "exit_code": -9}
    return {"event": "failed", "rank": rank, "attempt": attempt, "time": time, **said, **more}


def test_a_killed_rank_of_a_node_that_is_gone_is_told_by_its_launcher() -> None:
    assert recorded_loss([parse(failed())], 0, 2, 10.0) == Loss(3, "node1", "was killed by SIGKILL", is_gone=True)


def test_what_is_old_ones_own_or_only_a_consequence_is_not() -> None:
    others = [failed(attempt=1), failed(time=9.0), failed(rank=0), failed(collateral=True), failed(rank=None)]
    assert recorded_loss([parse(record) for record in others], 0, 2, 10.0) is None


def test_rank_0_reads_each_line_of_the_record_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, peers, looks, lines = RunDirectory(tmp_path), Peers(), list[float](), list[Any]()
    for number in range(40):
        event_files.append(run, {"event": "checkpoint_saved", "time": float(number)})

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 5:
            event_files.append(run, failed(time=50.0))

    def parse(line: Any, real: Any = jsonl.parse) -> Any:
        lines.append(line)
        return real(line)

    monkeypatch.setattr(jsonl, "parse", parse)
    monkeypatch.setattr("time.sleep", look)
    monkeypatch.setattr(hang, "PEERS", peers)
    peers.announce = lambda loss: setattr(peers, "loss", loss)
    HEARTBEAT.at(WAITING)
    try:
        hang._hear_launchers(run, Ranks(world_size=4), 2, 45.0)
    finally:
        HEARTBEAT.at(SETTING_UP)
    assert peers.loss == Loss(3, "node1", "was killed by SIGKILL", is_gone=True)
    assert len(lines) == 41, "what was read was read again"
