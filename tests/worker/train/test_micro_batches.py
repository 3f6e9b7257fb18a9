"""Up to which epoch a rank's micro-batches have mosaic, where `time=` moves the plan and loaders are ahead of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from yoloscale.checkpoint.state import TENSORS, Progress, pack, unpack
from yoloscale.worker.train.micro_batches import MicroBatches

STEPS = 4


class Ahead:
    """A loader whose keys are made so many micro-batches before they are delivered; each batch is its own key."""

    def __init__(self, start: tuple[int, int], closed: Callable[[int], bool], ahead: int) -> None:
        self._keys, self._ahead = self._all(start, closed), ahead
        self._ready = deque[dict[str, Any]]()
        self.is_closed = False

    @staticmethod
    def _all(start: tuple[int, int], closed: Callable[[int], bool]) -> Any:
        epoch, first = start
        while True:
            is_off = closed(epoch)
            for step in range(first, STEPS):
                yield {"epoch": epoch, "step": step, "off": is_off}
            epoch, first = epoch + 1, 0

    def __next__(self) -> dict[str, Any]:
        while len(self._ready) <= self._ahead:
            self._ready.append(next(self._keys))
        return self._ready.popleft()

    def close(self) -> None:
        self.is_closed = True


class Rank:
    """Trains epochs of which each is told the plan that holds when it begins."""

    def __init__(self, closing: int, ahead: int, start: tuple[int, int] = (0, 0), planned: int = 100) -> None:
        self.made = list[Ahead]()
        self.progress = Progress()
        position = self.progress.position
        position.epoch, position.step, position.epochs = *start, planned
        self.resume(closing, ahead)

    def resume(self, closing: int, ahead: int) -> None:
        """Go on in a new process, from what a checkpoint of now holds."""
        self.progress = unpack(pack(dict.fromkeys(TENSORS), self.progress))[1]
        self._batches = MicroBatches(lambda start, closed: self._make(start, closed, ahead), closing)
        self._load = self._batches.begin(self.progress)

    def _make(self, start: tuple[int, int], closed: Callable[[int], bool], ahead: int) -> Ahead:
        self.made.append(Ahead(start, closed, ahead))
        return self.made[-1]

    def train(self, plan_after: int) -> set[bool]:
        """An epoch's rest; after it the plan is another one. Whether mosaic was off, of each micro-batch."""
        position, seen = self.progress.position, set[bool]()
        while position.step < STEPS:
            batch = self._load()
            assert (batch["epoch"], batch["step"]) == (position.epoch, position.step), "each once, in order"
            seen.add(batch["off"])
            position.step += 1
        position.epoch, position.step, position.epochs = position.epoch + 1, 0, plan_after
        return seen


@pytest.mark.parametrize("ahead", [0, 1, 3, 9])
@pytest.mark.parametrize(
    ("plans", "expected"),
    [
        ([100, 5, 5, 5, 5], [False, False, True, True, True]),  # the last three of five
        ([3, 3, 3], [False, True, True]),  # all that are left
        ([100, 5, 9, 9, 9, 9, 9], [False, False, True, True, True, True, True]),  # once off it stays off
        ([4, 9, 9, 9, 9, 9, 9], [False, True, True, True, True, True, True]),
        ([5, 9, 9, 9, 9, 9, 9, 9], [False, False, False, False, False, False, True, True]),  # not yet off
    ],
)
def test_mosaic_ends_by_the_plan_that_holds_when_an_epoch_begins(
    ahead: int, plans: list[int], expected: list[bool]
) -> None:
    rank = Rank(closing=3, ahead=ahead)
    assert [rank.train(plan) for plan in plans] == [{off} for off in expected]
    assert [loader.is_closed for loader in rank.made] == [True] * (len(rank.made) - 1) + [False]


@pytest.mark.parametrize("closing", [0, 2, 7])
def test_a_plan_that_stays_has_one_loader(closing: int) -> None:
    rank = Rank(closing, ahead=3, planned=5)
    assert [rank.train(5) for _ in range(5)] == [{bool(closing) and epoch >= 5 - closing} for epoch in range(5)]
    assert len(rank.made) == 1


def test_it_goes_on_within_an_epoch() -> None:
    rank = Rank(closing=3, ahead=9, start=(2, 3), planned=6)
    assert [rank.train(6) for _ in range(4)] == [{False}, {True}, {True}, {True}]
    assert len(rank.made) == 1


@pytest.mark.parametrize("ahead", [0, 3])
@pytest.mark.parametrize("done", [3, 4, 5])
def test_once_off_it_stays_off_after_a_restart(ahead: int, done: int) -> None:
    plans = [100, 5, 9, 9, 9, 9, 9]
    rank = Rank(closing=3, ahead=ahead)
    before = [rank.train(plan) for plan in plans[:done]]
    rank.resume(3, ahead)
    assert before + [rank.train(plan) for plan in plans[done:]] == [{off} for off in [False] * 2 + [True] * 5]


def test_a_restart_with_another_close_mosaic_follows_it() -> None:
    rank = Rank(closing=3, ahead=1)
    assert [rank.train(plan) for plan in (100, 5, 9)] == [{False}, {False}, {True}]
    rank.resume(2, ahead=1)
    assert [rank.train(9) for _ in range(6)] == [{False}, {False}, {False}, {False}, {True}, {True}]
