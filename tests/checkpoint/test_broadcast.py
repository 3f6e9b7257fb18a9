"""A state that rank 0 has reads the same on every rank, and storage is read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.test_agreement import toy

from yoloscale.checkpoint import broadcast, store
from yoloscale.checkpoint.broadcast import broadcast_state
from yoloscale.checkpoint.snapshot import collect
from yoloscale.dist.environment import Ranks

CPU = torch.device("cpu")


def some_state() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, 3, 5, 4, generator=generator)
    return {
        "model": {"a": image, "last": image.contiguous(memory_format=torch.channels_last), "scalar": torch.tensor(2.5)},
        "optimizer": {"state": {0: {"step": torch.tensor(7)}}, "groups": [{"lr": 0.1, "params": [0, 1]}]},
        "mixed": (torch.arange(9).bfloat16(), torch.tensor([True, False]), torch.zeros(0, 3), None, "text"),
        "gaps": image[:, ::2, 1:],
        "wide": torch.ones(1, 1).expand(3, 2),
        "nan": torch.tensor([float("nan"), -0.0]),
        "step": 12,
    }


def bits(value: Any) -> Any:
    """The same containers, with what a tensor is made of in its place."""
    if isinstance(value, torch.Tensor):
        plain = value.contiguous().reshape(-1).view(torch.uint8).tolist()
        return (tuple(value.shape), str(value.dtype), plain)
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    return type(value)(map(bits, value)) if isinstance(value, (list, tuple)) else value


def travels(ranks: Ranks, group: Any, block_bytes: int) -> tuple[Any, list[tuple[int, ...]]]:
    state = broadcast_state(some_state() if ranks.is_first else None, CPU, block_bytes=block_bytes)
    found: list[torch.Tensor] = []
    collect(state, found)
    return bits(state), [tensor.stride() for tensor in found if tensor.dim() == 4]


@pytest.mark.parametrize("block_bytes", [7, broadcast.BLOCK_BYTES])
def test_all_ranks_get_what_rank_0_has(launch_ranks: Any, block_bytes: int) -> None:
    expected = bits(some_state())
    dense = [tensor.stride() for tensor in list(some_state()["model"].values())[:2]]
    for state, strides in launch_ranks(travels, 3, block_bytes):
        assert state == expected
        assert strides[:2] == dense, "a channels-last tensor stays one"


def test_alone_nothing_travels() -> None:
    state = some_state()
    assert broadcast_state(state, CPU) is state


def resumes(ranks: Ranks, group: Any, folder: str) -> dict[str, Any]:
    """Whether the files of checkpoints were opened here, and where the run goes on."""
    read: list[str] = []
    whole, verified = store.load, store.verify

    def load(stored: store.Stored) -> dict[str, Any]:
        read.append("load")
        return whole(stored)

    def verify(path: Path) -> dict[str, Any]:
        read.append("verify")
        return verified(path)

    store.load, store.verify = load, verify
    try:
        run = toy(folder, ranks, group, epochs=4)
        return {
            "read": read,
            "from": run.loop.progress.position.total,
            "outcome": run.run().value,
            "state": run.state(),
        }
    finally:
        store.load, store.verify = whole, verified


def test_storage_is_read_by_rank_0_alone(launch_ranks: Any, tmp_path: Path) -> None:
    toy(str(tmp_path / "run"), Ranks(), None, epochs=1).run()
    seen = launch_ranks(resumes, 2, str(tmp_path / "run"))
    assert [each["read"] for each in seen] == [["verify", "load"], []]
    assert {each["from"] for each in seen} == {3}
    one, other = (each["state"] for each in seen)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
