"""Trackers behind one thread and a queue: whatever a server does, the training loop only hands over and goes on."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping
from copy import copy
from functools import cache
from pathlib import Path

from yoloscale.track import marks
from yoloscale.track.tracker import Tracker

Make = Callable[[], Tracker]
Tell = Callable[[Tracker], None]

QUEUE_LENGTH = 2000  # steps beyond this are left out: at two a second, a quarter of an hour without an answer


class BackgroundTrackers:
    """Tells trackers, in order, from a thread of its own, in which they are made, too.

    Args:
        makers: how each tracker is made, by the name that warnings call it.
        file: keeps how far they were told; earlier steps and epochs are left out.
        warn: takes a sentence for people. Called from the thread.
        of_epoch: numbers that are added to those of an epoch, taken when the thread gets there.
        check: raises OSError if the folder that trackers write to is not theirs any more; they are told no more then.
    """

    def __init__(
        self,
        makers: Mapping[str, Make],
        file: Path,
        warn: Callable[[str], None],
        of_epoch: Callable[[], Mapping[str, float]] = dict,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._check = check
        self._makers, self._file, self._warn, self._of_epoch = makers, file, warn, of_epoch
        self._marks = marks.read(file)
        self._written = copy(self._marks)
        self._queue: deque[Tell] = deque()
        self._changed = threading.Condition()
        self._closing = self._dropping = False
        self._trackers: dict[str, Tracker] = {}
        self._thread: threading.Thread | None = None
        if makers:
            self._thread = threading.Thread(target=self._work, name="trackers", daemon=True)
            self._thread.start()

    def log(self, values: Mapping[str, float], step: int, *, epoch: int, is_epoch: bool) -> None:
        """Hand over the numbers of a step or an epoch (from 1); does not wait. Steps are left out when it is too much.

        What an earlier start, or this one before a roll-back, has handed over already is left out.
        """
        if self._thread is None or not self._marks.passes(step, epoch, is_epoch=is_epoch):
            return
        copied = dict(values)
        if is_epoch:
            numbers = cache(lambda: copied | self._more_of_epoch())  # in the thread, once for all trackers
            self._put(lambda tracker: tracker.log(numbers(), step, is_epoch=True))
        elif len(self._queue) < QUEUE_LENGTH:
            self._put(lambda tracker: tracker.log(copied, step, is_epoch=False))
        elif not self._dropping:
            self._dropping = True
            self._warn("the trackers do not keep up: steps are left out of them, epochs are not; metrics.jsonl has all")

    def log_measured(self, values: Mapping[str, float], step: int, *, epoch: int) -> None:
        """Hand over metrics of an epoch that was handed over without them; does not wait. Each epoch's once."""
        if self._thread is not None and self._marks.passes_measured(epoch):
            copied = dict(values)
            self._put(lambda tracker: tracker.log(copied, step, is_epoch=True))

    def tell(self, tell: Tell) -> None:
        """Hand over anything else; never left out, does not wait."""
        if self._thread is not None:
            self._put(tell)

    def close(self, exit_code: int, timeout_s: float) -> None:
        """Let the trackers take what is left and end, for so long at most."""
        if self._thread is None or self._closing:
            return
        self.tell(lambda tracker: tracker.close(exit_code))
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            names = ", ".join(self._trackers or self._makers)
            self._warn(f"{names} did not take everything within {timeout_s:.0f} s: the rest stays on this disk")

    def _put(self, tell: Tell) -> None:
        with self._changed:
            self._queue.append(tell)
            self._changed.notify()

    def _more_of_epoch(self) -> dict[str, float]:
        try:
            return dict(self._of_epoch())
        except Exception as error:
            self._warn(f"not told to the trackers: {type(error).__name__}: {error}")
            return {}

    def _work(self) -> None:
        self._leave_if_lost()
        self._make()
        is_over = False
        while not is_over:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                items, is_over = list(self._queue), self._closing
                self._queue.clear()
            self._leave_if_lost()
            if self._trackers:  # else a later start tells all that nobody has heard
                self._keep_marks()  # before the trackers hear of it: a kill may cost a line, and never tells one twice
            for tell in items:
                self._leave_if_lost()
                self._tell_all(tell)

    def _make(self) -> None:
        for name, make in self._makers.items():
            try:
                self._trackers[name] = make()
            except Exception as error:
                self._warn(f"{name} is left out of this start: {type(error).__name__}: {error}")

    def _leave_if_lost(self) -> None:
        """Leave the trackers as they are, not even closed, where they would write into somebody else's folder."""
        if not self._makers:
            return
        try:
            self._check()
        except OSError as error:
            self._makers = {}
            self._trackers.clear()
            self._warn(f"the trackers get no more: {error}")

    def _keep_marks(self) -> None:
        reached = copy(self._marks)
        if reached == self._written:
            return
        with contextlib.suppress(OSError):  # a full disk: at worst, the next start tells them again
            marks.write(self._file, reached)
            self._written = reached

    def _tell_all(self, tell: Tell) -> None:
        """Tell every tracker; one that fails is left out from then on."""
        for name, tracker in list(self._trackers.items()):
            try:
                tell(tracker)
            except Exception as error:
                del self._trackers[name]
                self._warn(f"{name} has failed and gets no more: {type(error).__name__}: {error}")
