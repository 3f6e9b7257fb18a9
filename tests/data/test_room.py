"""As many loader workers as there is room for, and a sentence where that is fewer than wanted."""

from __future__ import annotations

import pytest
import torch

from yoloscale.data import room
from yoloscale.data.room import WORKER_BYTES, Loading, Room, difference, fit, size_of

MIB = 2**20
WANTED = Loading(workers=8, batch_bytes=20 * MIB, evaluation_bytes=20 * MIB)  # 120 MiB of shared memory a worker
AMPLE = 2**40


def free(shared: int = AMPLE, memory: int = AMPLE) -> Room:
    return Room(shared, memory, "the job's --mem of 16.0 GiB")


def test_where_there_is_room_nothing_changes() -> None:
    assert fit(WANTED, free()) == WANTED
    assert difference(WANTED, WANTED, free()) is None


@pytest.mark.parametrize(
    ("shared_mib", "workers", "prefetch"),
    [(960, 8, 4), (959, 8, 3), (640, 8, 2), (639, 7, 2), (80, 1, 2), (79, 0, 4), (0, 0, 4)],
)
def test_in_little_shared_memory_workers_load_less_far_ahead_and_then_are_fewer(
    shared_mib: int, workers: int, prefetch: int
) -> None:
    chosen = fit(WANTED, free(shared=shared_mib * MIB))
    assert (chosen.workers, chosen.prefetch) == (workers, prefetch)


def test_a_small_dev_shm_is_named_with_the_remedy() -> None:
    here = free(shared=100 * MIB)
    told = difference(WANTED, fit(WANTED, here), here)
    assert told is not None
    assert told.startswith(
        "8 loader workers would use up to 960 MiB of /dev/shm, which has 100 MiB for each rank: 1 worker"
    )
    assert all(remedy in told for remedy in ("--shm-size", "--ipc=host", "medium: Memory", "workers=1"))
    nothing = difference(WANTED, fit(WANTED, free(shared=0)), free(shared=0))
    assert nothing is not None
    assert "the rank loads its images itself" in nothing


def test_a_job_with_little_memory_is_named_with_its_limit() -> None:
    here = free(memory=2 * WORKER_BYTES + 90 * MIB)
    chosen = fit(WANTED, here)
    told = difference(WANTED, chosen, here)
    assert (chosen.workers, chosen.prefetch) == (1, 2)
    assert told is not None
    assert "of which the job's --mem of 16.0 GiB leaves them" in told
    assert "cluster.mem" in told


def test_ranks_of_a_node_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 64 * MIB

    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: Usage)
    monkeypatch.setattr(room.memory, "available", lambda: room.memory.Room(16 * MIB, "x"))
    assert room.room_of_rank(4) == Room(16 * MIB, 2 * MIB, "x")


def test_a_batchs_tensors_count() -> None:
    assert size_of({"img": torch.zeros(2, 3, dtype=torch.uint8), "cls": torch.zeros(2), "files": ["a"]}) == 14
