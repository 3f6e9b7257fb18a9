"""What a sample is depends on the seed, the epoch and its index: with real data sets, real workers, any start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from yoloscale.data.loader import MicroBatchLoader, SampleKey, SeededSamples

Parts = Callable[..., Any]


def micro_batches(parts: Any, workers: int, start: tuple[int, int], count: int) -> list[dict[str, Any]]:
    loader = MicroBatchLoader(
        parts.samples, parts.order, 0, start, lambda epoch: epoch >= 1, workers=workers, pin_memory=False
    )
    try:
        return [next(loader) for _ in range(count)]
    finally:
        loader.close()


def assert_same(batch: dict[str, Any], expected: dict[str, Any]) -> None:
    assert batch.keys() == expected.keys()
    for key, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(batch[key], value), key
        else:
            assert str(batch[key]) == str(value), key


@pytest.mark.parametrize("task", ["detect", "classify"])
def test_any_number_of_workers_delivers_the_same(parts_of: Parts, task: str) -> None:
    """8 micro-batches are an epoch; the mosaic closes with the second one."""
    parts = parts_of(task)
    expected = micro_batches(parts, 0, (0, 0), 12)
    for workers in (1, 2):
        for batch, other in zip(micro_batches(parts, workers, (0, 0), 12), expected, strict=True):
            assert_same(batch, other)


def test_starting_anywhere_delivers_the_same(parts_of: Parts) -> None:
    parts = parts_of("detect")
    expected = micro_batches(parts, 0, (0, 0), 12)
    for start, skipped in (((0, 5), 5), ((1, 0), 8), ((1, 2), 10)):
        for batch, other in zip(micro_batches(parts, 0, start, 12 - skipped), expected[skipped:], strict=True):
            assert_same(batch, other)


def test_the_order_of_loading_does_not_matter(parts_of: Parts) -> None:
    parts = parts_of("detect")
    samples = SeededSamples(parts.samples, seed=0)
    forward = [samples[SampleKey(0, index, False)] for index in range(8)]
    backward = [samples[SampleKey(0, index, False)] for index in reversed(range(8))][::-1]
    for sample, other in zip(forward, backward, strict=True):
        assert torch.equal(sample["img"], other["img"])
        assert torch.equal(sample["bboxes"], other["bboxes"])


def test_epochs_augment_anew(parts_of: Parts) -> None:
    samples = SeededSamples(parts_of("detect").samples, seed=0)
    first, second = (samples[SampleKey(epoch, 3, False)]["img"] for epoch in (0, 1))
    assert first.shape != second.shape or not torch.equal(first, second)


def test_mosaic_is_on_until_it_is_closed(parts_of: Parts) -> None:
    samples = SeededSamples(parts_of("detect", mosaic=1.0).samples, seed=0)
    with_mosaic = [len(samples[SampleKey(0, index, False)]["cls"]) for index in range(16)]
    without = [len(samples[SampleKey(0, index, True)]["cls"]) for index in range(16)]
    assert sum(with_mosaic) > 1.2 * sum(without)


def test_cached_images_change_nothing(parts_of: Parts) -> None:
    plain = micro_batches(parts_of("detect", cache=False), 0, (0, 0), 3)
    cached = micro_batches(parts_of("detect", cache="ram"), 0, (0, 0), 3)
    for batch, other in zip(cached, plain, strict=True):
        assert_same(batch, other)


def test_a_disk_cache_serves_later_runs(parts_of: Parts, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for parent in (1000, 1001):  # another agent started the second run
        monkeypatch.setattr("os.getppid", lambda parent=parent: parent)
        parts_of("detect", cache="disk")
    assert len(list((cache / "images").iterdir())) == 2, "one folder for training, one for validation"
