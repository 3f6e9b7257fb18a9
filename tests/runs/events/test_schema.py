"""The lines of a history and the dataclasses that they are read as."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import Event, Exited, Failed, LostRank, Moved, Preempted, Process, RolledBack, Warned

KINDS = {
    "submitted", "requeued", "attempt_launched", "attempt_started", "setup", "training_started",
    "checkpoint_saved", "rescuing", "evaluated", "pruned", "rolled_back", "preempted",
    "cancelled", "restarted", "regrouped", "moved", "finished", "failed",
    "warning", "remark", "tracked", "exited", "prediction_started", "unit_done", "evaluation_started", "joined",
    "late_launched", "late_exited",
}  # fmt: skip


def example(of: Any) -> Any:
    if of in (LostRank, Process):
        return of(*(example(hint) for hint in get_type_hints(of).values()))
    if get_origin(of) is tuple:
        return (example(get_args(of)[0]),)
    if get_origin(of) is dict:
        return {"key": 1.0}
    chosen = next(iter(get_args(of)), of)
    return (
        example(chosen)
        if chosen in (LostRank,) or get_origin(chosen) is tuple
        else {str: "x", bool: True}.get(chosen, 3)
    )


def full(kind: type[Event]) -> Event:
    hints = get_type_hints(kind)
    own = [field.name for field in dataclasses.fields(kind) if field.name not in ("time", "record")]
    return kind(**{name: example(hints[name]) for name in own})


def line_of(kind: type[Event]) -> dict[str, Any]:
    """A line as it stands on disk, with all that its kind may have."""
    line: dict[str, Any] = json.loads(json.dumps({"event": kind.word, "time": 1.0, **events.as_record(full(kind))}))
    return line


def test_other_programs_find_the_kinds_that_they_know() -> None:
    assert set(Event.kinds) == KINDS


@pytest.mark.parametrize("kind", Event.kinds.values(), ids=Event.kinds)
def test_what_is_written_is_what_is_read(kind: type[Event], tmp_path: Path) -> None:
    written = full(kind)
    assert events.parse(line_of(kind)) == dataclasses.replace(written, time=1.0)
    run = RunDirectory(tmp_path)
    events.append(run, written)
    (read,) = events.history(run)
    assert dataclasses.replace(read, time=0.0) == written
    assert read.time > 0


@pytest.mark.parametrize("kind", Event.kinds.values(), ids=Event.kinds)
def test_a_key_that_is_absent_or_null_costs_its_own_field_only(kind: type[Event]) -> None:
    line = line_of(kind)
    whole = vars(events.parse(line))
    for key in line.keys() - {"event"}:
        absent = {name: value for name, value in line.items() if name != key}
        for lacking in (absent, {**line, key: None}):
            read = events.parse(lacking)
            if kind is RolledBack and "step_to" not in lacking:
                assert type(read) is Warned, "by which a roll-back is told from other warnings"
                continue
            assert type(read) is kind
            changed = {name.rstrip("_"): value for name, value in vars(read).items() if value != whole[name]}
            assert changed.keys() == {key, "record"}
            assert not changed[key]


@pytest.mark.parametrize("kind", Event.kinds.values(), ids=Event.kinds)
def test_a_line_of_nulls_and_one_of_nothing_but_its_kind_are_read(kind: type[Event]) -> None:
    nulls = events.parse({**dict.fromkeys(line_of(kind)), "event": kind.word})
    assert type(nulls) is kind
    bare = events.parse({"event": kind.word})
    assert type(bare) is (Warned if kind is RolledBack else kind)
    assert bare == nulls or kind is RolledBack


def test_kinds_and_fields_of_newer_versions_are_kept() -> None:
    newer = {"event": "teleported", "time": 1.0, "attempt": 3, "to": "mars"}
    assert events.parse(newer).record == newer
    assert type(events.parse(newer)) is Event
    more = {"event": "exited", "time": 2.0, "attempt": 3, "exit_code": 0, "mood": "calm"}
    assert events.parse(more) == Exited(time=2.0, attempt=3, exit_code=0)
    assert events.parse(more).record["mood"] == "calm"


def test_what_has_its_usual_value_is_not_written() -> None:
    failed = Failed(attempt=1, rank=None, error="x", collateral=False)
    assert events.as_record(failed) == {"attempt": 1, "rank": None, "error": "x", "collateral": False}
    assert events.as_record(Exited(attempt=1, exit_code=0)) == {"attempt": 1, "exit_code": 0}
    stopped = Preempted(attempt=1, step=2, epoch=1, signal=None, outcome="preempted", saved=False)
    assert events.as_record(stopped)["saved"] is False


def test_a_name_that_python_keeps_for_itself() -> None:
    moved = Moved(from_={"a": 1}, to={"a": 2}, plan="p", remarks=())
    assert events.as_record(moved) == {"from": {"a": 1}, "to": {"a": 2}, "plan": "p", "remarks": []}


def test_the_roll_back_of_an_older_version_is_one() -> None:
    old = {"event": "warning", "time": 1.0, "message": "back", "step_from": 40, "step_to": 20}
    assert events.parse(old) == RolledBack(time=1.0, message="back", step_from=40, step_to=20)


def test_what_has_another_shape_than_its_field_is_kept_as_an_unknown_kind() -> None:
    for line in (
        {"event": "attempt_started", "attempt": 3, "processes": 5},
        {"event": "failed", "attempt": 3, "lost": "gone"},
    ):
        event = events.parse(line)
        assert (type(event), event.record, events.attempt_of(event)) == (Event, line, 3)
    assert events.job_of(events.parse({"event": "of a later version", "start": "41.0.1"})) == "41"
    assert events.parse({"event": "warning", "message": "back"}) == Warned(message="back")


@pytest.mark.parametrize(
    ("rank", "host", "text"), [(3, "node1", "rank 3 on node1: x"), (0, None, "rank 0 on ?: x"), (None, "node1", "x")]
)
def test_an_error_is_told_with_rank_and_host(rank: int | None, host: str | None, text: str) -> None:
    assert Failed(attempt=1, rank=rank, host=host, error="x", collateral=False).text == text
