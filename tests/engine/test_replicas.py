"""Ranks that have come apart are found at the next evaluation, by a number of all bits."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.test_agreement import toy
from torch import nn

from yoloscale.dist.environment import Ranks
from yoloscale.engine import replicas
from yoloscale.engine.replicas import describe, fingerprint


def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 5, 1))


def flip(tensor: torch.Tensor, index: int, bit: int) -> None:
    with torch.no_grad():
        tensor.view(-1).view(torch.int32)[index] ^= 1 << bit if bit < 31 else -(2**31)


@pytest.mark.parametrize("block", [2**22, 7])
def test_any_bit_of_a_value_counts_and_where_it_stands(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "BLOCK", block)
    one = module()
    before = fingerprint(one)
    assert 0 <= before < 2**64
    assert fingerprint(deepcopy(one)) == before
    for tensor in [*one.parameters(), *(b for b in one.buffers() if b.is_floating_point())]:
        for index, bit in ((0, 0), (tensor.numel() - 1, 0), (0, 31), (tensor.numel() - 1, 31)):
            flip(tensor, index, bit)
            assert fingerprint(one) != before
            flip(tensor, index, bit)
    assert fingerprint(one) == before
    weight = one[0].weight.data.view(-1)
    weight[[0, 1]] = weight[[1, 0]]
    assert fingerprint(one) != before


def test_it_does_not_depend_on_how_it_is_cut_or_lies_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    one = module()
    before = fingerprint(one)
    assert fingerprint(deepcopy(one).to(memory_format=torch.channels_last)) == before
    for block in (1, 5, 64):
        monkeypatch.setattr(replicas, "BLOCK", block)
        assert fingerprint(one) == before


def test_what_differs_among_equal_ranks_does_not_count() -> None:
    one = module()
    before = fingerprint(one)
    one[1].num_batches_tracked += 1  # a rank without images in a short last step counts one batch less
    assert fingerprint(one) == before


def test_the_ranks_that_differ_from_most_are_named() -> None:
    said = describe(12, [5, 5, 7, 5], ["a", "a", "b", "b"])
    assert said.startswith("step 12: the model of rank 2 on b is no longer that of the other ranks")
    assert "the models of rank 0 on a and rank 1 on b differ" in describe(1, [5, 7], ["a", "b"])
    hosts = ["h"] * 7
    assert "rank 0 on h, rank 1 on h, rank 2 on h, rank 3 on h and 3 more differ" in describe(1, [*range(7)], hosts)


def trains(ranks: Ranks, group: Any, folder: str, touched: int) -> str:
    """`touched`: the rank of which one bit of one parameter changes in the second epoch."""

    def touch(run: Any, steps: int) -> None:
        if steps == 4 and ranks.rank == touched and not done:
            done.append(steps)
            flip(run.learner.module[0].weight.data, 3, 0)

    done: list[int] = []
    run = toy(folder, ranks, group, trace=False, stop_before=touch)
    try:
        return str(run.run().value)
    except RuntimeError as error:
        return str(error)


@pytest.mark.parametrize("touched", [0, 1, 9])
def test_one_changed_bit_ends_the_run_on_all_ranks(touched: int, launch_ranks: Any, tmp_path: Path) -> None:
    said = launch_ranks(trains, 2, str(tmp_path / "run"), touched)
    assert said[0] == said[1]
    if touched > 1:
        assert said[0] == "finished"
    else:
        assert said[0].startswith("step 6: the models of rank 0 on this host and rank 1 on this host differ")
        names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
        assert names == ["step-000000003"], "what came apart is not saved"
