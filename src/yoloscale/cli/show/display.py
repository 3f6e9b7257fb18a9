"""Live progress of a run, by following its events and metrics: for `train`, and for `logs -f` anywhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from yoloscale.cli import text
from yoloscale.cli.show.event_lines import EventLines
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import EventTail, in_order
from yoloscale.runs.progress import Progress
from yoloscale.runs.tail import Tail
from yoloscale.system import formatting

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress as Bar

BAR_STEPS = 1000


class Display:
    """A line per epoch, and on a terminal a bar below. Call `watch` about ten times a second."""

    def __init__(self, run: RunDirectory, *, since_attempt: int = 0) -> None:
        """`since_attempt`: attempts up to this one are not told again."""
        self._events, self._metrics = EventTail(run), Tail(run.metrics)
        self._account = EventLines()
        self._bar = _bar() if sys.stdout.isatty() else None
        if since_attempt:
            for _ in self._new_lines():
                continue
            self._account.flush()

    def __enter__(self) -> Display:
        if self._bar is not None:
            self._bar.start()
            self._bar.add_task("starting", total=BAR_STEPS, rate="", eta="")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.watch()
            for line in self._account.flush():
                self.say(line)
        with unheard():
            if self._bar is not None:
                self._bar.stop()

    @property
    def progress(self) -> Progress:
        """What the files have told so far."""
        return self._account.progress

    def watch(self) -> None:
        """Print what is new, move the bar."""
        for line in self._new_lines():
            self.say(line)
        with unheard():
            if self._bar is not None:
                self._move()

    def _new_lines(self) -> Iterator[str]:
        """What is new in both files, in the order in which it happened."""
        for entry in in_order(self._events.new(), self._metrics.new()):
            yield from self._account.lines(entry)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        say_above(self._bar, line)

    def _move(self) -> None:
        assert self._bar is not None
        progress = self.progress
        task = self._bar.task_ids[0]
        if not progress.is_training:
            self._bar.update(task, description=f"setting up: {progress.phase or 'starting'}")
            return
        eta = formatting.duration(progress.eta_s())
        self._bar.update(
            task,
            completed=progress.fraction * BAR_STEPS,
            description=_done(progress),
            rate=text.images_per_s(progress.images_per_s),
            eta=f"{eta} left" if eta else "",
        )


def _done(progress: Progress) -> str:
    """How far a run has come, beside the bar."""
    if progress.images is not None:
        return text.images(progress.images.done, progress.images.total)
    return f"epoch {progress.epoch}/{progress.epochs or '?'}  {text.losses(progress.training)}"


def say_above(live: Bar | Live | None, line: str) -> None:
    """Print a line above what is shown live, if there is any."""
    with unheard():
        if live is not None:
            live.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            print(line, flush=True)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """A terminal that was closed, or a pipe whose reader left, ends the talking and not the run.

    From then on standard output goes nowhere: what is printed at the end must not fail either.
    """
    try:
        yield
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}", markup=False),
    )
    return Progress(*columns, console=Console(highlight=False), transient=True, refresh_per_second=5)
