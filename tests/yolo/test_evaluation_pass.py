"""Whole batches are dealt to ranks, every image once, each batch as one process would have it."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from torch.utils.data import TensorDataset

from yoloscale.data import room
from yoloscale.distributed.environment import Ranks
from yoloscale.yolo.evaluation_pass import Share, loader_of, loaders_of, share


def shares(images: int, batch: int, world_size: int) -> list[Share]:
    return [share(images, batch, Ranks(rank=rank, world_size=world_size)) for rank in range(world_size)]


@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("images", [1, 10, 16, 17, 21, 160, 1000])
def test_batches_are_those_of_one_process(images: int, world_size: int) -> None:
    dataset = TensorDataset(torch.arange(images))
    batches = {}
    for part in shares(images, 16, world_size):
        loader = loader_of(dataset, 16, part, workers=0, pin_memory=False)
        own = [batch[0].tolist() for batch in loader]
        assert list(loader.sampler) == list(chain.from_iterable(own)), "what Ultralytics asks the loader"
        assert len(own) <= part.rounds
        batches |= {part.first + number: batch for number, batch in enumerate(own)}
    whole = list(range(images))
    assert [batches[number] for number in sorted(batches)] == [whole[at : at + 16] for at in range(0, images, 16)]


def test_21_images_on_two_ranks() -> None:
    assert shares(21, 16, 2) == [Share(0, range(16), 1), Share(1, range(16, 21), 1)]
    assert [len(part.images) for part in shares(10, 16, 2)] == [10, 0], "a batch is never split"


def test_no_rank_has_more_than_one_batch_more() -> None:
    counts = [len(part.images) for part in shares(160, 16, 4)]
    assert counts == [48, 48, 32, 32]
    assert {part.rounds for part in shares(160, 16, 4)} == {3}


@pytest.mark.parametrize(
    ("wanted", "cpus", "shared_bytes", "workers"),
    [(8, 3, 2**30, 3), (2, 16, 2**30, 2), (0, 4, 2**30, 0), (8, 4, 2 * 2 * 16 * 400, 2), (8, 4, 0, 0)],
)
def test_loaders_are_as_many_as_the_rank_has_room_for(
    wanted: int, cpus: int, shared_bytes: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Images(list[dict[str, torch.Tensor]]):
        """Samples as a data set has them, 400 bytes each."""

    images = Images({"img": torch.zeros(100)} for _ in range(20))
    monkeypatch.setattr(Ranks, "cpu_share", cpus)
    monkeypatch.setattr(room, "room_of_rank", lambda ranks: room.Room(shared_bytes, 2**40, "the machine"))
    count, sentence = loaders_of(images, 16, wanted, Ranks())
    assert count == workers
    assert (sentence is None) == (workers == min(wanted, cpus))
