"""Background writes: one at a time, and none that fails unheard."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from yoloscale.checkpoint.writer import BackgroundWriter


def test_a_job_runs_while_others_go_on_and_the_next_one_waits_for_it() -> None:
    writer, may_end, done = BackgroundWriter(), threading.Event(), list[str]()

    def slow() -> None:
        assert may_end.wait(300)
        done.append("first")

    writer.submit(slow)
    assert done == []
    started = time.monotonic()
    threading.Timer(0.2, may_end.set).start()
    writer.submit(lambda: done.append("second"))
    assert time.monotonic() - started > 0.1, "back-pressure"
    assert done[0] == "first"
    writer.wait()
    assert done == ["first", "second"]


def test_what_a_job_raises_is_raised_where_the_next_one_is_brought() -> None:
    writer = BackgroundWriter()
    writer.submit(lambda: [][0])
    with pytest.raises(IndexError):
        writer.submit(lambda: None)
    writer.wait()


def test_a_wait_that_a_signal_breaks_off_leaves_the_job_to_the_next_one() -> None:
    """torch raises in its handler when a loader worker dies, at any moment."""

    def raises(*_: object) -> None:
        raise RuntimeError("a loader worker is gone")

    writer, may_end, done = BackgroundWriter(), threading.Event(), list[str]()

    def slow() -> None:
        may_end.wait()
        done.append("written")

    before = signal.signal(signal.SIGALRM, raises)
    try:
        writer.submit(slow)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(RuntimeError, match="is gone"):
            writer.wait()
    finally:
        signal.signal(signal.SIGALRM, before)
    threading.Timer(0.2, may_end.set).start()
    writer.wait()
    assert done == ["written"]
