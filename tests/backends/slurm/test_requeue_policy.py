"""What becomes of a job when its ranks are gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from yoloscale.backends.slurm import finalize
from yoloscale.backends.slurm.facts import Facts
from yoloscale.backends.slurm.requeue_policy import (
    Action,
    RequeueDecision,
    Start,
    decide,
    decide_inside,
    decided_by_events,
    given_up,
    requeues_without_progress,
    start_of,
    unrecorded_requeue,
    was_cancelled,
)
from yoloscale.config.freeze import freeze
from yoloscale.config.schema import Config, PredictConfig
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import Event, parse
from yoloscale.runs.jobs import nobody
from yoloscale.runs.status import status
from yoloscale.system.variables import RUN_ID

RUNNING = Facts(state="RUNNING", restarts=0, left_s=3600.0, is_preempted=False)
ENDING = Facts(state="COMPLETING", restarts=0, left_s=3600.0, is_preempted=False)


def event(kind: str, **fields: Any) -> Event:
    return parse({"event": kind, **fields})


LAUNCHED = event("attempt_launched", attempt=1, start="41.0.0")


def exited(code: int, **more: Any) -> Event:
    return event("exited", attempt=1, exit_code=code, **more)


def start(*told: Event, count: int = 0, finished: bool = False) -> Start:
    return Start([LAUNCHED, *told], finished, count)


def decided(begun: Start, facts: Facts, restarts: int, max_requeues: int) -> RequeueDecision:
    return decide(begun, facts, restarts, max_requeues, warning_s=120)


PREEMPTED = event("preempted", signal="SIGTERM")
WARNED = event("preempted", signal="SIGUSR1")


@pytest.mark.parametrize(
    ("begun", "facts", "action", "code"),
    [
        pytest.param(start(exited(0), finished=True), RUNNING, Action.end, 0, id="finished"),
        pytest.param(start(exited(0), finished=True), ENDING, Action.end, 0, id="finished as it was cancelled"),
        pytest.param(start(PREEMPTED, exited(75)), RUNNING, Action.requeue, 75, id="stopped in order"),
        pytest.param(start(exited(1)), RUNNING, Action.end, 1, id="a bug"),
        pytest.param(start(exited(2)), RUNNING, Action.end, 2, id="a bad config"),
        pytest.param(start(exited(130)), RUNNING, Action.cancel, 130, id="interrupted by a person"),
        pytest.param(start(event("cancelled"), exited(75)), RUNNING, Action.cancel, 130, id="yoloscale cancel"),
        pytest.param(start(PREEMPTED, exited(75)), ENDING, Action.cancel, 130, id="scancel"),
        pytest.param(start(), ENDING, Action.cancel, 130, id="scancel before the ranks could say a word"),
        pytest.param(start(), RUNNING, Action.requeue, 75, id="the launcher was killed"),
        pytest.param(start(exited(1, goes_on=True)), RUNNING, Action.requeue, 75, id="killed between two attempts"),
        pytest.param(Start([], False, 0), RUNNING, Action.no_start, 1, id="no launcher came to speak"),
        pytest.param(start(exited(75), count=9), RUNNING, Action.requeue, 75, id="the last try"),
        pytest.param(start(exited(75), count=10), RUNNING, Action.give_up, 1, id="one too many"),
    ],
)
def test_what_follows(begun: Start, facts: Facts, action: Action, code: int) -> None:
    found = decided(begun, facts, 0, 10)
    assert (found.action, found.exit_code) == (action, code)


def test_a_job_that_slurm_has_requeued_is_left_alone() -> None:
    facts = Facts(state="COMPLETING", restarts=3, left_s=3600.0, is_preempted=False)
    assert decided(start(PREEMPTED, exited(75)), facts, 2, 10).action is Action.leave
    assert decided(start(PREEMPTED, exited(75)), facts, 3, 10).action is Action.cancel


@pytest.mark.parametrize(
    ("facts", "told", "cause"),
    [
        (Facts("COMPLETING", 0, -1.0, False), (), "the time limit"),
        (Facts("RUNNING", 0, 170.0, False), (WARNED, exited(75)), "the time limit"),
        (Facts("RUNNING", 0, 3600.0, True), (PREEMPTED, exited(75)), "preempted by another job"),
        (RUNNING, (PREEMPTED, exited(75)), "stopped on request"),
        (RUNNING, (), "its step was killed"),
    ],
)
def test_a_requeue_says_why(facts: Facts, told: tuple[Event, ...], cause: str) -> None:
    found = decided(start(*told), facts, 0, 10)
    assert (found.action, found.cause) == (Action.requeue, cause)


def test_a_cancelled_job_does_not_come_back_because_slurm_has_requeued_it() -> None:
    facts = Facts(state="COMPLETING", restarts=1, left_s=3600.0, is_preempted=False)
    assert decided(start(event("cancelled"), exited(75)), facts, 0, 10).action is Action.cancel
    assert decided(Start([], False, 0, was_cancelled=True), facts, 1, 10).action is Action.cancel


def test_what_slurm_says_does_not_matter_after_the_end_and_after_a_cancel() -> None:
    assert decided_by_events(start(finished=True)) == RequeueDecision(Action.end, 0)
    assert decided_by_events(start(event("cancelled"))) == RequeueDecision(Action.cancel, 130)
    assert decided_by_events(start(exited(75))) is None


def test_a_cancel_is_of_one_job() -> None:
    history = [event("submitted", job="41"), LAUNCHED, event("cancelled"), exited(130)]
    assert was_cancelled(history, "41")
    assert not was_cancelled(history, "42")
    late = event("cancelled", job="41")
    assert not was_cancelled([*history, event("submitted", job="42"), late], "42")
    assert not was_cancelled([*history, event("submitted", job="41")], "41"), "numbers are used again"
    assert start_of(history, "41", 1, 0).is_cancelled


@pytest.mark.parametrize(
    ("facts", "code", "action"),
    [
        (RUNNING, 1, Action.no_start),
        (RUNNING, 128 + 10, Action.requeue),
        (RUNNING, 128 + 15, Action.requeue),
        (Facts("RUNNING", 0, 3600.0, True), 1, Action.requeue),
        (Facts("COMPLETING", 0, -1.0, False), 1, Action.requeue),
    ],
)
def test_a_launcher_that_was_told_to_stop_before_it_listened(facts: Facts, code: int, action: Action) -> None:
    assert decide(Start([], False, 0), facts, 0, 10, warning_s=120, code=code).action is action


def test_without_requeues_a_stopped_job_ends_and_a_cancel_cannot_be_told_from_a_lost_node() -> None:
    assert decided(start(exited(75)), RUNNING, 0, 0).action is Action.end
    assert decided(start(exited(75)), RUNNING, 0, 0).exit_code == 75
    assert decided(start(exited(75)), ENDING, 0, 0).action is Action.end
    assert decided(start(), RUNNING, 0, 0).exit_code == 1


@pytest.mark.parametrize(("code", "ends_with"), [(0, 0), (75, 75), (130, 130), (1, 1)])
def test_in_somebodys_allocation_nothing_is_requeued_or_cancelled(code: int, ends_with: int) -> None:
    found = decide_inside(start(exited(code)))
    assert (found.action, found.exit_code) == (Action.end, ends_with)


def test_in_somebodys_allocation_a_killed_launcher_is_a_failure() -> None:
    assert decide_inside(start()).exit_code == 1
    assert decide_inside(start(event("cancelled"))).exit_code == 130
    assert decide_inside(start(finished=True)).exit_code == 0
    assert decide_inside(Start([], False, 0)).action is Action.no_start


def test_a_start_is_what_was_told_since_its_first_launch() -> None:
    history = [
        event("submitted", job="41"),
        LAUNCHED,
        exited(75),
        event("requeued", step=3),
        event("attempt_launched", attempt=2, start="41.1.0"),
        event("cancelled"),
    ]
    assert start_of(history, "41", 0, 3).word == 75
    second = start_of(history, "41", 1, 3)
    assert len(second.told) == 2
    assert second.word is None
    assert second.is_cancelled
    assert not start_of(history, "41", 2, 3).told
    assert not start_of(history, "4", 1, 3).told


def test_requeues_count_until_there_is_a_newer_checkpoint() -> None:
    history = [event("requeued", step=step) for step in (0, 5, 5, 5)]
    assert requeues_without_progress(history, 5, "41") == 3
    assert requeues_without_progress(history, 6, "41") == 0
    assert requeues_without_progress([*history, event("submitted")], 5, "41") == 0


@pytest.mark.parametrize(
    ("kind", "newest", "said"),
    [
        ("train", 40, "given up after 3 requeues from step 40 without a newer checkpoint"),
        ("predict", 40, "given up after 3 requeues from 40 parts without progress"),
        ("predict", 0, "given up after 3 requeues from the beginning without progress"),
        ("val", 0, "given up after 3 requeues from the beginning without progress"),
    ],
)
def test_why_a_run_of_each_kind_is_given_up(kind: str, newest: int, said: str) -> None:
    assert given_up(3, newest, kind) == said


def test_a_requeue_that_nobody_put_on_record() -> None:
    history = [LAUNCHED]
    assert unrecorded_requeue(history, "41", 1)
    assert not unrecorded_requeue(history, "41", 0)
    assert not unrecorded_requeue([*history, event("requeued")], "41", 1)
    assert not unrecorded_requeue([], "41", 1)


def test_in_an_allocation_a_line_of_before_that_is_seen_late_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS may show it a minute later, and it comes to stand before all that was counted."""
    run = RunDirectory(tmp_path)
    freeze(Config(id="aaaaaaaaaaaa"), run.config)
    run.events.mkdir()
    jsonl.append(run.events / "a-1.jsonl", {"time": 1.0, **LAUNCHED.record})
    jsonl.append(run.events / "a-1.jsonl", {"time": 2.0, **exited(1).record})
    before = events.last_attempt(events.history(run))
    jsonl.append(run.events / "b-1.jsonl", {"time": 1.5, "event": "warning", "message": "late"})
    jsonl.append(run.events / "a-2.jsonl", {"time": 3.0, **LAUNCHED.record, "attempt": 2, "start": "41.0.1"})
    jsonl.append(run.events / "a-2.jsonl", {"time": 4.0, **exited(75).record, "attempt": 2})
    followed = events.after_attempt(events.history(run), before)
    assert [each.time for each in followed] == [3.0, 4.0]
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    monkeypatch.delenv(RUN_ID, raising=False)
    assert finalize.main([str(tmp_path), "0", "aaaaaaaaaaaa", str(before)]) == 75


def test_a_node_that_will_not_train_ends_the_job_though_another_one_was_told_to_stop() -> None:
    """srun ends the other launchers, which then stop in order: one start after the other would go that way."""
    refused = event("failed", job="41", start="41.0.0", error="on node2: no dataset", gave_up=True)
    for history in ([refused, LAUNCHED, PREEMPTED, exited(75)], [LAUNCHED, refused, exited(1), exited(75)], [refused]):
        begun = start_of(history, "41", 0, 0)
        assert begun.refusal == "on node2: no dataset"
        assert decided_by_events(begun) == RequeueDecision(Action.end, 1)
    again = start_of(
        [refused, LAUNCHED, exited(75), event("attempt_launched", attempt=2, start="41.1.0"), exited(75)], "41", 1, 0
    )
    assert again.refusal is None, "requeued by a person, who has mended it"
    cancelled = start_of([LAUNCHED, refused, event("cancelled"), exited(75)], "41", 0, 0)
    assert decided_by_events(cancelled) == RequeueDecision(Action.cancel, 130)


def test_a_node_that_will_not_train_fails_in_an_allocation_too() -> None:
    stopped = start(PREEMPTED, exited(75))
    assert decide_inside(stopped).exit_code == 75
    assert decide_inside(stopped, code=2) == RequeueDecision(Action.end, 1)
    assert decide_inside(replace(stopped, refusal="on node2: no dataset")) == RequeueDecision(Action.end, 1)
    assert decide_inside(start(event("cancelled"), exited(130)), code=2).exit_code == 130


ELEMENT = event("attempt_launched", attempt=1, start="40_0.0.0")
LATE = event("late_launched", attempt=1, start="40_3.0.0", ranks=[1])


def late_exited(code: int) -> Event:
    return event("late_exited", attempt=1, exit_code=code, start="40_3.0.0")


@pytest.mark.parametrize(
    ("told", "facts", "action", "code"),
    [
        ((late_exited(75),), RUNNING, Action.requeue, 75),
        ((), RUNNING, Action.requeue, 75),  # the launcher was killed
        ((late_exited(1),), RUNNING, Action.end, 1),
        ((late_exited(75),), ENDING, Action.cancel, 130),  # scancel 40_3
        ((event("cancelled"), late_exited(130)), RUNNING, Action.cancel, 130),
        ((event("cancelled", job="40_0"), late_exited(75)), RUNNING, Action.requeue, 75),
        ((event("finished"), late_exited(0)), RUNNING, Action.end, 0),
        ((exited(1), late_exited(75)), RUNNING, Action.requeue, 75),  # the word of the other launcher is not its own
    ],
)
def test_ranks_that_came_late_end_by_their_own_launchers_word(
    told: tuple[Event, ...], facts: Facts, action: Action, code: int
) -> None:
    begun = start_of([ELEMENT, LATE, *told], "40_3", 0, 0)
    assert begun.is_late
    found = decided(begun, facts, 0, 10)
    assert (found.action, found.exit_code) == (action, code)


def test_an_element_with_the_run_is_told_apart_from_the_others() -> None:
    second = event("attempt_launched", attempt=2, start="40_5.0.0")
    history = [ELEMENT, LATE, exited(75), late_exited(1), second, event("exited", attempt=2, exit_code=1)]
    begun = start_of(history, "40_0", 0, 0)
    assert not begun.is_late
    assert begun.word == 75
    assert start_of(history, "40_5", 0, 0).word == 1
    requeues = [event("requeued", job=f"40_{number}", step=4) for number in range(16)]
    assert requeues_without_progress([ELEMENT, *requeues], 4, "40_3") == 1, "all were preempted at once"
    assert not unrecorded_requeue([event("attempt_launched", attempt=1, start="40_3.0.0"), second], "40_5", 0)
    assert unrecorded_requeue([ELEMENT, second, requeues[5]], "40_0", 1)


@pytest.mark.parametrize("has_come", [True, False], ids=["took part", "came after it"])
def test_an_element_leaves_a_cancelled_run_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_come: bool
) -> None:
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    run.job.mkdir()
    freeze(PredictConfig(id="aaaaaaaaaaaa"), run.config)
    run.events.mkdir()
    late = [LATE, late_exited(130)] if has_come else []
    told = [ELEMENT, *late, event("cancelled"), exited(130)]
    for number, each in enumerate(told):
        jsonl.append(run.events / "a-1.jsonl", {**each.record, "time": float(number)})
    for name, value in {"SLURM_JOB_ID": "44", "SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(tmp_path))  # no SLURM
    monkeypatch.delenv(RUN_ID, raising=False)
    assert finalize.main([str(run.path), "0", "aaaaaaaaaaaa"]) == 130
    added = events.history(run)[len(told) :]
    assert not any(isinstance(each, events.Failed) for each in added)
    assert not has_come or added == []
    assert status(run, nobody).state == "cancelled"
