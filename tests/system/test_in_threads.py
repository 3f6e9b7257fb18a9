"""Work on many files at once: in their order, told of if it takes long, and left when nobody wants the rest."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from yoloscale.system import in_threads as module
from yoloscale.system.in_threads import in_threads

FILES = [str(number) for number in range(10)]


@pytest.fixture(autouse=True)
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 1)


def test_results_come_in_the_order_of_the_files_though_several_are_at_work() -> None:
    met = threading.Barrier(5)

    def work(chunk: Sequence[str]) -> str:
        met.wait(300)  # one at a time would wait for the others
        return chunk[0]

    assert list(in_threads(work, FILES)) == FILES
    assert list(in_threads(work, [])) == []


def test_what_takes_long_is_told() -> None:
    said, now_s = list[str](), [0.0]
    for _ in in_threads(lambda chunk: chunk, FILES, "images checked", said.append, clock=lambda: now_s[0]):
        now_s[0] += 3
    assert said == ["2 of 10 images checked", "7 of 10 images checked"]


def test_who_leaves_does_not_wait_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, left = list[str](), threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            left.set()
            super().shutdown(wait=wait)

    def work(chunk: Sequence[str]) -> None:
        begun.extend(chunk)
        if len(begun) > 1:
            left.wait(300)

    monkeypatch.setattr(module, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(module, "_THREADS", 1)
    results = in_threads(work, FILES)
    next(results)
    results.close()  # type: ignore[attr-defined]  # as an interrupt does
    assert len(begun) <= 2
