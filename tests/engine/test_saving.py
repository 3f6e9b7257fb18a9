"""Checkpoints within an epoch: when, of what, and what happens when a step, the disk or the process fails."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.run_events import lines_of

from yoloscale.checkpoint import store
from yoloscale.checkpoint.interval import When
from yoloscale.engine import loop
from yoloscale.engine.loop import Outcome
from yoloscale.engine.stop_requests import Stop

ToyRuns = Callable[..., Any]
EACH_STEP = When(every_steps=1)


def saved(run: Any) -> list[tuple[int, str]]:
    """Step and reason of every checkpoint."""
    history = [event for event in lines_of(run.directory) if event["event"] == "checkpoint_saved"]
    return [(event["step"], event["reason"]) for event in history]


def assert_same_state(run: Any, other: Any) -> None:
    mine, theirs = run.state(), other.state()
    assert mine.keys() == theirs.keys()
    assert not [name for name, value in mine.items() if not torch.equal(value, theirs[name])]


def test_as_often_as_wanted_and_after_each_epoch(toy_run: ToyRuns) -> None:
    """3 steps an epoch; at the end of an epoch there is one checkpoint, after its evaluation."""
    run = toy_run(when=When(every_steps=2))
    run.run()
    assert saved(run) == [(2, "interval"), (3, "epoch"), (4, "interval"), (6, "epoch"), (8, "interval"), (9, "epoch")]


@pytest.mark.parametrize("fails_at", [0, 1, 3, 4, 7])
def test_a_step_that_fails_costs_that_step_only(toy_run: ToyRuns, fails_at: int) -> None:
    """The failing micro-batch is the step's second: the first has changed the batch-norm statistics already."""
    whole = toy_run("whole")
    whole.run()
    seen = []

    def fail(run: Any, steps_done: int) -> None:
        seen.append(steps_done)
        if seen[-2:] == [fails_at, fails_at]:
            raise ConnectionError("another rank is gone")

    broken = toy_run(stop_before=fail)
    with pytest.raises(ConnectionError):
        broken.run()
    assert saved(broken)[-1] == (fails_at, "failure")
    resumed = toy_run()
    assert resumed.loop.progress.position.total == fails_at
    resumed.run()
    assert_same_state(resumed, whole)
    assert broken.notes.traces + resumed.notes.traces == whole.notes.traces


def test_an_update_that_fails_half_way_is_not_saved(toy_run: ToyRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    run = toy_run()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("device lost")

    monkeypatch.setattr(run.stepper.average, "update", fail)
    with pytest.raises(RuntimeError, match="device lost"):
        run.run()
    assert saved(run) == []


def test_a_failure_just_after_the_update_does_not_save_it_as_the_step_before(
    toy_run: ToyRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loader process that dies raises in a signal handler: at any moment."""
    run = toy_run()
    update = run.stepper._update

    def update_then_fail(outcome: Any) -> None:
        update(outcome)
        raise RuntimeError("a loader process is gone")

    monkeypatch.setattr(run.stepper, "_update", update_then_fail)
    with pytest.raises(RuntimeError, match="loader process"):
        run.run()
    assert saved(run) == []


def test_a_rescue_that_fails_does_not_hide_why(toy_run: ToyRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(run: Any, steps_done: int) -> None:
        if steps_done == 4:
            monkeypatch.setattr(run.stepper, "state", lambda: 1 / 0)
            raise ConnectionError("another rank is gone")

    run = toy_run(stop_before=fail)
    with pytest.raises(ConnectionError):
        run.run()
    messages = [event["message"] for event in lines_of(run.directory) if event["event"] == "warning"]
    assert messages == ["the state of step 4 could not be saved: division by zero"]


def test_an_evaluation_that_fails_costs_itself_only(toy_run: ToyRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = toy_run("whole")
    whole.run()
    run = toy_run()
    evaluate, calls = run._evaluate, []

    def fail_once(module: Any) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 2:
            raise ConnectionError("another rank is gone")
        return evaluate(module)  # type: ignore[no-any-return]

    monkeypatch.setattr(run.loop, "_evaluation", fail_once)
    with pytest.raises(ConnectionError):
        run.run()
    assert saved(run)[-1] == (6, "failure")
    resumed = toy_run()
    resumed.run()
    assert_same_state(resumed, whole)
    assert run.notes.traces + resumed.notes.traces == whole.notes.traces


def test_a_checkpoint_on_request_and_training_goes_on(toy_run: ToyRuns) -> None:
    def ask(run: Any, steps_done: int) -> None:
        if steps_done in (1, 5):
            run.requests.wants_checkpoint = True

    run = toy_run(stop_before=ask)
    assert run.run() is Outcome.finished
    wanted = [step for step, reason in saved(run) if reason == "request"]
    # the request of a step's last micro-batch is seen in that step; step 6 ends the epoch
    assert wanted == [2, 6]
    assert [step for step, reason in saved(run) if reason == "epoch"] == [3, 6, 9]


def test_training_goes_on_while_the_disk_is_slow(toy_run: ToyRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    has_trained, syncs = threading.Event(), count()
    run = toy_run(
        when=When(every_steps=1000, every_s=None, automatic=False),
        stop_before=lambda run, steps: has_trained.set() if steps == 5 else None,
    )
    sync = store.sync

    def slow(path: Path) -> None:
        """The checkpoint of the first epoch's end gets to the disk when two more steps are done, and not at once."""
        if next(syncs) == 0:
            assert has_trained.wait(300), "training waits for the disk"
            time.sleep(2.0)
        sync(path)

    monkeypatch.setattr(store, "sync", slow)
    run.run()
    blocked = [event["blocked_s"] for event in lines_of(run.directory) if "blocked_s" in event]
    assert blocked[0] < blocked[1]
    assert blocked[1] > 0.5, "back-pressure: one write at a time"


def test_no_checkpoint_amid_bad_steps(toy_run: ToyRuns) -> None:
    """They must not push the good ones out, which a roll-back needs."""
    run = toy_run(when=EACH_STEP, poison=lambda epoch, sample: epoch == 1, skips=3, samples=41, epochs=2)
    with pytest.raises(FloatingPointError):
        run.run()
    steps = [step for step, _ in saved(run)]
    assert max(steps) == 6, "the end of the first epoch"
    assert run.loop.progress.recovery.skipped_in_all >= 3


def test_a_checkpoint_that_holds_what_is_bad_is_given_up_for_the_one_before(toy_run: ToyRuns) -> None:
    """The weights go bad in step 5, which itself is fine and is saved; each step after it is bad."""
    is_bad = [True]

    def heal(run: Any, steps_done: int) -> None:
        is_bad[0] = is_bad[0] and (steps_done >= 5 or not run.loop.progress.recovery.rollbacks)

    def poison(_epoch: int, _sample: int) -> bool:
        return is_bad[0] and run.loop.progress.position.total >= 5

    run = toy_run(when=EACH_STEP, poison=poison, stop_before=heal, skips=2, samples=81, epochs=1)
    assert run.run() is Outcome.finished
    back = [message.split(": ")[1] for message in run.notes.warnings if "back to" in message]
    assert back == ["back to step 5, step size × 0.5", "back to step 4, step size × 0.25"]
    assert (run.directory.checkpoints / "broken-step-000000005").is_dir()
    assert saved(run)[-1] == (11, "epoch")


def test_an_epoch_with_a_bad_fitness_is_trained_again(toy_run: ToyRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only evaluated again, though its trained state was saved before its long evaluation."""
    monkeypatch.setattr(loop, "EVALUATION_WORTH_A_CHECKPOINT_S", -1.0)
    retrained = list[int]()

    def note(run: Any, steps_done: int) -> None:
        if run.loop.progress.recovery.rollbacks:
            retrained.append(steps_done)

    run = toy_run(stop_before=note)
    evaluate = run._evaluate

    def bad_second_epoch(module: Any) -> dict[str, float]:
        bad = run.loop.progress.position.epoch == 1 and not retrained
        return {"fitness": math.nan} if bad else evaluate(module)

    monkeypatch.setattr(run.loop, "_evaluation", bad_second_epoch)
    assert run.run() is Outcome.finished
    assert sorted(set(retrained)) == [3, 4, 5]


def test_a_failure_amid_bad_steps_leaves_the_good_checkpoints(toy_run: ToyRuns) -> None:
    def fail(run: Any, steps_done: int) -> None:
        if steps_done == 5:
            raise RuntimeError("an assertion about numbers in a loss")

    run = toy_run(when=EACH_STEP, poison=lambda epoch, sample: epoch == 1, stop_before=fail)
    with pytest.raises(RuntimeError):
        run.run()
    assert run.loop.progress.recovery.skipped == 2
    assert [step for step, _ in saved(run)] == [1, 2, 3]


@pytest.mark.parametrize(("epoch", "tries"), [(1, 1), (2, 2), (3, 1)])
def test_weights_that_the_disk_did_not_take_are_written_by_a_later_save(
    toy_run: ToyRuns, monkeypatch: pytest.MonkeyPatch, epoch: int, tries: int
) -> None:
    """The first so many tries in an epoch fail; after the last one there is one more, at the end."""
    left = [tries]
    run = toy_run(when=EACH_STEP, fitness=[0.1, 0.2, 0.3])

    def copy(metrics: dict[str, float], copied: int) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            if copied == epoch and path.name == "best.pt" and left[0]:
                left[0] -= 1
                raise OSError(28, "No space left on device")
            run.published.append((path.name, copied))

        return write

    monkeypatch.setattr(run.loop._checkpointer, "_copy_weights", copy)
    assert run.run() is Outcome.finished
    assert sorted(run.published) == sorted((name, at) for name in ("best.pt", "last.pt") for at in (1, 2, 3))
    assert run.published[-1] == ("best.pt", 3)


def test_a_stop_waits_for_the_disk(toy_run: ToyRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = store.sync
    monkeypatch.setattr(store, "sync", lambda path: (time.sleep(0.1), sync(path)))
    run = toy_run(stop_before=lambda run, _: run.requests.ask(Stop.terminate))
    assert run.run() is Outcome.preempted
    assert saved(run) == [(1, "terminate")]
    assert run.directory.checkpoints.joinpath("step-000000001").is_dir()
