"""The history of a run, which `status`, `runs` and goodput are computed from: to add to it and to look in it."""

from __future__ import annotations

import contextlib
import heapq
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import files
from yoloscale.runs.events.schema import (
    AttemptLaunched,
    AttemptStarted,
    Event,
    Regrouped,
    Restarted,
    Warned,
    as_record,
    attempt_of,
)


def append(run: RunDirectory, event: Event) -> None:
    """Put one event on record with the time of day. Raises RunLost if `run` has lost its folder."""
    run.check()
    files.append(run, line(run, event))


def line(run: RunDirectory, event: Event) -> dict[str, Any]:
    """An event as it stands in the file: the run's id, the time of now, and what that follows where the clock lags."""
    now = round(time.time(), 3)
    follows, run_id = files.after(run, now), run.id_now()
    whose = {"id": run_id} if run_id else {}  # a run of before there were ids has none
    return {
        "event": event.word,
        "time": now,
        **whose,
        **({} if follows is None else {"after": follows}),
        **as_record(event),
    }


def warn(run: RunDirectory, message: str) -> None:
    """Print a warning and put it on record, if the disk takes it: what is worth a warning is not worth the run."""
    _say(message)
    note(run, Warned(message=message))


def note(run: RunDirectory, event: Event) -> None:
    """Append one event if the disk takes it; for what somebody goes on without, or knows from an exit code, too."""
    try:
        append(run, event)
    except OSError as error:
        _say(f"not recorded: {error}")


def _say(line: str) -> None:
    """Print a line, if it can be: a log often lies on the very disk that is full."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


def history(run: RunDirectory) -> list[Event]:
    """All events so far, oldest first."""
    return files.EventTail(run).history()


def in_order(events: Iterable[Event], metrics: Iterable[Mapping[str, Any]]) -> list[Event | Mapping[str, Any]]:
    """Events and lines of metrics.jsonl in the order in which they happened; that of the events, as given, stays."""
    parts: tuple[Iterable[Event | Mapping[str, Any]], ...] = (events, metrics)
    return list(heapq.merge(*parts, key=_time))


def _time(entry: Event | Mapping[str, Any]) -> float:
    return entry.time if isinstance(entry, Event) else float(entry.get("time", 0.0))


def of_attempt(history: Sequence[Event], attempt: int) -> list[Event]:
    """The events of one start of the job: from where it is first named to where the next one is."""
    current, chosen = 0, []
    for event in history:
        if isinstance(event, (AttemptLaunched, AttemptStarted)):
            current = event.attempt
        if current == attempt:
            chosen.append(event)
    return chosen


def after_attempt(history: Sequence[Event], attempt: int) -> Sequence[Event]:
    """What followed one start of the job: from the first launch of a later one on. A late line of before moves none."""
    later = (
        index for index, event in enumerate(history) if isinstance(event, AttemptLaunched) and event.attempt > attempt
    )
    return history[next(later, len(history)) :]


def last_attempt(history: Iterable[Event]) -> int:
    """The number of the newest start of the ranks; 0 if there was none. Those still to come are told of, too."""
    return max((attempt_of(event) for event in history if not isinstance(event, (Restarted, Regrouped))), default=0)
