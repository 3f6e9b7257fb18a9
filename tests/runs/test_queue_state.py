"""States of runs on SLURM: a table of what the events tell, what SLURM says, and what that means."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

import pytest
from tests.run_events import write_event

from yoloscale.backends.status import status, statuses
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import Answer, Job, NoAnswer
from yoloscale.runs.progress import Progress
from yoloscale.runs.queue_state import RunState, asks, state_of

SUBMITTED = ("submitted", {"job": "41"})
LAUNCHED = ("attempt_launched", {"attempt": 1, "host": "node1", "pid": 7, "start": "41.0.0"})
JOINED = ("attempt_started", {"attempt": 1, "processes": [{"rank": 0, "host": "node1", "pid": 8}]})
TRAINING = ("training_started", {"attempt": 1, "epochs": 3, "steps_per_epoch": 4, "epoch": 1, "step": 0})
STOPPED = ("preempted", {"attempt": 1, "step": 2, "signal": "SIGTERM"})
REQUEUED = ("requeued", {"job": "41", "by": "yoloscale", "step": 2, "cause": "preempted by another job"})
CANCELLED = ("cancelled", {})
AGAIN = ("attempt_launched", {"attempt": 2, "host": "node2", "pid": 9, "start": "41.1.0"})


def exited(code: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "exited", {"attempt": 1, "exit_code": code, **fields}


QUEUED = (SUBMITTED,)
STARTING = (SUBMITTED, LAUNCHED)
RUNNING = (SUBMITTED, LAUNCHED, JOINED, TRAINING)
SAVED = (*RUNNING, STOPPED, exited(75))
WAITING = (*SAVED, REQUEUED)

NO_ANSWER = NoAnswer("Unable to contact slurm controller (connect failure)")
PENDING, ON_NODES = Job("41", "PENDING", "Resources"), Job("41", "RUNNING", nodes="node[1-2]")
COMPLETING = Job("41", "COMPLETING", nodes="node[1-2]")


def fold(*told: tuple[str, dict[str, Any]]) -> Progress:
    progress = Progress()
    for index, (event, fields) in enumerate(told):
        progress.on_event(events.parse({"event": event, "time": 100.0 + index, **fields}))
    return progress


def over(state: str, reason: str = "") -> Job:
    return Job("41", state, reason)


@pytest.mark.parametrize(
    ("told", "job", "expected"),
    [
        (QUEUED, PENDING, ("pending", "waiting in the queue: Resources", None)),
        (QUEUED, ON_NODES, ("pending", "starting", None)),
        (QUEUED, NO_ANSWER, ("pending", "waiting in the queue", None)),
        (QUEUED, None, ("failed", "", "no longer known to SLURM, and its launcher never began")),
        (QUEUED, over("CANCELLED by 0"), ("cancelled", "", "job 41 before its launcher began: CANCELLED by 0")),
        (QUEUED, over("FAILED", "NonZeroExitCode"), ("failed", "", "began: FAILED (NonZeroExitCode)")),
        (QUEUED, over("COMPLETED"), ("failed", "", "began: COMPLETED")),
        (STARTING, ON_NODES, ("pending", "starting", None)),
        (RUNNING, ON_NODES, ("running", "", None)),
        (RUNNING, COMPLETING, ("running", "", None)),
        (RUNNING, PENDING, ("pending", "requeued by SLURM; waiting in the queue: Resources", None)),
        (RUNNING, None, ("failed", "", "job 41 is no longer known to SLURM, and its launcher has left no last word")),
        (RUNNING, over("OUT_OF_MEMORY", "OutOfMemory"), ("failed", "", "SLURM ended job 41: OUT_OF_MEMORY")),
        (RUNNING, over("NODE_FAIL"), ("failed", "", "NODE_FAIL")),
        (RUNNING, over("TIMEOUT", "TimeLimit"), ("failed", "", "TIMEOUT (TimeLimit)")),
        (RUNNING, over("PREEMPTED"), ("preempted", "", "PREEMPTED")),
        (RUNNING, over("CANCELLED by 1000"), ("cancelled", "", "CANCELLED by 1000")),
        ((*RUNNING, CANCELLED), over("CANCELLED by 1000"), ("cancelled", "", None)),
        ((*RUNNING, CANCELLED), None, ("cancelled", "", None)),
        ((*RUNNING, STOPPED), over("TIMEOUT"), ("preempted", "", "TIMEOUT")),
        ((*RUNNING, exited(1, goes_on=True)), ON_NODES, ("restarting", "", None)),
        ((*RUNNING, exited(1, goes_on=True)), over("NODE_FAIL"), ("failed", "", "NODE_FAIL")),
        (SAVED, ON_NODES, ("restarting", "its ranks have stopped, its job is ending", None)),
        (SAVED, COMPLETING, ("restarting", "its ranks have stopped, its job is ending", None)),
        (SAVED, PENDING, ("pending", "requeued by SLURM; waiting in the queue: Resources", None)),
        (SAVED, over("FAILED", "NonZeroExitCode"), ("preempted", "", None)),
        (SAVED, None, ("preempted", "", None)),
        (SAVED, NO_ANSWER, ("restarting", "its ranks have stopped, and SLURM does not tell what follows", None)),
        (SAVED, over("CANCELLED by 0"), ("cancelled", "", "CANCELLED by 0")),
        (WAITING, PENDING, ("pending", "requeued (preempted by another job); waiting in the queue: Resources", None)),
        (WAITING, ON_NODES, ("pending", "requeued (preempted by another job)", None)),
        (WAITING, NO_ANSWER, ("pending", "requeued (preempted by another job); waiting in the queue", None)),
        (WAITING, over("CANCELLED by 0"), ("cancelled", "", "before its launcher began")),
        ((*WAITING, AGAIN), ON_NODES, ("restarting", "starting", None)),
    ],
)
def test_what_events_and_slurm_mean(told: Any, job: Job | NoAnswer | None, expected: tuple[str, str, Any]) -> None:
    progress = fold(*told)
    assert asks(progress)
    found = state_of(progress, job, lives=None)
    assert found is not None
    state, phase, error = expected
    assert (found.state, found.phase) == (state, phase)
    assert found.error is None if error is None else error in str(found.error)


@pytest.mark.parametrize("told", [STARTING, RUNNING, (*RUNNING, STOPPED, exited(75, final=True))])
def test_without_an_answer_the_events_tell(told: Any) -> None:
    assert state_of(fold(*told), NO_ANSWER, lives=None) is None


def test_where_nobody_can_be_asked_a_run_that_has_saved_is_at_its_end() -> None:
    for silence in (NoAnswer(), NoAnswer("there is no squeue on this machine", is_here=False)):
        assert state_of(fold(*SAVED), silence, lives=None) is None
    assert state_of(fold(*RUNNING, exited(1, goes_on=True)), NO_ANSWER, lives=None) is None


def test_a_launcher_that_lives_here_knows_better_than_a_forgetful_scheduler() -> None:
    assert state_of(fold(*RUNNING), None, lives=True) is None


@pytest.mark.parametrize(
    "told",
    [
        (("attempt_launched", {"attempt": 1, "host": "node1", "pid": 7}), JOINED),  # on a machine of one's own
        (*RUNNING, ("finished", {}), exited(0)),
        (*RUNNING, exited(1)),
        (*RUNNING, CANCELLED, exited(130)),
        (*QUEUED, CANCELLED, exited(130)),
        (LAUNCHED, JOINED, TRAINING, STOPPED, exited(75)),  # in somebody's allocation, which nobody requeues
    ],
)
def test_slurm_is_not_asked_when_the_events_have_the_last_word(told: Any) -> None:
    assert not asks(fold(*told))


def test_a_new_submission_forgets_how_the_last_one_ended() -> None:
    failed = ("failed", {"attempt": 1, "rank": 0, "error": "boom"})
    progress = fold(*RUNNING, failed, CANCELLED, exited(1), ("submitted", {"job": "42"}))
    assert asks(progress)
    assert (progress.job, progress.attempt, progress.failures, progress.cancelled) == ("42", 1, [], False)
    assert state_of(progress, Job("42", "PENDING"), lives=None) == RunState("pending", "waiting in the queue")


@pytest.mark.parametrize(
    "late", [("requeued", {"job": "41"}), ("exited", {"attempt": 1, "exit_code": 130, "job": "41"})]
)
def test_late_words_of_the_job_before_are_not_about_the_new_one(late: Any) -> None:
    progress = fold(*RUNNING, exited(130), ("submitted", {"job": "42"}), late)
    assert (progress.job, progress.exited) == ("42", None)


def test_a_submission_that_is_put_on_record_after_the_job_began_is_no_new_one() -> None:
    progress = fold(LAUNCHED, SUBMITTED, JOINED, TRAINING)
    assert (progress.job, progress.is_submitted, progress.queued) == ("41", True, None)
    assert state_of(progress, ON_NODES, lives=None) == RunState("running")
    assert fold(*RUNNING, exited(1), SUBMITTED).queued is not None, "numbers come again"


def test_a_run_taken_up_by_hand_has_left_its_job() -> None:
    here = ("attempt_launched", {"attempt": 2, "host": "login", "pid": 9})
    assert fold(*RUNNING, exited(130), here).job is None
    by_hand = ("attempt_started", {"attempt": 1, "processes": []})
    assert fold(*RUNNING, exited(130), by_hand).job is None
    assert fold(*WAITING, AGAIN).job == "41"


def test_when_a_job_is_expected_to_start() -> None:
    tomorrow = time.time() + 86400
    found = state_of(fold(*QUEUED), Job("41", "PENDING", "Priority", starts_at=tomorrow), lives=None)
    assert found is not None
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(tomorrow))
    assert found.phase == f"waiting in the queue: Priority, expected to start {day}"
    past = state_of(fold(*QUEUED), Job("41", "PENDING", "Priority", starts_at=time.time() - 9), lives=None)
    assert past == RunState("pending", "waiting in the queue: Priority")


def test_one_question_for_any_number_of_runs(tmp_path: Any) -> None:
    runs, asked = [], []
    for number in range(5):
        run = RunDirectory(tmp_path / f"run-{number}")
        run.path.mkdir()
        events.append(run, events.Submitted(job=str(number)))
        runs.append(run)
    events.append(runs[4], events.Exited(attempt=0, exit_code=1))

    def ask(jobs: Collection[str]) -> Answer:
        asked.append(sorted(jobs))
        return Answer({job: Job(job, "RUNNING", nodes=f"node{job}") for job in jobs})

    found = statuses(runs, ask)
    assert asked == [["0", "1", "2", "3"]]
    assert [(each.state, each.job, each.where) for each in found] == [
        *[("pending", str(number), f"node{number}") for number in range(4)],
        ("failed", "4", ""),
    ]
    silent = statuses(runs[:1], lambda jobs: Answer(silence=NO_ANSWER))[0]
    assert (silent.state, silent.scheduler) == ("pending", NO_ANSWER.words)


@pytest.mark.parametrize("answer", [Answer({"41": Job("41", "COMPLETED")}), Answer()])
def test_a_run_that_ends_while_slurm_is_asked_has_not_failed(tmp_path: Any, answer: Answer) -> None:
    run = RunDirectory(tmp_path)
    for event, fields in RUNNING:
        write_event(run, event, **fields)

    def ask(jobs: Collection[str]) -> Answer:
        write_event(run, "finished")
        events.append(run, events.Exited(attempt=1, exit_code=0))
        return answer

    assert status(run, ask).state == "finished"


def test_a_run_that_is_submitted_again_while_slurm_is_asked_is_in_the_queue(tmp_path: Any) -> None:
    run = RunDirectory(tmp_path)
    for event, fields in RUNNING:
        write_event(run, event, **fields)

    def ask(jobs: Collection[str]) -> Answer:
        events.append(run, events.Exited(attempt=1, exit_code=1))
        events.append(run, events.Submitted(job="42"))
        return Answer({"41": Job("41", "FAILED")})

    found = status(run, ask)
    assert (found.state, found.job, found.scheduler) == ("pending", "42", None)
