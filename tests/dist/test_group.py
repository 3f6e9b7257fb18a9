"""The collectives, with real ranks, and doing nothing where there is only one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from yoloscale.dist import group
from yoloscale.dist.environment import Ranks


def collectives(ranks: Ranks, steps: Any, folder: str) -> dict[str, Any]:
    tensors = [torch.full((3,), float(ranks.rank)), torch.full((2, 2), ranks.rank + 0.5)]
    group.broadcast_tensors(tensors)
    nodes_of_one = replace(ranks, local_rank=0 if ranks.rank in (0, 2) else 1)  # as if on two nodes
    log = Path(folder) / "turns"
    with group.first_of_run_then_of_nodes(nodes_of_one):
        with log.open("a") as file:
            file.write(f"{ranks.rank} starts\n")
        time.sleep(0.2)
        with log.open("a") as file:
            file.write(f"{ranks.rank} ends\n")
    return {
        "steps": steps.size(),
        "told": group.broadcast_object({"from": ranks.rank}),
        "gathered": group.gather_objects(ranks.rank * 10),
        "broadcast": tensors,
    }


def test_three_ranks(launch_ranks: Callable[..., list[Any]], tmp_path: Path) -> None:
    for result in launch_ranks(collectives, 3, str(tmp_path)):
        assert result["steps"] == 3
        assert result["told"] == {"from": 0}
        assert result["gathered"] == [0, 10, 20]
        assert [tensor.unique().tolist() for tensor in result["broadcast"]] == [[0.0], [0.5]]
    turns = (tmp_path / "turns").read_text().splitlines()
    assert turns == ["0 starts", "0 ends", "2 starts", "2 ends", "1 starts", "1 ends"]


def test_alone_they_return_at_once() -> None:
    tensor = torch.tensor([1.0, 2.0])
    assert group.join(Ranks(), "gloo", torch.device("cpu"), timeout_s=1) is None
    group.barrier()
    group.broadcast_tensors([tensor])
    assert tensor.tolist() == [1.0, 2.0]
    assert group.gather_objects("x") == ["x"]
    assert group.broadcast_object("x") == "x"
    with group.first_of_run_then_of_nodes(Ranks()):
        pass
    group.leave()
