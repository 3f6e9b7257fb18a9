"""What a child's end means for the image that it was at, and for the unit."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yoloscale.config.schema import PredictConfig
from yoloscale.distributed.environment import Ranks
from yoloscale.manifest.table import Item
from yoloscale.predictions.rows import Row
from yoloscale.predictions.schema import Status
from yoloscale.worker.predict import isolation
from yoloscale.worker.predict.isolation import Isolation, IsolationFailed
from yoloscale.worker.predict.units import Place, Stopped


def serve(parent: Any, config: object, ranks: object, place: object) -> None:
    """In the place of a child with a model: what an item is called tells what becomes of it."""
    parent.send(True)
    is_poisoned = False
    while True:
        item = parent.recv()
        name, _, number = item.source.partition("-")
        if name == "raise" or is_poisoned:  # as CUDA does after a fault
            is_poisoned = True
            parent.send(isolation._End("ValueError", f"ValueError: of {item.source}"))
            continue
        if name == "once" and not Path(number).exists():
            Path(number).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "varied":
            tries = Path(number)
            tries.write_text(tries.read_text() + "." if tries.exists() else ".")
            os._exit(len(tries.read_text()))
        if name == "unreadable":
            parent.send(Row(item.index, item.source, None, None, Status.unreadable, "no image"))
            continue
        if item.source == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if item.source == "exit":
            os._exit(3)
        if item.source == "hang":
            signal.pause()
        if item.source == "full":
            parent.send(OSError(28, "No space left on device"))
        parent.send(Row(item.index, item.source, None, None, Status.ok))


def die(parent: Any, config: object, ranks: object, place: object) -> None:
    os._exit(9)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[Row]]:
    """The rows of a unit of items by these names."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: FORK)  # no import of torch for each child
    monkeypatch.setattr(isolation, "LOOK_S", 0.02)

    def of(
        *sources: str,
        moved_on: Callable[[int], None] = lambda images: None,
        child: Any = serve,
        timeout_s: float = 600.0,
    ) -> list[Row]:
        monkeypatch.setattr(isolation, "_serve", child)
        items = [Item(index, source) for index, source in enumerate(sources)]
        return Isolation(PredictConfig(), Ranks(), timeout_s).rows(items, Place(tmp_path, 7), moved_on)

    return of


FORK = multiprocessing.get_context("fork")


def test_what_ends_the_child_is_its_own_row_and_the_others_have_theirs(rows: Callable[..., list[Row]]) -> None:
    counts: list[int] = []
    found = rows("a", "kill", "b", "exit", "c", moved_on=counts.append)

    assert [row.index for row in found] == list(range(5))
    assert [row.status.value for row in found] == ["ok", "failed", "ok", "failed", "ok"]
    assert [row.error for row in found if row.error] == [
        "ended the process that was at it, by SIGKILL",
        "ended the process that was at it, with exit code 3",
    ]
    assert sum(counts) == 5


def test_an_image_that_never_ends_is_given_up(rows: Callable[..., list[Row]]) -> None:
    assert [row.error for row in rows("hang", timeout_s=0.5)] == ["took longer than 0.5 s"]


def test_no_image_alone_is_the_culprit_of_a_unit_in_which_none_survives(rows: Callable[..., list[Row]]) -> None:
    with pytest.raises(IsolationFailed, match=r"none of 2 images of unit 7 survives: .*SIGKILL"):
        rows("kill", "kill")
    with pytest.raises(IsolationFailed, match="none of 2 images"):
        rows("kill", "unreadable", "kill")
    assert [row.status for row in rows("kill")] == [Status.failed]  # a unit of one image
    assert [row.status.value for row in rows("unreadable", "unreadable")] == ["unreadable"] * 2


def test_where_nothing_works_few_images_are_tried(rows: Callable[..., list[Row]]) -> None:
    counts: list[int] = []
    with pytest.raises(IsolationFailed, match="none of 8 images of unit 7 survives"):
        rows(*["kill"] * 40, moved_on=counts.append)
    assert sum(counts) == 8


def test_bad_images_side_by_side_are_rows(rows: Callable[..., list[Row]]) -> None:
    statuses = [row.status.value for row in rows(*["kill"] * 9, *["a"] * 9)]
    assert statuses == ["failed"] * 9 + ["ok"] * 9


def test_what_ends_one_child_only_has_its_row(rows: Callable[..., list[Row]], tmp_path: Path) -> None:
    found = rows("a", f"once-{tmp_path / 'tried'}", "b")
    assert [row.status.value for row in found] == ["ok", "ok", "ok"]


def test_an_exception_ends_the_child_that_may_have_been_left_unwell(rows: Callable[..., list[Row]]) -> None:
    found = rows("a", "raise", "b")
    assert [(row.status.value, row.error) for row in found] == [
        ("ok", None),
        ("failed", "ValueError: of raise"),
        ("ok", None),
    ]


def test_an_image_that_ends_otherwise_each_time_is_not_the_culprit(
    rows: Callable[..., list[Row]], tmp_path: Path
) -> None:
    with pytest.raises(IsolationFailed, match=r"image 0 of unit 7 ends differently.*code 1; .*code 4"):
        rows(f"varied-{tmp_path / 'tries'}", "a")


class OutOfMemoryError(RuntimeError):
    """As torch calls its own."""


@pytest.mark.parametrize("error", [MemoryError("full"), OutOfMemoryError("full"), OSError(28, "full")])
def test_no_memory_and_no_disk_are_handed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception) -> None:
    from yoloscale.worker.predict import read_ahead

    monkeypatch.setattr(read_ahead, "load", lambda *_: None)

    class Predictor:
        raised = error

        def predict(self, images: object) -> object:
            raise self.raised

    predictor, item, place = Predictor(), Item(0, "a"), Place(tmp_path, 0)
    assert isolation._row(item, None, predictor, place) is error
    predictor.raised = ValueError("two\nlines")
    assert isolation._row(item, None, predictor, place) == isolation._End("ValueError", "ValueError: two")


def test_a_child_that_does_not_begin_is_not_an_images_doing(rows: Callable[..., list[Row]]) -> None:
    with pytest.raises(IsolationFailed, match=r"does not begin.*exit code 9"):
        rows("a", child=die)


def test_a_full_disk_is_not_an_images_doing(rows: Callable[..., list[Row]]) -> None:
    with pytest.raises(OSError, match="No space left"):
        rows("a", "full", "b")


def test_a_stop_ends_the_child(rows: Callable[..., list[Row]]) -> None:
    def stop_at_the_second(images: int) -> None:
        if images:
            raise Stopped

    with pytest.raises(Stopped):
        rows("a", "hang", moved_on=stop_at_the_second)
    assert multiprocessing.active_children() == []
