"""Ranks that no longer hold the same bits are found out, and named."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.test_agreement import toy
from torch.utils._python_dispatch import TorchDispatchMode

from yoloscale.distributed.environment import Ranks
from yoloscale.engine import replicas
from yoloscale.engine.replicas import ReplicasDifferError, difference, fingerprint

MASK = 2**64 - 1


def tensors() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    drawn = [torch.randn(shape, generator=generator) for shape in ((5, 3, 2, 2), (7,), (), (4, 4))]
    return [drawn[0].to(memory_format=torch.channels_last), *drawn[1:], drawn[1].half(), drawn[3].double()]


def flipped(tensor: torch.Tensor, index: int, bit: int) -> None:
    integers = tensor.as_strided((tensor.numel(),), (1,)).view(
        {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    )
    size = 8 * tensor.element_size()
    value = (int(integers[index]) & (2**size - 1)) ^ (1 << bit)
    integers[index] = value - 2**size if value >> (size - 1) else value


def test_every_bit_counts() -> None:
    whole = fingerprint(tensors())
    for number, tensor in enumerate(tensors()):
        for index in {0, tensor.numel() - 1}:
            for bit in range(8 * tensor.element_size()):
                changed = tensors()
                flipped(changed[number], index, bit)
                assert fingerprint(changed) != whole, (number, index, bit)
    assert fingerprint(tensors()) == whole


def test_the_order_counts_and_zero_has_a_sign() -> None:
    parts = [torch.tensor([value]) for value in (1.0, 2.0, 3.0)]
    assert len({fingerprint(order) for order in permutations(parts)}) == 6
    assert fingerprint([torch.tensor([0.0])]) != fingerprint([torch.tensor([-0.0])])
    assert fingerprint([torch.tensor([torch.nan])]) == fingerprint([torch.tensor([torch.nan])])


def test_it_is_what_integers_without_end_would_give_modulo_2_to_the_64(monkeypatch: pytest.MonkeyPatch) -> None:
    """In small blocks, so that large tensors are cut and small ones put together."""
    monkeypatch.setattr(replicas, "BLOCK", 8)
    values = torch.randn(21, generator=torch.Generator().manual_seed(1))
    expected, place = 0, 0
    for size in (3, 8, 8, 2):  # three alone, since the next piece is a whole block
        start = {0: 0, 3: 16, 11: 32, 19: 48}[place]
        for offset in range(size):
            word = int(values[place + offset].view(torch.int32))
            mixed = ((word + (start + offset) * replicas._ODD[0]) * replicas._ODD[1]) & MASK
            mixed ^= mixed >> 32
            expected += mixed * replicas._ODD[0]
        place += size
    assert fingerprint([values[:3].clone(), values[3:].clone()]) & MASK == expected & MASK


class Launches(TorchDispatchMode):
    """Counts operations that would be kernels."""

    VIEWS = ("as_strided", "view", "detach", "alias", "split", "empty", "is_non_overlapping")

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if not name.startswith(self.VIEWS):
            self.names.append(name)
        return function(*args, **(kwargs or {}))


def test_a_thousand_tensors_cost_a_few_kernels_and_one_synchronisation() -> None:
    many = [torch.randn(16, 16, 3, 3).to(memory_format=torch.channels_last) for _ in range(1000)]
    with Launches() as launches:
        fingerprint(many)
    assert len(launches.names) < 16, launches.names
    assert launches.names.count("_local_scalar_dense") == 1, "what waits for the device"


def test_what_is_said_of_them() -> None:
    hosts = ["a", "a", "b", "b"]
    assert difference([5, 5, 5, 5], hosts, 10) is None
    said = difference([5, 5, 5, 6], hosts, 10)
    assert said is not None
    assert said.startswith("rank 3 on b no longer holds the parameters of the other 3 ranks; after step 10 all were")
    assert "move" not in said
    first = difference([6, 5, 5, 5], hosts, 10)
    assert first is not None
    assert first.startswith("rank 0 on a no longer")
    assert "newer than step 10" in first
    for pair in ([5, 6], [6, 5], [5, 5, 6, 6]):
        of_two = difference(pair, hosts[:2] if len(pair) == 2 else hosts, 10)
        assert of_two is not None
        assert of_two.startswith("the ranks hold 2 kinds of parameters")
        assert "newer than step 10" in of_two, "rank 0 may be the one"
    many = difference([1] * 10 + list(range(2, 9)), ["c"] * 17, 0)
    assert many is not None
    assert "rank 13 on c and 3 more no longer hold the parameters of the other 10 ranks" in many


def perturbed(ranks: Ranks, group: Any, folder: str, at: int | None) -> dict[str, Any]:
    """In step `at` one bit of one parameter of the last rank flips."""

    def flip(run: Any, steps: int) -> None:
        if steps == at and ranks.rank == ranks.world_size - 1 and not done:
            done.append(steps)
            flipped(run.learner.module[0].weight.detach(), 5, 0)

    done: list[int] = []
    hosts = [f"node{rank}" for rank in range(ranks.world_size)]
    run = toy(folder, ranks, group, stop_before=flip, hosts=hosts, trace=False)  # a trace compares after each step
    began = run.loop.progress.position.total
    try:
        run.run()
    except ReplicasDifferError as error:
        return {"began": began, "error": str(error)}
    return {"began": began, "fitness": [epoch["fitness"] for epoch in run.notes.epochs]}


def test_one_bit_of_one_rank_ends_all_before_the_evaluation_and_they_go_on_from_before(
    launch_ranks: Callable[..., list[Any]], tmp_path: Path
) -> None:
    results = launch_ranks(perturbed, 3, str(tmp_path / "run"), 4)
    assert {result["error"] for result in results} == {results[0]["error"]}
    assert results[0]["error"].startswith(
        "rank 2 on node2 no longer holds the parameters of the other 2 ranks; after step 3"
    )
    newest = max((tmp_path / "run" / "checkpoints").glob("step-*")).name
    assert newest == "step-000000003", "the state that differs is not saved"
    again = launch_ranks(perturbed, 3, str(tmp_path / "run"), None)
    whole = launch_ranks(perturbed, 3, str(tmp_path / "whole"), None)
    assert [result["began"] for result in again] == [3, 3, 3]
    assert again[0]["fitness"]
    assert again[0]["fitness"] == whole[0]["fitness"][-len(again[0]["fitness"]) :]
