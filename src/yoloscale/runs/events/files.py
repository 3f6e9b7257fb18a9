"""Where the history of a run lies: a file for each process that writes, merged when they are read.

| file | who writes it |
| --- | --- |
| events/<host>-<pid>.jsonl | one process, each line at once; `-2`, `-3`, … behind the name where it is taken |
| events.jsonl | versions that had one file for all; nobody any more. It is read, also where a run goes on from there |

One file for all loses lines on NFS: the client computes where O_APPEND writes, and two clients compute the same place.
A name is made with O_EXCL, so that no two processes share a file, whatever their host names and pids (1 in containers).

Order: by the time of the lines, those of one process as it wrote them, also if its clock steps back, those of the same
time by the names of the files. A process whose clock lags behind what it has read says so in `after`, so that what
follows from something never comes before it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events.schema import Event, parse
from yoloscale.runs.tail import Lines
from yoloscale.system.files import host_name
from yoloscale.system.variables import READ_UNTIL

RECENT = 6  # files with the newest lines: opened at each look, which is what makes NFS tell of their new lines at once
ROTATED = 32  # of the others, whose sizes are looked at, in turn
_own: dict[tuple[int, Path], Path] = {}  # the file of this process, by pid and run: a forked child has one of its own
_newest: dict[Path, float] = {}  # by run
_Entry = tuple[float, str, int, Event]  # its place in time, file, number in it, and the event itself


def append(run: RunDirectory, record: Mapping[str, Any]) -> None:
    """Append a line to this process's file, which is made with the first one.

    Raises OSError if the disk does not take it, and FileNotFoundError if the file is gone: so is the run then.
    """
    key = (os.getpid(), run.path.absolute())
    path = _own.get(key) or _own.setdefault(key, _make(run))
    jsonl.append(path, record, must_exist=True)


def begin(run: RunDirectory) -> None:
    """Know that this process makes the run now: what it has written under that name before was another one's."""
    _own.pop((os.getpid(), run.path.absolute()), None)
    _newest.pop(run.path.absolute(), None)


def after(run: RunDirectory, now: float) -> float | None:
    """The time that a line of `now` is to follow by what this process has read; None where the clock says so itself."""
    newest = _newest.get(run.path.absolute(), float(os.environ.get(READ_UNTIL, 0.0)))
    return round(newest + 0.001, 3) if newest >= now else None


def handed_on(run: RunDirectory) -> dict[str, str]:
    """The variable by which processes that this one starts know what came before them."""
    newest = _newest.get(run.path.absolute())
    return {} if newest is None else {READ_UNTIL: f"{newest:.3f}"}


def exist(run: RunDirectory) -> bool:
    """Whether anything has happened to the run."""
    return next(_files(run), None) is not None


def contents(run: RunDirectory) -> Iterator[bytes]:
    """All files as they are, for who looks for a word in many runs."""
    for path in _files(run):
        with suppress(FileNotFoundError):
            yield path.read_bytes()


class EventTail:
    """Gives each event of a run once, or all so far, at a cost that does not grow with the files that are there.

    A look lists the folder, opens the files that are new or RECENT, and asks the size of ROTATED others. A line that is
    not seen yet, as NFS may show an old size for a minute, is seen later; none is passed over. Where the run
    was removed and its name is used again, that of the new one is given.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._writers: dict[str, _Writer] = {}  # by file name, the next one to look at first
        self._entries: list[_Entry] = []

    def new(self) -> list[Event]:
        """The events since the last call, in their order among each other; late ones may belong before earlier ones."""
        entries = sorted((entry for writer in self._look() for entry in writer.new()), key=_place)
        if entries:
            path = self._run.path.absolute()
            self._entries += entries
            _newest[path] = max(_newest.get(path, 0.0), entries[-1][0])
        return [event for *_, event in entries]

    def history(self) -> list[Event]:
        """All events so far, oldest first."""
        self.new()
        self._entries.sort(key=_place)
        return [event for *_, event in self._entries]

    def _look(self) -> list[_Writer]:
        """The files that may have new lines."""
        paths = {path.name: path for path in _files(self._run)}
        if not self._writers.keys() <= paths.keys():  # removed, with the run: what is there now is another one
            self._writers, self._entries = {}, []
        fresh = [path for name, path in paths.items() if name not in self._writers]
        recent = sorted(self._writers.values(), key=lambda writer: writer.clock, reverse=True)[:RECENT]
        others = [writer for writer in self._writers.values() if writer not in recent][:ROTATED]
        for writer in others:  # behind all others for the next look
            self._writers[writer.name] = self._writers.pop(writer.name)
        for path in fresh:
            self._writers[path.name] = _Writer(Lines(path))
        return [*(self._writers[path.name] for path in fresh), *recent, *filter(_Writer.has_grown, others)]


@dataclass(eq=False)
class _Writer:
    """One file, and how far it has been read."""

    lines: Lines
    count: int = 0
    clock: float = 0.0  # the newest time in it so far: that of later lines is not before

    @property
    def name(self) -> str:
        return self.lines.path.name

    def has_grown(self) -> bool:
        try:
            return self.lines.path.stat().st_size != self.lines.offset
        except OSError:  # ESTALE, too: later looks tell
            return False

    def new(self) -> Iterator[_Entry]:
        """The whole lines that were not given yet; one that is being written waits."""
        for line in self.lines.new():
            if (record := jsonl.parse(line)) is not None and "event" in record:
                self.clock = max(self.clock, *(_number(record.get(key)) for key in ("time", "after")))
                self.count += 1
                yield self.clock, self.name, self.count, parse(record)


def _files(run: RunDirectory) -> Iterator[Path]:
    """The files that there are, in no order."""
    if run.old_events.exists():
        yield run.old_events
    try:
        with os.scandir(run.events) as entries:
            names = [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (run.events / name for name in names if name.endswith(".jsonl"))


def _make(run: RunDirectory) -> Path:
    """A file that no other process has, of this run only: a run's folder that is gone is not made again."""
    run.events.mkdir(exist_ok=True)
    stem = f"{host_name()}-{os.getpid()}"
    for number in count(1):
        path = run.events / (f"{stem}.jsonl" if number == 1 else f"{stem}-{number}.jsonl")
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        except FileExistsError:
            continue
        return path
    raise AssertionError("numbers do not end")


def _place(entry: _Entry) -> tuple[float, str, int]:
    return entry[:3]


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
