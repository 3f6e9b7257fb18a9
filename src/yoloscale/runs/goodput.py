"""Where a run's wall time went: a fold over its events.

| share | what |
| --- | --- |
| setup | from the start of an attempt to its first step |
| training | optimiser steps that the run still has; predicting, or evaluating finished weights |
| evaluation | validation, the one of the finished run and its pictures included |
| saving | the loop stood still for a checkpoint |
| lost | work done after the checkpoint that was gone back to: it had to be done again |
| queued | it waited for a scheduler, between two attempts |
| down | nobody worked on it: between two attempts, otherwise |

Every moment from the first start to the end belongs to exactly one of them, so they add up to the whole.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest

from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.last_activity import last_time

Interval = tuple[float, float, str]  # from, to (seconds since the epoch), what went on
LastSign = Callable[[float], float | None]

SHARES = ("setup", "training", "evaluation", "saving", "lost", "queued", "down")
_WITHIN_TRAINING = ("lost", "evaluation", "saving")  # the first that applies counts
_LAST_WORDS = (events.Preempted, events.Finished, events.Exited, events.Restarted)


@dataclass(frozen=True)
class TimeSpent:
    """Seconds of each share."""

    setup: float = 0.0
    training: float = 0.0
    evaluation: float = 0.0
    saving: float = 0.0
    lost: float = 0.0
    queued: float = 0.0
    down: float = 0.0

    @property
    def total(self) -> float:
        """Seconds from the first start to the end."""
        return float(sum(getattr(self, share) for share in SHARES))

    @property
    def goodput(self) -> float:
        """The part of the total that went into training that counts, 0 to 1."""
        return self.training / self.total if self.total else 0.0

    def as_json(self) -> dict[str, float]:
        """Each share and the total; keys are stable."""
        return {share: round(getattr(self, share), 3) for share in (*SHARES, "total")}


@dataclass
class Start:
    """One start of the job: what its events tell, times in seconds since the epoch."""

    begun: float
    job: str | None = None  # the scheduler's job it belongs to
    keeps_all: bool = False  # it predicts: what is done stays, but for the units that its ranks are at
    joined: bool = False  # its ranks have announced themselves
    trained: float | None = None  # when its first step began
    step: int = 0  # of the state it restored
    evaluations: list[tuple[float, float]] = field(default_factory=list)
    saved: list[tuple[int, float, float]] = field(default_factory=list)  # step, when, seconds the loop stood still
    rollbacks: list[tuple[float, int]] = field(default_factory=list)  # when, back to which step
    kept: int | None = None  # the step it was stopped at in order, with a checkpoint
    finished: bool = False
    ended: float | None = None  # its last word; None: nobody said one
    seen: float = 0.0  # its last event
    queued: float | None = None  # since when it waits for the next start


def starts(history: Sequence[events.Event], last_sign: LastSign = lambda before: None) -> list[Start]:
    """The starts of a run, oldest first; those that ended without a word end at their last sign of life.

    `last_sign` gives the time of the last line of metrics before a time, None without any. Clocks that were set back
    are taken to have stood still. The newest start keeps `ended` None if nobody said a word.
    """
    attempts: list[Start] = []
    now = -math.inf
    for event in history:
        now = max(now, event.time)
        if _begins(event, attempts[-1] if attempts else None):
            attempts.append(Start(now, events.job_of(event)))
        if attempts:
            _take(attempts[-1], event, now)
    for start, following in zip_longest(attempts, attempts[1:]):
        limit = start.queued if start.queued is not None else following.begun if following is not None else None
        if start.ended is None and limit is not None:
            start.ended = min(max(start.seen, last_sign(limit) or start.seen), limit)
    return attempts


def time_spent(attempts: Sequence[Start], end: float, *, goes_on: bool) -> TimeSpent:
    """Partition the time from the first start to `end` (seconds since the epoch).

    `goes_on`: the newest start, if it has said no last word, is alive at `end`; otherwise it died there, and what it
    did after its newest checkpoint is lost.
    """
    if not attempts:
        return TimeSpent()
    end = max(end, *(start.begun for start in attempts), *(start.ended or start.seen for start in attempts))
    intervals = [*_activities(attempts, end), *_losses(attempts, end, goes_on=goes_on)]
    shares = dict.fromkeys(SHARES, 0.0)
    for seconds, active in _sweep(intervals, attempts[0].begun, end):
        shares[_share(active)] += seconds
    return TimeSpent(**shares)


def starts_of(run: RunDirectory, history: Sequence[events.Event]) -> list[Start]:
    """`starts` of a run directory, with the signs of life in its metrics.jsonl."""
    return starts(history, lambda before: last_time(run.metrics, before))


def _begins(event: events.Event, newest: Start | None) -> bool:
    """Whether an event is the first of a start: the launcher's word, or that of ranks started by hand."""
    if isinstance(event, events.AttemptLaunched):
        return True
    if not isinstance(event, (events.AttemptStarted, events.Setup)):
        return False
    if newest is None or newest.ended is not None or newest.trained is not None:
        return True
    return newest.joined and isinstance(event, events.AttemptStarted)


def _take(start: Start, event: events.Event, now: float) -> None:
    if isinstance(event, events.Submitted) and start.ended is None and event.job == start.job:
        return  # put on record after the job began
    if isinstance(event, (events.Submitted, events.Requeued)):
        start.queued = now if start.queued is None else start.queued
    elif start.ended is None and not isinstance(event, events.Moved):  # that is written by who takes the run up
        start.seen = now
        if isinstance(event, _LAST_WORDS):
            start.ended = now
    if isinstance(event, events.AttemptStarted):
        start.joined = True
    elif isinstance(event, events.TrainingStarted):
        start.trained, start.step = now, event.step
    elif isinstance(event, (events.PredictionStarted, events.EvaluationStarted)):
        start.trained, start.keeps_all = now, isinstance(event, events.PredictionStarted)
    elif isinstance(event, events.Evaluated):
        start.evaluations.append((now - event.seconds, now))
    elif isinstance(event, events.CheckpointSaved):
        start.saved.append((event.step, min(event.taken or now, now), event.blocked_s))
    elif isinstance(event, events.RolledBack):
        start.rollbacks.append((now, event.step_to))
    elif isinstance(event, events.Preempted) and event.saved:
        start.kept = event.step
    elif isinstance(event, events.Finished):
        start.finished = True


def _activities(attempts: Sequence[Start], end: float) -> Iterator[Interval]:
    for start, following in zip_longest(attempts, attempts[1:]):
        until = end if start.ended is None else start.ended
        if start.queued is not None:
            yield start.queued, end if following is None else following.begun, "queued"
        if start.trained is None:
            yield start.begun, until, "setup"
            continue
        yield start.begun, start.trained, "setup"
        yield start.trained, until, "training"
        for begin, finish in start.evaluations:
            yield begin, finish, "evaluation"
        for _, when, blocked_s in start.saved:
            yield when, when + blocked_s, "saving"


def _losses(attempts: Sequence[Start], end: float, *, goes_on: bool) -> Iterator[Interval]:
    """What was thrown away: from the state that was gone back to until the moment that it was gone back to."""
    stored: dict[int, float] = {}  # when a state was stored newest, by its step
    for index, start in enumerate(attempts):
        if start.trained is not None and index and not start.keeps_all:
            yield _since(stored, start.step, start.begun), start.begun, "lost"
        for when, step in start.rollbacks:
            states = {saved: stored_at for saved, stored_at, _ in start.saved if saved == step and stored_at <= when}
            yield _since(states or stored, step, when), when, "lost"
        stored.update((step, stored_at) for step, stored_at, _ in start.saved)
        if start.kept is not None and start.ended is not None:
            stored[start.kept] = start.ended
    newest = attempts[-1]
    if newest.trained is not None and not _is_kept(newest, goes_on=goes_on):
        yield max((stored_at for _, stored_at, _ in newest.saved), default=newest.trained), end, "lost"


def _is_kept(newest: Start, *, goes_on: bool) -> bool:
    return newest.finished or newest.keeps_all or newest.kept is not None or (newest.ended is None and goes_on)


def _since(stored: Mapping[int, float], step: int, now: float) -> float:
    """Since when the work is lost if a run goes back to a state of so many steps now.

    A checkpoint that nobody lived to put on record is the newest; every run begins with a state of no steps.
    """
    return stored.get(step, now if step else -math.inf)


def _sweep(intervals: Sequence[Interval], begin: float, end: float) -> Iterator[tuple[float, Counter[str]]]:
    """Stretches of time within which nothing begins or ends, in seconds, and what goes on in each."""
    changes = [(begin, "", 0), (end, "", 0)]
    for start, stop, what in intervals:
        if stop > start:
            changes += [(min(max(start, begin), end), what, 1), (min(max(stop, begin), end), what, -1)]
    active: Counter[str] = Counter()
    for (time, what, change), (following, _, _) in pairwise(sorted(changes)):
        active[what] += change
        if following > time:
            yield following - time, active


def _share(active: Counter[str]) -> str:
    if active["setup"]:
        return "setup"
    if not active["training"]:
        return "queued" if active["queued"] else "down"
    return next((share for share in _WITHIN_TRAINING if active[share]), "training")
