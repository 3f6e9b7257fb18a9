"""What the parts of a prediction come to, as numbers; also while it goes on. A few columns of them are read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from yoloscale.errors import ConfigError, Problem
from yoloscale.predictions import model as model_file
from yoloscale.predictions import parts
from yoloscale.predictions.schema import Status
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory

if TYPE_CHECKING:
    import polars as pl

SCORE_BINS = 20  # from 0 to 1
MOST_FAILURES = 20  # that are shown; failures.csv has all
MOST_SLOW = 3  # units
LOST = (Status.unreadable.value, Status.failed.value)


@dataclass(frozen=True)
class ClassCount:
    """How often there is a class; of a classifier, images whose best class it is."""

    number: int
    name: str
    objects: int
    images: int


@dataclass(frozen=True)
class Failure:
    """An image that could not be predicted."""

    index: int
    source: str
    frame: int | None
    status: str
    error: str | None


@dataclass(frozen=True)
class RankPace:
    """The pace of one process, the median of what it has told."""

    rank: int
    host: str
    images_per_s: float


@dataclass(frozen=True)
class SlowUnit:
    """One of the units that took longest for each of their images."""

    unit: int
    rank: int
    images: int
    seconds: float


@dataclass(frozen=True)
class Figures:
    """What has been found so far.

    Args:
        task: of the model, by Ultralytics' name.
        is_whole: whether the run has finished; else `statuses` counts the images of the parts that are there.
        statuses: images by status, all four.
        classes: those that were found, most objects first.
        scores: objects (of a classifier: images, by their best class) by score, in SCORE_BINS bins from 0 to 1.
        failures: the first of them.
        paces: slowest first.
        slow_units: those that took longest for an image, slowest first, out of `timed_units` of which it is known;
            usual_image_s: seconds for an image in half of these, at most.
    """

    task: str
    is_whole: bool
    statuses: Mapping[str, int]
    classes: tuple[ClassCount, ...]
    scores: tuple[int, ...]
    failures: tuple[Failure, ...]
    paces: tuple[RankPace, ...]
    slow_units: tuple[SlowUnit, ...] = ()
    timed_units: int = 0
    usual_image_s: float = 0.0

    @property
    def images(self) -> int:
        """All images that were done, one way or another."""
        return sum(self.statuses.values())

    @property
    def objects(self) -> int:
        """What the classes and scores are of."""
        return sum(self.scores)


def read_figures(run: RunDirectory) -> Figures:
    """Read a run that predicts. Raises ConfigError before there is anything to read."""
    try:
        model, rows = model_file.read(run.path), parts.scan(run.path)
    except FileNotFoundError:
        instead = "wait for its first unit: `yoloscale status` tells how far it is"
        raise ConfigError(Problem("RUN", f"{run.name} has no predictions yet", instead)) from None
    columns = rows.collect_schema().names()
    timed = _timed_units(run)
    return Figures(
        task=model.task.value,
        is_whole=run.result.exists(),
        statuses=_statuses(rows),
        classes=_classes(rows, columns, model.names),
        scores=_scores(rows, columns),
        failures=_failures(rows),
        paces=_paces(run),
        slow_units=tuple(timed[:MOST_SLOW]),
        timed_units=len(timed),
        usual_image_s=median(unit.seconds / unit.images for unit in timed) if timed else 0.0,
    )


def _statuses(rows: pl.LazyFrame) -> dict[str, int]:
    import polars as pl

    counts = dict(rows.group_by("status").agg(pl.len()).collect(engine="streaming").iter_rows())
    return {status.value: counts.get(status.value, 0) for status in Status}


def _classes(rows: pl.LazyFrame, columns: Collection[str], names: Mapping[int, str]) -> tuple[ClassCount, ...]:
    import polars as pl

    if "probs" in columns:
        best = rows.select(pl.col("probs").list.arg_max().cast(pl.Int32).alias("class"))
        objects = images = _count(best)
    elif "classes" in columns:
        objects = _count(rows.select(pl.col("classes").explode().alias("class")))
        images = _count(rows.select(pl.col("classes").list.unique().explode().alias("class")))
    else:
        return ()
    counts = [ClassCount(number, names.get(number, str(number)), objects[number], images[number]) for number in objects]
    return tuple(sorted(counts, key=lambda count: (-count.objects, count.number)))


def _scores(rows: pl.LazyFrame, columns: Collection[str]) -> tuple[int, ...]:
    import polars as pl

    if "probs" in columns:
        score = pl.col("probs").list.max()
    elif "scores" in columns:
        score = pl.col("scores").explode()
    else:
        return ()
    place = (score * SCORE_BINS).floor().clip(0, SCORE_BINS - 1).cast(pl.Int32)
    counts = _count(rows.select(place.alias("bin")))
    return tuple(counts.get(number, 0) for number in range(SCORE_BINS))


def _count(values: pl.LazyFrame) -> dict[int, int]:
    """How often there is each value of a frame's only column, but null."""
    import polars as pl

    [name] = values.collect_schema().names()
    counts = values.drop_nulls().group_by(name).agg(pl.len()).collect(engine="streaming")
    return dict(counts.iter_rows())


def _failures(rows: pl.LazyFrame) -> tuple[Failure, ...]:
    import polars as pl

    lost = rows.filter(pl.col("status").is_in(LOST)).select("index", "source", "frame", "status", "error")
    return tuple(Failure(*row) for row in lost.head(MOST_FAILURES).collect(engine="streaming").iter_rows())


def _timed_units(run: RunDirectory) -> list[SlowUnit]:
    """The units that ranks have told of, slowest first."""
    done = [event for event in events.history(run) if isinstance(event, events.UnitDone) and event.images]
    newest = {event.unit: SlowUnit(event.unit, event.rank, event.images, event.seconds) for event in done}
    return sorted(newest.values(), key=lambda unit: -unit.seconds / unit.images)


def _paces(run: RunDirectory) -> tuple[RankPace, ...]:
    told: dict[tuple[str, int, int], list[float]] = {}
    for line in jsonl.read(run.metrics):
        pace = line.get("images_per_s")
        if line.get("kind") == "progress" and isinstance(pace, (int, float)) and pace > 0:
            who = str(line.get("host", "?")), int(line.get("pid", 0)), int(line.get("rank", 0))
            told.setdefault(who, []).append(float(pace))
    paces = [RankPace(rank, host, median(values)) for (host, _, rank), values in told.items()]
    return tuple(sorted(paces, key=lambda pace: pace.images_per_s))
