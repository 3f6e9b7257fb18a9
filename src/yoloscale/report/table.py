"""The results of a sweep as a table on a screen of some width, and as CSV. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from yoloscale.report.results import PointResult, SweepResults
from yoloscale.system import formatting
from yoloscale.system.formatting import metric_name, printable

MAX_CELL = 32  # characters of what was varied; paths may be long
MAX_METRICS = 4  # beside the objectives
SO_FAR = "*"
_QUIET = ("precision", "recall")  # metrics that say little without each other
_SIZES = ("parameters", "gflops", "latency_ms")


@dataclass(frozen=True)
class Column:
    """One column; of several that do not fit, those with the highest `rank` are left out first."""

    title: str
    cells: tuple[str, ...]
    rank: int
    is_number: bool = False

    @property
    def width(self) -> int:
        """In characters."""
        return max(map(len, (self.title, *self.cells)))


def lines(results: SweepResults, width: int, shown: int) -> list[str]:
    """The table, best point first, `shown` rows of `width` characters at most, and below it what is not in it."""
    ranked = results.ranked()
    points = ranked[:shown]
    kept, left_out = fitting(columns(results, points), width)
    rows = [[column.title for column in kept], *zip(*(column.cells for column in kept), strict=True)]
    numbers = [place for place, column in enumerate(kept) if column.is_number]
    printed = [formatting.cut(line, width) for line in formatting.table(rows, right=numbers)]
    if any(point.is_partial and point.has_all for point in points):
        printed.append(f"{SO_FAR} so far: the best evaluation of a point that has not finished")
    if left_out:
        printed.append(f"not shown for want of width: {', '.join(column.title for column in left_out)}")
    if len(points) < len(ranked):
        printed.append(f"and {len(ranked) - len(points)} more: --all shows them")
    return printed


def columns(results: SweepResults, points: Sequence[PointResult]) -> list[Column]:
    """All columns that say something, in their order on the screen."""
    ranks = {point.index: str(place + 1) for place, point in enumerate(results.ranked()) if point.is_complete}
    name_rank = 0 if results.is_search else 90  # a grid's names say what the columns beside them say
    every = [Column("#", tuple(ranks.get(point.index, "") for point in points), 0, is_number=True)]
    every.append(Column("point", tuple(printable(point.name) for point in points), name_rank))
    for place, (key, title) in enumerate(zip(results.keys, formatting.short_keys(results.keys), strict=True)):
        words = [printable(formatting.value(point.values.get(key, ""))) for point in points]
        cells = tuple(formatting.cut(word, MAX_CELL) for word in words)
        every.append(Column(title, cells, 30 + min(place, 9)))
    for place, objective in enumerate(results.objectives):
        cells = tuple(_objective(point, place) for point in points)
        every.append(Column(metric_name(objective.name), cells, 1, is_number=True))
    for place, name in enumerate(_metrics(results)):
        every.append(_numbers(metric_name(name), name, points, 50 + place))
    every.append(Column("epochs", tuple(map(_epochs, points)), 40, is_number=True))
    speeds = [point.numbers.get("images_per_s") for point in points]
    every.append(Column("images/s", tuple(f"{speed:.1f}" if speed else "" for speed in speeds), 70, is_number=True))
    seconds = [point.numbers.get("seconds") for point in points]
    every.append(Column("time", tuple(formatting.duration(s) if s else "" for s in seconds), 71, is_number=True))
    every.append(Column("state", tuple(point.state for point in points), 2))
    return [column for column in every if any(column.cells)]


def fitting(every: Sequence[Column], width: int) -> tuple[list[Column], list[Column]]:
    """The columns that fit side by side, and those that do not."""
    kept = list(every)
    while sum(column.width + formatting.COLUMN_GAP for column in kept) - formatting.COLUMN_GAP > width:
        last = max(kept, key=lambda column: column.rank)
        if last.rank < 3:  # the least that a table must have: its lines are cut
            break
        kept.remove(last)
    return kept, [column for column in every if column not in kept]


def as_csv(results: SweepResults) -> str:
    """One line a point, in the order of the points: name, state, what was varied, every number, the error."""
    names = list(dict.fromkeys(name for point in results.points for name in point.numbers))
    first = [objective.name for objective in results.objectives]
    rest = [name for name in names if name not in first]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "state", *results.keys, *first, *rest, "error"])
    for point in results.points:
        values = [point.values.get(key, "") for key in results.keys]
        numbers = [point.numbers.get(name, "") for name in rest]
        objectives = ["" if value is None else value for value in point.objectives]
        writer.writerow([point.name, point.state, *values, *objectives, *numbers, point.error or ""])
    return text.getvalue()


def _metrics(results: SweepResults) -> list[str]:
    names = dict.fromkeys(name for point in results.points for name in point.numbers)
    objectives = {objective.name for objective in results.objectives}
    metrics = [name for name in names if name.startswith("metrics/") and not metric_name(name).startswith(_QUIET)]
    sizes = [name for name in _SIZES if name in names]
    return [name for name in (*metrics[:MAX_METRICS], *sizes) if name not in objectives]


def _numbers(title: str, name: str, points: Sequence[PointResult], rank: int) -> Column:
    numbers = [point.numbers.get(name) for point in points]
    cells = tuple("" if number is None else formatting.number(number) for number in numbers)
    return Column(title, cells, rank, is_number=True)


def _objective(point: PointResult, place: int) -> str:
    value = point.objectives[place]
    if value is None:
        return ""
    return formatting.number(value) + (SO_FAR if point.is_partial else "")


def _epochs(point: PointResult) -> str:
    done = point.numbers.get("epochs")
    if not done:
        return ""
    return f"{done:.0f}/{point.epochs}" if point.epochs and done != point.epochs else f"{done:.0f}"
