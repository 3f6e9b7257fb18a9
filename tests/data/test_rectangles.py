"""Batches of like-shaped images: what is in them, that they are shuffled, and that ranks do not matter."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest

from yoloscale.config.plan import plan
from yoloscale.config.schema import ClusterConfig, Config
from yoloscale.data.loader import micro_batch_keys
from yoloscale.data.order import MicroBatch, SampleOrder
from yoloscale.data.rectangles import Rectangles, deal
from yoloscale.errors import ConfigError

Shape = tuple[int, int]


def rectangles(*kinds: tuple[int, Shape]) -> Rectangles:
    """So many images of each shape, in an order that has nothing to do with them."""
    shapes = np.array([shape for count, shape in kinds for _ in range(count)], np.int64)
    return Rectangles(shapes[np.random.default_rng(0).permutation(len(shapes))])


WIDE, FLAT, SQUARE, TALL = (32, 96), (64, 96), (96, 96), (96, 32)
MIXED = rectangles((13, WIDE), (20, FLAT), (9, SQUARE), (23, TALL))


def batches(dealt_from: Rectangles, batch: int, epoch: int) -> list[tuple[list[int], Shape]]:
    order, shapes = deal(dealt_from, batch, 3, epoch)
    cut = range(0, len(order), batch)
    return [(order[at : at + batch].tolist(), tuple(shape)) for at, shape in zip(cut, shapes.tolist(), strict=True)]


@pytest.mark.parametrize("batch", [1, 4, 7, 65, 100])
def test_an_epoch_has_every_image_once_in_the_smallest_shape_that_holds_its_batch(batch: int) -> None:
    for epoch in range(4):
        dealt = batches(MIXED, batch, epoch)
        assert sorted(image for images, _ in dealt for image in images) == list(range(65))
        for images, shape in dealt:
            assert shape == tuple(MIXED.shapes[images].max(axis=0).tolist())
        assert all(len(images) == batch for images, _ in dealt[:-1]), "only the last one may be short"


def test_batches_are_cut_from_wide_to_tall() -> None:
    """Sorted by their first image, the batches have no image that is wider than one of the batch before."""
    kind = {WIDE: 0, FLAT: 1, SQUARE: 2, TALL: 3}
    for epoch in range(3):
        kinds = sorted(
            sorted(kind[tuple(MIXED.shapes[image].tolist())] for image in images)
            for images, _ in batches(MIXED, 5, epoch)
        )
        assert all(before[-1] <= after[0] for before, after in pairwise(kinds))


def test_batches_are_shuffled_as_wholes_and_mates_change() -> None:
    first, second = batches(MIXED, 5, 0), batches(MIXED, 5, 1)
    assert [shape for _, shape in first] != [shape for _, shape in second]
    assert not {frozenset(images) for images, _ in first} & {frozenset(images) for images, _ in second}
    assert first == batches(MIXED, 5, 0)


def test_what_a_short_batch_leaves_out_differs_from_epoch_to_epoch() -> None:
    left_out = Counter[Shape]()
    for epoch in range(40):
        order = SampleOrder(65, 16, 1, 1, seed=3, drop_last=True, rectangles=MIXED)
        used = {image for step in range(order.steps) for image in order.step(epoch, step, 0).micro_batches[0].samples}
        assert len(used) == 64
        left_out.update([tuple(MIXED.shapes[image].tolist()) for image in set(range(65)) - used])
    assert len(left_out) >= 3, left_out


def test_images_of_one_shape_are_shuffled_like_any_others() -> None:
    alike = rectangles((40, FLAT))
    assert len({tuple(images) for epoch in range(10) for images, _ in batches(alike, 8, epoch)}) == 50


def epoch_of(order: SampleOrder, epoch: int) -> list[list[MicroBatch]]:
    """For each optimiser step, the micro-batches of all ranks by their number."""
    steps = []
    for index in range(order.steps):
        micro = [part for rank in range(order.world_size) for part in order.step(epoch, index, rank).micro_batches]
        steps.append(sorted(micro, key=lambda part: part.number))
    return steps


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("sync_bn", [False, True])
def test_other_ranks_train_on_the_same_images_in_the_same_shapes(drop_last: bool, sync_bn: bool) -> None:
    """Every pair (planned, actual) of up to 6 ranks: no micro-batch lies in two batches of other shapes."""
    exact = changed = 0
    for per_rank, planned, ranks in product((1, 3, 4, 5), range(1, 7), range(1, 7)):
        cluster = ClusterConfig(procs_per_node=ranks, planned_ranks=planned, sync_bn=sync_bn)
        try:
            dealt = plan(Config(batch=per_rank * planned, nbs=24, rect=True, cluster=cluster))
        except ConfigError:
            continue
        before, now = (
            SampleOrder(65, split.forward_batch, split.ranks, split.accumulate, 3, drop_last, dealt.global_batch, MIXED)
            for split in (dealt.planned, dealt.actual)
        )
        expected, found = epoch_of(before, 2), epoch_of(now, 2)
        assert [[image for part in step for image in part.samples] for step in found] == [
            [image for part in step for image in part.samples] for step in expected
        ]
        shape_of = {image: part.shape for step in expected for part in step for image in part.samples}
        assert all(shape_of[image] == part.shape for step in found for part in step for image in part.samples)
        if dealt.is_exact:
            assert found == expected
        exact, changed = exact + dealt.is_exact, changed + dealt.is_changed
    assert exact >= 24
    assert changed >= 30


def test_plain_batches_may_be_cut_where_like_shaped_ones_may_not() -> None:
    """60 images of a step over 5 ranks: micro-batches of 4 would lie in two batches of 10."""
    cluster = ClusterConfig(procs_per_node=5, planned_ranks=2)
    per_rank = {rect: plan(Config(batch=10, nbs=60, rect=rect, cluster=cluster)).actual.per_rank for rect in (0, 1)}
    assert per_rank == {False: 4, True: 2}


def test_keys_carry_the_shape_and_start_anywhere() -> None:
    order = SampleOrder(65, 8, 2, 2, seed=3, rectangles=MIXED)
    whole = micro_batch_keys(order, 1, (0, 0), lambda epoch: False)
    before = sum(len(order.step(0, index, 1).micro_batches) for index in range(3))
    expected = [next(whole) for _ in range(before + 12)][before:]
    late = micro_batch_keys(order, 1, (0, 3), lambda epoch: False)
    assert [next(late) for _ in range(12)] == expected
    assert len({key.shape for keys in expected for key in keys}) >= 3


def test_a_digest_tells_other_shapes() -> None:
    digests = {
        each.digest() for each in (MIXED, rectangles((65, FLAT)), rectangles((64, FLAT)), rectangles((65, TALL)))
    }
    assert len(digests) == 4
    assert Rectangles(MIXED.shapes.copy()).digest() == MIXED.digest()
