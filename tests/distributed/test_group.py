"""The collectives, with real ranks, and doing nothing where there is only one process."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.ports import free_port

from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks


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


def beside_a_gpu(ranks: Ranks, steps: Any, folder: str) -> dict[str, Any]:
    """The same where the GPU's backend answers everything at once with nothing, so that nobody waits in it."""
    import torch.testing._internal.distributed.fake_pg  # registers the backend

    os.environ["MASTER_PORT"] = str(group.broadcast_object(free_port()))
    group.leave()
    torch.accelerator.device_count = lambda: 1
    steps = group.join(ranks, "fake", torch.device("cuda", 0), timeout_s=60)
    assert steps is not None
    of_gpu = steps._get_backend(torch.device("cuda", 0)).name()
    more = group.another()
    assert more is not None
    joined = list(torch.distributed.distributed_c10d._world.pg_map)
    return {
        **collectives(ranks, steps, folder),
        "of_gpu": of_gpu,
        "of_host": [one._get_backend(torch.device("cpu")).name() for one in (steps, more)],
        "groups": [one is member for one, member in zip(joined, (steps, more), strict=True)],
    }


def test_ranks_of_gpus_wait_on_the_host(launch_ranks: Callable[..., list[Any]], tmp_path: Path) -> None:
    for result in launch_ranks(beside_a_gpu, 3, str(tmp_path), timeout_s=40):
        assert result["of_gpu"] == "fake"
        assert result["told"] == {"from": 0}
        assert result["gathered"] == [0, 10, 20]
        assert result["of_host"] == ["gloo", "fake"]  # one mesh of sockets is enough
        assert result["groups"] == [True, True]
    turns = (tmp_path / "turns").read_text().splitlines()
    assert turns == ["0 starts", "0 ends", "2 starts", "2 ends", "1 starts", "1 ends"]


@pytest.mark.parametrize(
    ("backend", "device", "asked"),
    [
        ("gloo", "cpu", "gloo"),
        ("nccl", "cuda:1", "cpu:gloo,cuda:nccl"),
        ("gloo", "cuda:1", "gloo"),  # two ranks on one GPU
    ],
)
def test_what_torch_is_asked_for(backend: str, device: str, asked: str) -> None:
    assert group.sides(backend, torch.device(device)) == asked
    assert group._of_device(asked) == backend


def test_the_interface_towards_the_others_is_said_where_nobody_has() -> None:
    environ = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    group._choose_interface(Ranks(0, 4, 0, 2), environ)
    assert (environ["GLOO_SOCKET_IFNAME"], environ["NCCL_SOCKET_IFNAME"]) == ("lo", "=lo")
    chosen = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "GLOO_SOCKET_IFNAME": "ib0"}
    group._choose_interface(Ranks(0, 2, 0, 2), chosen)
    assert chosen["GLOO_SOCKET_IFNAME"] == "ib0"
    assert "NCCL_SOCKET_IFNAME" not in chosen
    group._choose_interface(Ranks(0, 2, 0, 2), unsaid := {"MASTER_ADDR": "127.0.0.1"})
    assert list(unsaid) == ["MASTER_ADDR"]


def test_a_rank_may_have_a_connection_to_each_of_a_thousand_others(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, limit: limits.append(limit))
    group._allow_connections(1000)
    assert limits[-1] == (4096, 4096)
    group._allow_connections(1000)
    assert len(limits) == 2


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
