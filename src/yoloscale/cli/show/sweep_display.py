"""The points of a sweep while they train here: a table on a terminal, else a line when something happens."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from yoloscale.cli import text
from yoloscale.cli.show.display import say_above, unheard
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import EventTail
from yoloscale.runs.progress import Progress
from yoloscale.runs.status import Status
from yoloscale.runs.tail import Tail
from yoloscale.system import formatting

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

COLUMNS = ("point", "epoch", "metric", "images/s", "left", "where")
LINES_PER_POINT = 5  # at most, about epochs, where there is no terminal
REFRESH_S = 0.5


class _Point:
    """A point that trains: what its files have told."""

    def __init__(self, run: RunDirectory, where: str) -> None:
        self.run, self.where = run, where
        self.progress, self.began = Progress(), time.monotonic()
        self._events, self._metrics = EventTail(run), Tail(run.metrics)
        self.read()
        self.told_epoch = self.progress.epoch  # of an earlier attempt

    def read(self) -> None:
        """Take in what is new."""
        self.progress.take(self._events.new(), self._metrics.new())


class SweepDisplay:
    """Call `watch` about ten times a second; `started`, `ended` and `say` as an observer of a pool."""

    def __init__(self, name: str, parallel: int) -> None:
        """`name` of the sweep; `parallel`: how many of its points train at a time."""
        self._name, self._parallel = name, parallel
        self._total = self._kept = self._over = 0
        self._counts = {"finished": 0, "failed": 0}
        self._running: dict[str, _Point] = {}
        self._seconds: list[float] = []
        self._shown_at = 0.0
        self._live = _live() if sys.stdout.isatty() else None

    def expect(self, total: int, *, kept: int = 0) -> None:
        """`total` points in all, of which `kept` are over already."""
        self._total, self._kept, self._over = total, kept, kept

    def __enter__(self) -> SweepDisplay:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        with unheard():
            if self._live is not None:
                self._live.update(self._table())
                self._live.stop()

    def started(self, run: RunDirectory, where: str) -> None:
        """A point trains from now on."""
        self._running[run.name] = _Point(run, where)
        self.say(f"{run.name}: started" + (f" on {where}" if where else ""))

    def ended(self, run: RunDirectory, status: Status) -> None:
        """A point does not train any more."""
        point = self._running.pop(run.name, None)
        self._over += 1
        self._counts[status.state] = self._counts.get(status.state, 0) + 1
        took = time.monotonic() - point.began if point is not None else 0.0
        if status.state == "finished" and point is not None:
            self._seconds.append(took)
        line = f"{run.name}: {status.state}" + (f" in {formatting.duration(took)}" if took >= 1 else "")
        metrics = text.metrics(status.metrics) if status.state == "finished" else status.error or ""
        self.say(f"{line}  {metrics}".rstrip() + f"  ({self._over} of {self._total})")

    def say(self, line: str) -> None:
        """Print a line, above the table."""
        say_above(self._live, line)

    def watch(self) -> None:
        """Take in what is new; move the table, or tell of epochs."""
        if time.monotonic() < self._shown_at + REFRESH_S:
            return
        self._shown_at = time.monotonic()
        for point in self._running.values():
            point.read()
            if self._live is None:
                self._tell_epoch(point)
        with unheard():
            if self._live is not None:
                self._live.update(self._table(), refresh=True)

    def _tell_epoch(self, point: _Point) -> None:
        """Say that an epoch is over: of a run over many epochs, a few times."""
        progress = point.progress
        each = max(1, -(-progress.epochs // LINES_PER_POINT))
        done = progress.epoch if progress.epoch_step >= progress.steps_per_epoch > 0 else progress.epoch - 1
        if progress.is_training and done >= point.told_epoch + each and done < progress.epochs:
            point.told_epoch = done
            self.say(f"{point.run.name}: epoch {done}/{progress.epochs}  {_metric(progress)}".rstrip())

    def _table(self) -> Group:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        head = Text(self._head(), no_wrap=True, overflow="ellipsis")
        if not self._running:
            return Group(head)
        points = self._running.values()
        shown = COLUMNS if any(point.where for point in points) else COLUMNS[:-1]
        table = Table(box=None, pad_edge=False)
        for name in shown:
            table.add_column(name, overflow="ellipsis", no_wrap=True)
        for point in points:
            table.add_row(*map(Text, _cells(point)[: len(shown)]))
        return Group(head, table)

    def _head(self) -> str:
        waiting = self._total - self._over - len(self._running)
        states = {"running": len(self._running), **self._counts, "waiting": max(0, waiting)}
        counts = ", ".join(f"{count} {state}" for state, count in states.items() if count)
        kept = f" ({self._kept} from before)" if self._kept else ""
        own = [eta_s for point in self._running.values() if (eta_s := point.progress.eta_s()) is not None]
        left = formatting.duration(time_left_s(own, self._seconds, waiting, self._parallel))
        return f"{self._name}: {self._over} of {self._total} over{kept}; {counts}" + (f"; {left} left" if left else "")


def time_left_s(running: list[float], ended: list[float], waiting: int, parallel: int) -> float | None:
    """Seconds until all points are over; None before there is anything to go by.

    `running`: what those that train have left, as far as that is known; `ended`: how long those took that have
    finished; `waiting`: how many are still to start.
    """
    if not waiting:
        return max(running, default=None)
    if not ended:
        return None
    return max(running, default=0.0) + sum(ended) / len(ended) * -(-waiting // max(parallel, 1))


def _cells(point: _Point) -> tuple[str, ...]:
    progress = point.progress
    if not progress.is_training:
        return (point.run.name, progress.phase or "starting", "", "", "", point.where)
    speed = f"{progress.images_per_s:.1f}" if progress.images_per_s else ""
    epoch = f"{progress.epoch}/{progress.epochs or '?'}"
    left = formatting.duration(progress.eta_s())
    return (point.run.name, epoch, _metric(progress), speed, left, point.where)


def _metric(progress: Progress) -> str:
    return text.losses(progress.training) if progress.metric is None else text.metric(*progress.metric)


def _live() -> Live:
    from rich.console import Console
    from rich.live import Live

    return Live(console=Console(highlight=False), transient=True, auto_refresh=False)
