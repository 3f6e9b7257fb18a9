"""The folder of a sweep: where its files lie, and which points it has. A point's folder below it is a run directory.

runs/<sweep>/sweep.yaml    version, what the person typed, the points in order, a search's space; written last of all
runs/<sweep>/job/          what was submitted; the lock of whoever writes here
runs/<sweep>/<point>/      a run
runs/<sweep>/study.journal, base.yaml    of a search only: sweep/search/search.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from yoloscale.config.freeze import dump, parse
from yoloscale.config.quoting import unquote
from yoloscale.config.schema.sweep import SweepConfig
from yoloscale.config.typed import build, to_plain
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs.directory import Below, RunDirectory
from yoloscale.system.files import write_whole

VERSION = 1


@dataclass(frozen=True)
class SweepPoint:
    """One run of a sweep: its index is the array task's, its name the folder's, its overrides those it differs by.

    values: by key what the overrides set, as a person would say it.
    """

    index: int
    name: str
    overrides: tuple[str, ...]
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SweepRecord:
    """What sweep.yaml holds: what was typed after `train`, the points in order, and the `sweep` group.

    space: of a search, as sweep/search/recorded.py reads it; None in what was begun before it was put down.
    """

    overrides: tuple[str, ...]
    points: tuple[SweepPoint, ...]
    settings: SweepConfig = field(default_factory=SweepConfig)
    space: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class SweepDirectory:
    """Paths below one sweep's folder; nothing is created or read by asking for a path."""

    path: Path

    record = Below("sweep.yaml")  # what makes a folder a sweep
    journal = Below("study.journal")  # the study of a search
    base = Below("base.yaml")  # what all points of a search have in common, frozen
    job = Below("job")  # what was submitted
    lock = Below("job", "lock")  # held (flock) while points are frozen and submitted
    arrays = Below("job", "arrays.json")  # the ids of job arrays that were submitted together
    elements = Below("job", "elements.json")  # by which elements of job arrays the points of a search are trained
    gpus = Below("job", "gpus.json")  # the GPUs of this machine that points take theirs from
    launcher_log = Below("job", "launcher.log")  # what launchers of the sweep in the background have printed

    @property
    def name(self) -> str:
        """The name a person calls the sweep by: the folder's."""
        return self.path.name

    def run(self, name: str) -> RunDirectory:
        """The run of the point with this name."""
        return RunDirectory(self.path / name)

    def points(self) -> tuple[SweepPoint, ...]:
        """The points in order. Raises ConfigError where sweep.yaml is absent or damaged."""
        return read(self).points

    def run_of(self, index: int) -> RunDirectory:
        """The run of an array task. Raises ConfigError if there is no such point."""
        points = {point.index: point.name for point in self.points()}
        if index not in points:
            indices = f"0 to {max(points)}" if points else "none yet"
            raise ConfigError(Problem(str(self.record), f"no point {index}", f"it has points {indices}"))
        return self.run(points[index])

    def runs(self) -> list[RunDirectory]:
        """The runs of all points, in their order."""
        return [self.run(point.name) for point in self.points()]


def is_sweep(path: Path) -> bool:
    """Whether the folder holds a sweep that was frozen completely."""
    return SweepDirectory(path).record.is_file()


def sweep_of(run: RunDirectory) -> SweepDirectory | None:
    """The sweep that the run is a point of; None for a run of its own."""
    return SweepDirectory(run.path.parent) if is_sweep(run.path.parent) else None


def read(sweep: SweepDirectory) -> SweepRecord:
    """What sweep.yaml says. Raises ConfigError where it is absent, damaged or of another version."""
    try:
        content = parse(sweep.record.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']}")
        points = tuple(map(_point, range(len(content["points"])), content["points"]))
        space = None if content.get("space") is None else tuple(content["space"])
        return SweepRecord(tuple(content["overrides"]), points, build(SweepConfig, content["settings"]), space)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(Problem(str(sweep.path), "it has no sweep.yaml", "give the folder of a sweep")) from None
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        instead = "sweep again under another name="
        raise ConfigError(Problem(str(sweep.record), f"not a sweep of this version: {reason}", instead)) from error


def write(sweep: SweepDirectory, record: SweepRecord) -> None:
    """Write sweep.yaml, whole or not at all."""
    content = {
        "version": VERSION,
        "overrides": list(record.overrides),
        "settings": to_plain(record.settings),
        **({} if record.space is None else {"space": list(record.space)}),
        "points": [_plain(index, point) for index, point in enumerate(record.points)],
    }
    write_whole(sweep.record, dump(content), synced=True)


def _point(index: int, content: Any) -> SweepPoint:
    overrides = tuple(content["overrides"])
    values = content.get("values") or dict(map(_value, overrides))  # older versions wrote the text alone
    return SweepPoint(content.get("index", index), content["name"], overrides, values)


def _value(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key.lstrip("+"), unquote(value)


def _plain(place: int, point: SweepPoint) -> dict[str, Any]:
    """A point as it stands in the file: with its index where that is not its place, as points of a search may come."""
    index = {} if point.index == place else {"index": point.index}
    values = {"values": dict(point.values)} if point.values else {}
    return {**index, "name": point.name, "overrides": list(point.overrides), **values}
