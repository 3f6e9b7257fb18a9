"""What cannot be trained is refused before it starts."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from yoloscale.data.order import SampleOrder
from yoloscale.errors import ConfigError
from yoloscale.worker.train.parts import refuse_single_values, refuse_unlike, share_for_batch


def order(samples: int, batch: int, world_size: int = 1, *, drop_last: bool = False) -> SampleOrder:
    return SampleOrder(samples, batch, world_size, accumulate=1, seed=0, drop_last=drop_last)


def sized(imgsz: int, multi_scale: float = 0.0) -> SimpleNamespace:
    return SimpleNamespace(imgsz=imgsz, multi_scale=multi_scale)


@pytest.mark.parametrize("dealt", [order(9, 4), order(8, 1), order(18, 8, 2), order(13, 8, 2)])
def test_one_image_of_one_pixel_is_refused(dealt: SampleOrder) -> None:
    fewest = min(
        len(micro.samples)
        for rank in range(dealt.world_size)
        for index in range(dealt.steps)
        for micro in dealt.step(0, index, rank).micro_batches
    )
    assert dealt.fewest == fewest
    if fewest > 1:
        return refuse_single_values(dealt, sized(32), 32)
    with pytest.raises(ConfigError, match=f"batch.*{dealt.batch}, which leaves a rank a batch of one image") as refused:
        refuse_single_values(dealt, sized(32), 32)
    assert "imgsz=64 or more" in str(refused.value)
    return None


def test_with_more_pixels_images_or_none_left_over_it_is_not() -> None:
    refuse_single_values(order(9, 4), sized(64), 32)
    refuse_single_values(order(10, 4), sized(32), 32)
    refuse_single_values(order(9, 4, drop_last=True), sized(32), 32)


def test_the_smallest_size_that_an_image_may_be_scaled_to_counts() -> None:
    with pytest.raises(ConfigError, match="multi_scale"):
        refuse_single_values(order(9, 4), sized(96, 0.5), 32)


def seen_by_nodes(ranks: Any, steps: Any, names: list[list[str]]) -> str:
    """A copy of the data set on each of two nodes, in folders of their own."""
    validation = [f"/node{ranks.rank}/val/a.jpg"]
    train = [f"/node{ranks.rank}/{name}" for name in names[ranks.rank]]
    try:
        refuse_unlike(ranks, {"val": validation, "train": train})
    except ConfigError as error:
        return str(error)
    return "alike"


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (["a", "b"], "alike"),
        (["a"], "sees 1 images in train, rank 0 on"),
        (["b", "a"], "sees 2 images of other names or in another order in train"),
    ],
)
def test_ranks_that_see_other_images_are_refused_alike(
    launch_ranks: Callable[..., list[Any]], second: list[str], said: str
) -> None:
    first, other = launch_ranks(seen_by_nodes, 2, [["a", "b"], second])
    assert first == other
    assert said in first


@pytest.mark.parametrize(
    ("batch", "parameters", "exact", "share"),
    [(-1, 0, False, 0.6), (-1, 10**9, False, 0.44), (0.8, 10**9, False, 0.64), (-1, 10**9, True, 0.36)],
)
def test_what_comes_after_the_batch_is_left_room_for(batch: float, parameters: int, exact: bool, share: float) -> None:
    assert share_for_batch(batch, parameters, 100 * 10**9, exact=exact) == pytest.approx(share)


def test_a_small_gpu_still_has_a_share_to_size_by() -> None:
    assert share_for_batch(-1, 10**9, 10**9, exact=False) == 0.1
