"""The one all-reduce of an optimiser step, with real gloo ranks, against one process that does all the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.gradients import FlatGradients

NUMBERS = 3
MICRO_BATCHES = 12  # of two images; divides over 1, 2, 3 and 4 ranks


class Forked(nn.Module):
    """A small network with a branch that only images whose first pixel is positive use, and a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.frozen = nn.Conv2d(6, 6, 1).requires_grad_(False)
        self.branch = nn.Conv2d(6, 4, 1)
        self.head = nn.Conv2d(6, 4, 3, padding=1)
        self.head.register_buffer("unused_count", torch.zeros(1, dtype=torch.long))

    def forward(self, images: torch.Tensor, use_branch: bool) -> torch.Tensor:
        features = self.frozen(self.norm(self.stem(images)).relu())
        return self.head(features) + (self.branch(features) if use_branch else 0)


def model(channels_last: bool = False) -> Forked:
    torch.manual_seed(0)
    built = Forked().train()
    return built.to(memory_format=torch.channels_last) if channels_last else built  # type: ignore[call-overload]


def images(micro_batch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(100 + micro_batch)
    return torch.randn(2, 3, 8, 8, generator=generator)


def work(ranks: Ranks, group: dist.ProcessGroup | None, **options: Any) -> dict[str, Any]:
    """Share MICRO_BATCHES over the ranks, each accumulating its own; reduce; return what the step saw."""
    channels_last = options.pop("channels_last", False)
    branch_for = options.pop("branch_for", range(MICRO_BATCHES))
    idle = [rank for rank in options.pop("idle", ()) if ranks.world_size > 1]
    module = model(channels_last)
    gradients = FlatGradients(module, NUMBERS, group, **options)
    sent = count_all_reduces()
    for _ in range(2):  # the second step must not see anything of the first
        gradients.zero()
        del sent[:]
        busy = [rank for rank in range(ranks.world_size) if rank not in idle]
        mine = range(MICRO_BATCHES)[busy.index(ranks.rank) :: len(busy)] if ranks.rank in busy else range(0)
        module.norm.reset_running_stats()
        for position, number in enumerate(mine):
            if position:
                gradients.micro_batch_done()
            if position == len(mine) - 1:
                gradients.start_last_backward()
            loss = module(images(number), number in branch_for).square().sum()
            loss.backward()
            gradients.numbers[0] += loss.detach()
            gradients.numbers[1] += 1
        gradients.numbers[2] += ranks.rank
        own_statistics = module.norm.running_mean.clone()
        collectives_before = len(sent)
        gradients.reduce(bool(mine))
    return {
        "gradients": {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None},
        "flat": gradients.gradients.clone(),
        "numbers": gradients.numbers.tolist(),
        "norm": float(gradients.norm()),
        "own_statistics": own_statistics,
        "statistics": module.norm.running_mean.clone(),
        "strides": module.stem.weight.grad.stride() == module.stem.weight.stride(),
        "sent_during_backward": collectives_before,
        "elements_sent": sum(sent),
    }


def count_all_reduces() -> list[int]:
    """The sizes of all tensors that dist.all_reduce is given from now on."""
    sent: list[int] = []
    real = getattr(dist.all_reduce, "wrapped", dist.all_reduce)

    def counting(tensor: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        sent.append(tensor.numel())
        return real(tensor, *arguments, **options)

    counting.wrapped = real  # type: ignore[attr-defined]
    dist.all_reduce = counting
    return sent


SCENARIOS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tiny_buckets": {"bucket_bytes": 16},
    "exact": {"exact": True},
    "channels_last": {"channels_last": True, "bucket_bytes": 16},
    "branch_on_one_rank": {"branch_for": [0], "bucket_bytes": 16},
    "branch_in_first_micro_batch_only": {"branch_for": [0, 1, 2, 3], "bucket_bytes": 16},
    "branch_nowhere": {"branch_for": [], "bucket_bytes": 16},
    "idle_rank": {"idle": [1], "bucket_bytes": 16},
    "idle_rank_exact": {"idle": [1], "exact": True},
}


def all_scenarios(ranks: Ranks, group: dist.ProcessGroup | None) -> dict[str, Any]:
    return {name: work(ranks, group, **dict(options)) for name, options in SCENARIOS.items()}


@pytest.fixture(scope="module")
def alone(launch_ranks: Callable[..., list[Any]]) -> dict[str, Any]:
    """What one process gets that has no process group; with one thread, as every rank, for the same bits."""
    return launch_ranks(all_scenarios, 1)[0]  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=[2, 3, pytest.param(4, marks=pytest.mark.long)])
def ranks(request: pytest.FixtureRequest, launch_ranks: Callable[..., list[Any]]) -> list[dict[str, Any]]:
    return launch_ranks(all_scenarios, request.param)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_sums_are_those_of_one_process(scenario: str, ranks: list[Any], alone: dict[str, Any]) -> None:
    expected = alone[scenario]
    for result in ranks:
        got = result[scenario]
        assert got["gradients"].keys() == expected["gradients"].keys()
        for name, gradient in expected["gradients"].items():
            torch.testing.assert_close(got["gradients"][name], gradient, rtol=1e-5, atol=1e-4, msg=name)
        assert got["norm"] == pytest.approx(expected["norm"], rel=1e-6)
        assert got["numbers"][:2] == pytest.approx(expected["numbers"][:2], rel=1e-6)
        assert got["numbers"][2] == sum(range(len(ranks)))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_rank_holds_the_same_bits(scenario: str, ranks: list[Any]) -> None:
    first = ranks[0][scenario]
    for result in ranks[1:]:
        for key in ("flat", "statistics"):
            assert torch.equal(result[scenario][key], first[key])
        assert result[scenario]["norm"] == first["norm"]


def test_exact_sums_are_the_same_bits_on_any_number_of_ranks(ranks: list[Any], alone: dict[str, Any]) -> None:
    for scenario in ("exact", "idle_rank_exact"):
        assert torch.equal(ranks[0][scenario]["flat"], alone["exact"]["flat"])


def test_buckets_change_no_bit(ranks: list[Any]) -> None:
    if len(ranks) == 2:  # a sum of two has one order only; of more, gloo's ring depends on the length
        assert torch.equal(ranks[0]["tiny_buckets"]["flat"], ranks[0]["plain"]["flat"])


def test_gradients_cross_the_network_once_a_step(ranks: list[Any], alone: dict[str, Any]) -> None:
    """However many micro-batches a rank accumulates, and whatever was unused in them."""
    module = model()
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    statistics = module.norm.running_mean.numel() + module.norm.running_var.numel()
    for result in ranks:
        for scenario, got in result.items():
            assert got["elements_sent"] == trained + statistics + 1 + NUMBERS, scenario
    assert alone["plain"]["elements_sent"] == 0, "one process sends nothing"


def test_buckets_leave_while_the_backward_pass_runs(ranks: list[Any]) -> None:
    for result in ranks:
        assert result["tiny_buckets"]["sent_during_backward"] > 2
        assert result["plain"]["sent_during_backward"] == 0, "all of it fits the last bucket"
        assert result["exact"]["sent_during_backward"] == 0
    assert ranks[1]["idle_rank"]["sent_during_backward"] == 0
    assert ranks[0]["idle_rank"]["sent_during_backward"] > 2


@pytest.mark.parametrize("scenario", ["plain", "exact", "idle_rank", "idle_rank_exact"])
def test_batch_norm_statistics_are_averaged_over_active_ranks(scenario: str, ranks: list[Any]) -> None:
    idle = SCENARIOS[scenario].get("idle", ())
    own = [result[scenario]["own_statistics"] for rank, result in enumerate(ranks) if rank not in idle]
    for result in ranks:
        torch.testing.assert_close(result[scenario]["statistics"], torch.stack(own).mean(0))
    if idle:
        assert not torch.allclose(own[0], ranks[1][scenario]["own_statistics"])


def test_gradients_keep_the_memory_format(ranks: list[Any]) -> None:
    assert all(result["channels_last"]["strides"] for result in ranks)


def test_clipping_is_that_of_torch() -> None:
    module = model()
    gradients = FlatGradients(module, 0, None)
    for maximum in (1.0, 1e6):
        gradients.zero()
        module(images(0), True).square().sum().backward()
        before = [p.grad.clone() for p in gradients.parameters]
        twins = [nn.Parameter(p.detach()) for p in gradients.parameters]
        for twin, gradient in zip(twins, before, strict=True):
            twin.grad = gradient
        norm = torch.nn.utils.clip_grad_norm_(twins, maximum)
        gradients.clip(gradients.norm(), maximum)
        for parameter, twin in zip(gradients.parameters, twins, strict=True):
            torch.testing.assert_close(parameter.grad, twin.grad)
        assert float(norm) > 1.0
