"""The history of a run, which `status`, `runs` and goodput are computed from; event_files.py says where it lies."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yoloscale.runs import event_files
from yoloscale.runs.directory import RunDirectory

SUBMITTED = "submitted"
REQUEUED = "requeued"
ATTEMPT_LAUNCHED = "attempt_launched"
ATTEMPT_STARTED = "attempt_started"
SETUP = "setup"
TRAINING_STARTED = "training_started"
CHECKPOINT_SAVED = "checkpoint_saved"
RESCUING = "rescuing"
EVALUATED = "evaluated"
PRUNED = "pruned"
PREEMPTED = "preempted"
CANCELLED = "cancelled"
RESTARTED = "restarted"
REGROUPED = "regrouped"
MOVED = "moved"
FINISHED = "finished"
FAILED = "failed"
WARNING = "warning"
REMARK = "remark"
TRACKED = "tracked"
EXITED = "exited"


@dataclass(frozen=True)
class SetUpRemark:
    """A WARNING or a REMARK of the ranks' set-up, as it stands on record but for `is_warning`, which tells the two.

    `rank`: the first one that said it; the others' are in `message` by name.
    """

    message: str
    is_warning: bool
    rank: int


def record(run: RunDirectory, event: str, **fields: Any) -> None:
    """Append one event with the time of day (seconds since the epoch). Raises RunLost if `run` has lost its folder."""
    run.check()
    event_files.append(run, line(run, event, **fields))


def line(run: RunDirectory, event: str, **fields: Any) -> dict[str, Any]:
    """An event as it stands in the file: the run's id, the time of now, and what that follows where the clock lags."""
    now = round(time.time(), 3)
    follows, run_id = event_files.after(run, now), run.id_now()
    whose = {"id": run_id} if run_id else {}  # a run of before there were ids has none
    return {"event": event, "time": now, **whose, **({} if follows is None else {"after": follows}), **fields}


def warn(run: RunDirectory, message: str) -> None:
    """Print a warning and put it on record, if the disk takes it: what is worth a warning is not worth the run."""
    _say(message)
    note(run, WARNING, message=message)


def note(run: RunDirectory, event: str, **fields: Any) -> None:
    """Append one event if the disk takes it; for what somebody goes on without, or knows from an exit code, too."""
    try:
        record(run, event, **fields)
    except OSError as error:
        _say(f"not recorded: {error}")


def _say(line: str) -> None:
    """Print a line, if it can be: a log often lies on the very disk that is full."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


def history(run: RunDirectory) -> list[dict[str, Any]]:
    """All events so far, oldest first."""
    return event_files.EventTail(run).history()


def job_of(record: Mapping[str, Any]) -> str | None:
    """The SLURM job that an event speaks of; None if it speaks of none."""
    if record.get("job") is not None:
        return str(record["job"])
    return str(record["start"]).partition(".")[0] if record.get("start") else None


def of_attempt(records: list[dict[str, Any]], attempt: int) -> list[dict[str, Any]]:
    """The events of one start of the job: from where it is first named to where the next one is."""
    current, chosen = 0, []
    for record in records:
        if record["event"] in (ATTEMPT_LAUNCHED, ATTEMPT_STARTED):
            current = int(record.get("attempt", current + 1))
        if current == attempt:
            chosen.append(record)
    return chosen


def after_attempt(records: list[dict[str, Any]], attempt: int) -> list[dict[str, Any]]:
    """What followed one start of the job: from the first launch of a later one on. A late line of before moves none."""
    later = (
        index
        for index, record in enumerate(records)
        if record["event"] == ATTEMPT_LAUNCHED and int(record.get("attempt", 0)) > attempt
    )
    return records[next(later, len(records)) :]


def last_attempt(records: list[dict[str, Any]]) -> int:
    """The number of the newest start of the ranks; 0 if there was none. Those still to come are told of, too."""
    to_come = (RESTARTED, REGROUPED)
    attempts = [int(record["attempt"]) for record in records if "attempt" in record and record["event"] not in to_come]
    return max(attempts, default=0)
