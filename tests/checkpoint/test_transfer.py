"""A state that one rank has read is the same on all, to the bit, and the file is read once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.test_agreement import digest, toy

from yoloscale.checkpoint import store, transfer
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.peers import PeerLost
from yoloscale.errors import ConfigError, Problem


def state() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(5)
    convolution = torch.randn(6, 5, 3, 3, generator=generator)
    odd = torch.tensor([float("nan"), -0.0, float("inf"), 1e-45])
    return {
        "model": {"a": convolution.to(memory_format=torch.channels_last), "b": odd, "c": odd.bfloat16()},
        "optimizer": {
            "state": {0: {"step": torch.tensor(7.0), "on": torch.tensor([True, False])}},
            "groups": [{"lr": 1}],
        },
        "more": (torch.arange(9)[::2], torch.zeros(0), convolution.half(), "text", None),
    }


def received(ranks: Ranks, steps: Any, chunk: int) -> dict[str, Any]:
    transfer.CHUNK_BYTES = chunk
    sent: list[int] = []
    broadcast = group.broadcast_tensors
    group.broadcast_tensors = lambda tensors: (sent.append(sum(map(len, tensors))), broadcast(tensors))[1]  # type: ignore[assignment]
    shared = transfer.share(state() if ranks.is_first else None, ranks, torch.device("cpu"))
    return {"state": shared, "sent": sent, "strides": shared["model"]["a"].stride()}


@pytest.mark.parametrize("chunk", [pytest.param(64, marks=pytest.mark.long), 1 << 26])
def test_every_bit_arrives_in_bounded_memory(launch_ranks: Callable[..., list[Any]], chunk: int) -> None:
    expected = list(transfer.collect(state()))
    total = sum(tensor.numel() * tensor.element_size() for tensor in expected)
    for result in launch_ranks(received, 3, chunk):
        tensors = list(transfer.collect(result["state"]))
        assert [tensor.dtype for tensor in tensors] == [tensor.dtype for tensor in expected]
        for tensor, other in zip(tensors, expected, strict=True):
            assert tensor.shape == other.shape
            assert tensor.contiguous().view(-1).view(torch.uint8).equal(other.contiguous().view(-1).view(torch.uint8))
        assert result["state"]["more"][3:] == ("text", None)
        assert result["state"]["optimizer"]["groups"] == [{"lr": 1}]
        assert result["strides"] == state()["model"]["a"].stride()
        assert sum(result["sent"]) == total
        assert max(result["sent"]) <= chunk


def trained(ranks: Ranks, steps: Any, folder: str, epochs: int) -> dict[str, Any]:
    """What a start reads of checkpoints, counted where the interpreter opens files, and how it ends."""
    opened: list[str] = []
    sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == "open" else None)
    run = toy(folder, ranks, steps, epochs=epochs)
    read = sum(path.endswith(store.STATE) for path in opened)
    began = run.loop.progress.position.total
    run.loop.progress.position.epochs = epochs
    run.run()
    return {"read": read, "began": began, "state": digest(run)}


@pytest.mark.long
def test_a_checkpoint_is_read_once_by_any_number_of_ranks(
    launch_ranks: Callable[..., list[Any]], tmp_path: Path
) -> None:
    launch_ranks(trained, 3, str(tmp_path / "run"), 2)
    resumed = launch_ranks(trained, 3, str(tmp_path / "run"), 3)
    assert [result["began"] for result in resumed] == [6, 6, 6]
    assert [result["read"] for result in resumed] == [1, 0, 0]
    assert len({result["state"] for result in resumed}) == 1


def unreadable(ranks: Ranks, steps: Any, folder: str) -> str:
    def fail(_: Any) -> None:
        raise OSError("stale file handle")

    if ranks.is_first:
        store.load = fail  # type: ignore[assignment]
    try:
        toy(folder, ranks, steps)
    except (OSError, PeerLost) as error:
        return f"{type(error).__name__}: {error}"
    return "started"


def test_what_rank_0_cannot_read_ends_all_ranks_at_once(launch_ranks: Callable[..., list[Any]], tmp_path: Path) -> None:
    launch_ranks(trained, 1, str(tmp_path / "run"), 1)
    first, *others = launch_ranks(unreadable, 3, str(tmp_path / "run"))
    assert first == "OSError: stale file handle"
    assert len(set(others)) == 1
    assert others[0].startswith("PeerLost: rank 0 on ")
    assert others[0].endswith(": OSError: stale file handle")


def decided(ranks: Ranks, steps: Any) -> tuple[int, str]:
    def refuse() -> int:
        raise ConfigError(Problem("key", "found", "instead"))

    calls: list[int] = []
    number = group.by_first(lambda: calls.append(ranks.rank) or 10 + ranks.rank)  # type: ignore[func-returns-value]
    try:
        group.by_first(refuse)
    except ConfigError as error:
        return number, f"{error} {calls}"
    return number, "no error"


def test_rank_0_alone_decides_for_all(launch_ranks: Callable[..., list[Any]]) -> None:
    first, second = launch_ranks(decided, 2)
    assert (first[0], second[0]) == (10, 10)
    assert first[1].replace("[0]", "[]") == second[1]
    assert "instead" in second[1]
