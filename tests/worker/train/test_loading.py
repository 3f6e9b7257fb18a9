"""What a rank's loaders do where there is little memory is on record, and a rank that waits for them says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.run_events import lines_of

from yoloscale.data import room
from yoloscale.data.room import Room
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.hang.detect import Hang
from yoloscale.distributed.heartbeat import COMPUTING, HEARTBEAT, LOADING
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.train import hang, loading

IMAGE = 3 * 64 * 64


class Samples:
    """In place of a training set: images of 64 × 64 with a mask as large."""

    def sample(self, index: int, mosaic_closed: bool) -> dict[str, Any]:
        return {"img": torch.zeros(3, 64, 64, dtype=torch.uint8), "masks": torch.zeros(3, 64, 64, dtype=torch.uint8)}

    def collate(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_bytes: int) -> tuple[room.Loading, list[str]]:
    monkeypatch.setattr(room, "room_of_rank", lambda ranks: Room(shared_bytes, 2**40, "the machine"))
    run = RunDirectory(tmp_path)
    samples: Any = Samples()
    chosen = loading.choose(run, Ranks(host="node0"), samples, 8, 4)
    return chosen, [event["message"] for event in lines_of(run) if event["event"] == "warning"]


def test_batches_are_measured_with_their_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, warnings = choose(tmp_path, monkeypatch, 2**40)
    assert (chosen.workers, chosen.batch_bytes, chosen.evaluation_bytes) == (4, 8 * 2 * IMAGE, 16 * 2 * IMAGE)
    assert warnings == []


def test_fewer_workers_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, (warning,) = choose(tmp_path, monkeypatch, 0)
    assert chosen.workers == 0
    assert warning.startswith("node0: 4 loader workers would use up to ")


def test_a_rank_that_hangs_in_loading_says_what_its_workers_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang, "describe_workers", lambda: "its loader workers: pid 7 stopped")
    run, mine = RunDirectory(tmp_path), Hang((0,), "rank 0 on h hangs at step 1", "h")
    monkeypatch.setattr(HEARTBEAT, "last", HEARTBEAT.last._replace(phase=LOADING))
    hang.record(run, Ranks(host="h"), 1, mine)
    monkeypatch.setattr(HEARTBEAT, "last", HEARTBEAT.last._replace(phase=COMPUTING))
    hang.record(run, Ranks(host="h"), 2, mine)
    told = [event["error"] for event in lines_of(run)]
    assert told == ["hangs at step 1; its loader workers: pid 7 stopped", "hangs at step 1"]
