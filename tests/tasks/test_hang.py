"""What a rank learns from the record of a run while it waits for the others."""

from __future__ import annotations

from typing import Any

from yoloscale.dist.peers import Loss
from yoloscale.tasks.hang import told_loss


def failed(rank: int | None = 3, attempt: int = 2, time: float = 11.0, **more: Any) -> dict[str, Any]:
    said = {"host": "node1", "error": "was killed by SIGKILL", "exit_code": -9}
    return {"event": "failed", "rank": rank, "attempt": attempt, "time": time, **said, **more}


def test_a_killed_rank_of_a_node_that_is_gone_is_told_by_its_launcher() -> None:
    assert told_loss([failed()], 0, 2, 10.0) == Loss(3, "node1", "was killed by SIGKILL", is_gone=True)


def test_what_is_old_ones_own_or_only_a_consequence_is_not() -> None:
    others = [failed(attempt=1), failed(time=9.0), failed(rank=0), failed(collateral=True), failed(rank=None)]
    assert told_loss(others, 0, 2, 10.0) is None
