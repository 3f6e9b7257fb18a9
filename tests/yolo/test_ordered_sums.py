"""Sums that do not depend on who had which addend, where the floating-point sums of the parts would."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from yoloscale.yolo.ordered_sums import in_order, means, recorder_like, total


def addends(count: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """Of such different size that their order decides the sum."""
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(3, 3, generator=generator, dtype=dtype) * 10.0 ** (number % 9) for number in range(count)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ends", [(40,), (17, 40), (0, 30, 40), (10, 20, 30, 40)])
def test_the_total_is_that_of_one_process(dtype: torch.dtype, ends: tuple[int, ...]) -> None:
    values = addends(40, dtype)
    expected = torch.zeros(3, 3, dtype=dtype)
    for value in values:
        expected += value
    shares = []
    for first, end in pairwise((0, *ends)):
        recorder = recorder_like(torch.zeros(3, 3, dtype=dtype))
        for value in values[first:end]:
            recorder += value
        shares.append((first, recorder.addends))
    ordered = in_order(reversed(shares))
    assert torch.equal(total(torch.zeros(3, 3, dtype=dtype), [value for share in ordered for value in share]), expected)
    apart = sum((total(torch.zeros(3, 3, dtype=dtype), share) for share in ordered), torch.zeros(3, 3, dtype=dtype))
    if len([share for share in ordered if share]) > 1:
        assert not torch.equal(apart, expected), "the addends would show it"


def test_a_recorder_stands_in_for_a_sum_of_ultralytics() -> None:
    """Its metric asks for type, device and shape, and adds in place; what it gets is not kept by reference."""
    from ultralytics.utils.metrics import SemanticMetrics

    metrics, plain = SemanticMetrics({0: "a", 1: "b", 2: "c"}), SemanticMetrics({0: "a", 1: "b", 2: "c"})
    metrics.matrix = recorder_like(torch.zeros(3, 3))
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        predictions, targets = (torch.randint(0, 3, (2, 8, 8), generator=generator) for _ in range(2))
        metrics.update_stats(predictions, targets)
        plain.update_stats(predictions, targets)
    assert len(metrics.matrix.addends) == 4
    assert type(metrics.matrix.addends[0]) is torch.Tensor
    assert torch.equal(total(torch.zeros(3, 3), metrics.matrix.addends), plain.matrix)


def test_means_weigh_batches_by_their_images() -> None:
    assert means([(16, {"box": 1.0, "cls": 0.5}), (4, {"box": 6.0, "cls": 0.5})]) == {"box": 2.0, "cls": 0.5}
    assert means([]) == {}
