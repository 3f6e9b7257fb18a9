"""What becomes of a SLURM job when its ranks are gone. Pure: from the run's events and what SLURM says.

The first line that holds:

| what there is | what follows | exit code of the script |
| --- | --- | --- |
| the run is finished | it ends | 0 |
| a person has stopped it | the job is cancelled | 130 |
| a node refuses the run | it ends | 1 |
| SLURM has requeued the job already | nothing | 75 |
| SLURM has ended it, not at its limit and for no other job | cancelled; without requeues it ends | 130; 75 |
| a rank failed of a broken device | requeued without that node | 75 |
| the launcher's last word is a failure | it ends | that of the launcher |
| no launcher began, and nobody told the ranks to stop | nothing: no node could start | 1 |
| too many requeues in a row without a newer checkpoint, or another part | given up | 1 |
| all else: stopped, preempted, the time limit, a killed step | requeued; without requeues it ends | 75; 75 or 1 |

The same decides on an element of an array whose ranks came late, beside those of another launcher: by the word of its
own launcher, and for its own job alone. Nothing of it is a word on the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from yoloscale.backends.slurm.broken_node import broken_node
from yoloscale.backends.slurm.facts import Facts
from yoloscale.exit_codes import BAD_CONFIG, FAILED, FINISHED, INTERRUPTED, STOPPED
from yoloscale.runs import events
from yoloscale.runs.wording import wording
from yoloscale.system.signals import STOP_SIGNALS

EARLY_S = 60.0  # SLURM's warning may come as much before its time


class Action(str, Enum):
    """What the batch script does next."""

    end = "end"  # nothing: its exit code tells
    requeue = "requeue"
    give_up = "give up"
    leave = "leave"  # SLURM has requeued the job already
    cancel = "cancel"
    no_start = "no start"  # srun ended before a launcher began


@dataclass(frozen=True)
class RequeueDecision:
    """The decision, the exit code of the batch script, and why, in words."""

    action: Action
    exit_code: int
    cause: str = ""
    broken: str | None = None  # a node that the job is to leave out


@dataclass(frozen=True)
class Start:
    """One start of a job: what its launchers and ranks have said."""

    told: Sequence[events.Event]  # its events; empty if no launcher came to speak
    is_finished: bool
    requeues_without_progress: int  # requeues in a row since the newest checkpoint, or part, came
    was_cancelled: bool = False  # the job was, in whatever start of it
    refusal: str | None = None  # of a node that will not train; the launcher of another one may have been told to stop

    @property
    def is_late(self) -> bool:
        """Whether its ranks came beside those of another launcher, which says what becomes of the run."""
        return any(isinstance(event, events.LateLaunched) for event in self.told)

    @property
    def word(self) -> int | None:
        """Exit code in the launcher's last word; None if it was killed."""
        words = [event for event in self.told if isinstance(event, (events.Exited, events.LateExited))]
        if not words or (isinstance(words[-1], events.Exited) and words[-1].goes_on):
            return None
        return words[-1].exit_code

    @property
    def is_cancelled(self) -> bool:
        """Whether a person stopped it."""
        is_told = any(isinstance(event, events.Cancelled) for event in self.told)
        return self.was_cancelled or self.word == INTERRUPTED or is_told


def start_of(history: Sequence[events.Event], job: str, restarts: int, newest_step: int) -> Start:
    """What is on record of one start of a job."""
    return Start(
        _told(history, job, restarts),
        any(isinstance(event, events.Finished) for event in history),
        requeues_without_progress(history, newest_step, job),
        was_cancelled(history, job),
        _refusal(history, job, restarts),
    )


def _told(history: Sequence[events.Event], job: str, restarts: int) -> list[events.Event]:
    """What was said in one start, from its first launch on; of ranks that came late, what their launcher said.

    Of other elements of its array, which may have the run before or after it, nothing is said here.
    """
    told, is_ours = list[events.Event](), False
    for event in history:
        if isinstance(event, events.AttemptLaunched) and is_another_element(event, job):
            is_ours = False
        elif isinstance(event, (events.LateLaunched, events.LateExited)):
            if _is_of_start(event, job, restarts):
                told.append(event)
            continue
        is_ours = is_ours or is_launch_of(event, job, restarts)
        if is_ours:
            told.append(event)
    return told


def _refusal(history: Sequence[events.Event], job: str, restarts: int) -> str | None:
    """What a node of this start found wrong with the run: another start would find the same."""
    for event in history:
        if isinstance(event, events.Failed) and _is_of_start(event, job, restarts):
            return event.error
    return None


def was_cancelled(history: Sequence[events.Event], job: str) -> bool:
    """Whether a person has stopped the job: then it does not start again, also if SLURM has requeued it since.

    With a run that predicts, all elements of the array that works on it are, also those that are still to start.
    """
    indices = [
        index for index, event in enumerate(history) if events.array_of(events.job_of(event)) == events.array_of(job)
    ]
    submitted = [index for index in indices if isinstance(history[index], events.Submitted)]  # numbers are used again
    since = history[(submitted[-1:] or indices or [len(history)])[0] :]
    return any(isinstance(event, events.Cancelled) and event.job in (None, job) for event in since)


def is_launch_of(event: events.Event, job: str, restarts: int) -> bool:
    """Whether the event tells of an attempt that was launched in this start of the job."""
    return isinstance(event, events.AttemptLaunched) and _is_of_start(event, job, restarts)


def _is_of_start(event: events.Event, job: str, restarts: int) -> bool:
    start = getattr(event, "start", None)
    return isinstance(start, str) and start.startswith(f"{job}.{restarts}.")


def is_another_element(event: events.Event, job: str) -> bool:
    """Whether an event speaks of another element of the array that `job` is one of."""
    other = events.job_of(event)
    return other != job and events.array_of(other) == events.array_of(job)


def unrecorded_requeue(history: Sequence[events.Event], job: str, restarts: int) -> bool:
    """Whether SLURM has requeued the job by itself, with no time for its script to put it on record."""
    history = [event for event in history if not is_another_element(event, job)]
    launches = [index for index, event in enumerate(history) if isinstance(event, events.AttemptLaunched)]
    if restarts == 0 or not launches or is_launch_of(history[launches[-1]], job, restarts):
        return False
    return not any(isinstance(event, events.Requeued) for event in history[launches[-1] :])


def requeues_without_progress(history: Sequence[events.Event], newest_step: int, job: str) -> int:
    """How many requeues in a row brought no newer checkpoint, and no part; a new submission by a person begins anew.

    Those of other elements of the job's array are not counted: all may be requeued at once.

    `newest_step` is that of the newest checkpoint, or the number of parts that there are.
    """
    count = 0
    for event in reversed(history):
        if isinstance(event, events.Submitted):
            break
        if isinstance(event, events.Requeued) and not is_another_element(event, job):
            if event.step < newest_step:
                break
            count += 1
    return count


def given_up(requeues: int, newest_step: int, kind: str) -> str:
    """Why a run of this kind is not requeued once more, in words."""
    words = wording(kind)
    return f"given up after {requeues} requeues from {words.saved(newest_step)} without {words.gains}"


def decided_by_events(start: Start) -> RequeueDecision | None:
    """What follows whatever SLURM says; None where that matters."""
    if start.is_finished:
        return RequeueDecision(Action.end, FINISHED)
    if start.is_cancelled:
        return RequeueDecision(Action.cancel, INTERRUPTED)
    return RequeueDecision(Action.end, FAILED) if start.refusal is not None else None


def decide(
    start: Start, facts: Facts, restarts: int, max_requeues: int, *, warning_s: float, code: int = 0
) -> RequeueDecision:
    """What follows.

    `restarts` is how often the job had been requeued when this start began, `warning_s` how long before its end SLURM
    warns it, `code` what srun ended with.
    """
    if (decision := decided_by_events(start)) is not None:
        return decision
    if facts.restarts > restarts:
        return RequeueDecision(Action.leave, STOPPED, "requeued by SLURM")
    if facts.is_ended_by_slurm and not facts.is_past_limit and not facts.is_preempted:
        # with --no-requeue it may be a lost node as well
        return RequeueDecision(Action.cancel, INTERRUPTED) if max_requeues > 0 else RequeueDecision(Action.end, STOPPED)
    if start.word == FAILED and max_requeues > 0 and (fault := broken_node(start.told)) is not None:
        node, error = fault
        return replace(requeue(start, max_requeues, f"a GPU of {node} is broken: {error}"), broken=node)
    if start.word not in (None, STOPPED):
        return RequeueDecision(Action.end, start.word or FAILED)
    did_not_listen_yet = code - 128 in STOP_SIGNALS
    was_told = facts.is_preempted or facts.is_past_limit or did_not_listen_yet
    if not start.told and not was_told:
        return RequeueDecision(Action.no_start, FAILED)
    return requeue(start, max_requeues, _cause(start, facts, warning_s))


def requeue(start: Start, max_requeues: int, cause: str) -> RequeueDecision:
    """Once more, if there have not been too many without getting any further."""
    if max_requeues == 0:
        return RequeueDecision(Action.end, STOPPED if start.word == STOPPED else FAILED)
    if start.requeues_without_progress >= max_requeues:
        return RequeueDecision(Action.give_up, FAILED)
    return RequeueDecision(Action.requeue, STOPPED, cause)


def decide_inside(start: Start, *, code: int = 0) -> RequeueDecision:
    """The same in an allocation that a person has: it is theirs, and what the launcher said is all there is to it.

    `code` is what srun ended with: that of a node which will not train.
    """
    if start.is_finished:
        return RequeueDecision(Action.end, FINISHED)
    if start.told and (start.refusal is not None or code == BAD_CONFIG) and not start.is_cancelled:
        return RequeueDecision(Action.end, FAILED)
    if not start.told:
        return RequeueDecision(Action.no_start, FAILED)
    if start.word is None:
        return RequeueDecision(Action.end, INTERRUPTED if start.is_cancelled else FAILED)
    return RequeueDecision(Action.end, start.word)


def _cause(start: Start, facts: Facts, warning_s: float) -> str:
    if facts.is_preempted:
        return "preempted by another job"
    if facts.left_s is not None and facts.left_s <= warning_s + EARLY_S:
        return "the time limit"
    return "stopped on request" if start.word == STOPPED else "its step was killed"
