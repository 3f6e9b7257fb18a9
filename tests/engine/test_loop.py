"""The loop: when it ends, what it saves, and that a run that was stopped ends as one that was not."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.run_events import lines_of

from yoloscale.engine.loop import Outcome
from yoloscale.engine.stop_requests import Stop

ToyRuns = Callable[..., Any]
STEPS, EPOCHS = 3, 3


def assert_same_state(run: Any, other: Any) -> None:
    state, expected = run.state(), other.state()
    assert state.keys() == expected.keys()
    differing = [name for name, value in expected.items() if not torch.equal(state[name], value)]
    assert not differing


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on the clock."""
    return {name: value for name, value in record.items() if name not in ("time", "images_per_s")}


def test_a_run_from_start_to_end(toy_run: ToyRuns) -> None:
    run = toy_run()
    assert run.run() is Outcome.finished
    position = run.loop.progress.position
    assert (position.epoch, position.step, position.total) == (EPOCHS, 0, EPOCHS * STEPS)
    assert [note["step"] for note in run.notes.steps] == list(range(1, EPOCHS * STEPS + 1))
    assert [(note["epoch"], note["epoch_step"]) for note in run.notes.steps[:4]] == [(1, 1), (1, 2), (1, 3), (2, 1)]
    assert [note["epoch"] for note in run.notes.epochs] == [1, 2, 3]
    assert run.learner.epochs == [(0, 3), (1, 3), (2, 3)]
    assert [epoch for name, epoch in run.published if name == "last.pt"] == [1, 2, 3]
    assert run.loop.summary()["steps"] == EPOCHS * STEPS
    saved = [e["step"] for e in lines_of(run.directory) if e["event"] == "checkpoint_saved"]
    assert saved == [3, 6, 9]


def test_a_loader_that_is_ahead_of_the_order_fails_the_first_step(toy_run: ToyRuns) -> None:
    run = toy_run(ahead=1)
    micro = run.order.step(0, 0, 0).micro_batches[0]
    with pytest.raises(AssertionError, match=re.escape(f"where the order has {micro.samples}")):
        run.run()
    assert run.notes.steps == []


def test_epoch_losses_are_means_per_image(toy_run: ToyRuns) -> None:
    run = toy_run(epochs=1)
    run.run()
    images = [8, 8, 5]
    steps = [note["train/toy_loss"] for note in run.notes.steps]
    expected = sum(loss * count for loss, count in zip(steps, images, strict=True)) / 21
    assert run.notes.epochs[0]["train/toy_loss"] == pytest.approx(expected)


def test_the_loss_of_a_step_is_what_was_differentiated(toy_run: ToyRuns) -> None:
    run = toy_run(epochs=1)
    run.run()
    for trace, note, images in zip(run.notes.traces, run.notes.steps, [8, 8, 5], strict=True):
        assert float.fromhex(trace["loss"]) == pytest.approx(note["train/toy_loss"] * images, rel=1e-5)


@pytest.mark.parametrize(
    ("stop_at", "reason"), [*((step, Stop.terminate) for step in (1, 2, 3, 5, 8)), (6, Stop.interrupt)]
)
def test_stopped_anywhere_and_resumed_is_never_stopped(toy_run: ToyRuns, stop_at: int, reason: Stop) -> None:
    """Also in the last step of an epoch: all trained, not yet evaluated."""
    whole = toy_run("whole")
    assert whole.run() is Outcome.finished

    def ask(run: Any, steps_done: int) -> None:
        if steps_done == stop_at - 1:
            run.requests.ask(reason)

    first = toy_run(stop_before=ask)
    assert first.run() is (Outcome.preempted if reason is Stop.terminate else Outcome.interrupted)
    assert first.loop.progress.position.total == stop_at
    second = toy_run()
    assert second.run() is Outcome.finished
    assert_same_state(second, whole)
    assert first.notes.traces + second.notes.traces == whole.notes.traces
    assert [plain(e) for e in first.notes.epochs + second.notes.epochs] == [plain(e) for e in whole.notes.epochs]
    assert second.loop.progress.best == whole.loop.progress.best


def test_stopped_before_every_step(toy_run: ToyRuns) -> None:
    whole = toy_run("whole")
    whole.run()
    starts = 0
    while True:
        run = toy_run(stop_before=lambda run, _: run.requests.ask(Stop.terminate))
        starts += 1
        if run.run() is Outcome.finished:
            break
        assert starts <= EPOCHS * STEPS
    assert_same_state(run, whole)


def test_a_finished_run_trains_nothing_more(toy_run: ToyRuns) -> None:
    toy_run().run()
    again = toy_run()
    assert again.run() is Outcome.finished
    assert again.notes.steps == []
    assert again.loop.summary()["epochs"] == EPOCHS


def test_early_stop_counts_from_the_best_epoch(toy_run: ToyRuns) -> None:
    run = toy_run(epochs=20, patience=2, fitness=[0.1, 0.5, 0.4, 0.3, 0.9])
    assert run.run() is Outcome.finished
    assert len(run.notes.epochs) == 4
    assert run.loop.progress.best.epoch == 2
    assert [epoch for name, epoch in run.published if name == "best.pt"] == [1, 2]
    assert toy_run(epochs=20, patience=2).run() is Outcome.finished
    assert toy_run(epochs=20, patience=2).loop.progress.position.total == 4 * STEPS, "and it stays stopped"


def test_early_stop_survives_a_resume(toy_run: ToyRuns) -> None:
    def ask(run: Any, steps_done: int) -> None:
        if steps_done == 2 * STEPS:
            run.requests.ask(Stop.terminate)

    toy_run(epochs=20, patience=2, fitness=[0.5, 0.4], stop_before=ask).run()
    resumed = toy_run(epochs=20, patience=2, fitness=[0.3, 0.9])
    assert resumed.run() is Outcome.finished
    assert resumed.loop.progress.position.epoch == 3


def test_without_evaluation_the_last_epoch_is_evaluated(toy_run: ToyRuns) -> None:
    run = toy_run(evaluate_every_epoch=False)
    run.run()
    assert run.notes.evaluations == [EPOCHS]
    assert ("best.pt", EPOCHS) in run.published


@pytest.mark.parametrize("ends", ["epochs", "early", "time"])
def test_without_save_the_final_weights_are_published(toy_run: ToyRuns, ends: str) -> None:
    options: dict[str, dict[str, Any]] = {
        "epochs": {},
        "early": {"epochs": 20, "patience": 1, "fitness": [0.5, 0.4]},
        "time": {"epochs": 1000, "hours": 1e-9},
    }
    run = toy_run(save=False, **options[ends])
    assert run.run() is Outcome.finished
    last = run.loop.progress.position.epoch
    assert ("last.pt", last) in run.published


def test_a_time_limit_ends_the_run_after_an_evaluation(toy_run: ToyRuns) -> None:
    run = toy_run(epochs=1000, hours=1e-9)
    assert run.run() is Outcome.finished
    assert len(run.notes.steps) == 1
    assert run.notes.told == ["evaluated"]
    assert run.loop.progress.position.epochs == run.loop.progress.position.epoch == 1


def test_a_time_limit_plans_as_many_epochs_as_fit(toy_run: ToyRuns) -> None:
    run = toy_run(epochs=2, hours=1.0)

    def ask(run: Any, steps_done: int) -> None:
        if steps_done == 4 * STEPS:
            run.requests.ask(Stop.terminate)

    run._stop_before = ask
    assert run.run() is Outcome.preempted, "an hour is more than two epochs"
    assert run.loop.progress.position.epochs > 100
    assert run.learner.epochs[-1][1] > 100, "the loss is told, too"


def test_one_bad_batch_is_skipped(toy_run: ToyRuns) -> None:
    run = toy_run(poison=lambda epoch, sample: (epoch, sample) == (1, 5))
    assert run.run() is Outcome.finished
    assert len(run.notes.steps) == EPOCHS * STEPS
    assert len(run.notes.warnings) == 1
    assert "non-finite gradient, skipped" in run.notes.warnings[0]
    bad = [name for name, value in run.state().items() if not torch.isfinite(value).all()]
    assert not bad, "statistics that the bad batch went through are mended"
    assert run.loop.progress.recovery.skipped == 0


def test_a_loss_that_is_not_finite_is_skipped_though_its_gradients_are(
    toy_run: ToyRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, calls = toy_run(), list[int]()
    loss = run.learner.loss

    def bad_once(batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        calls.append(1)
        value, named = loss(batch)
        return (value + math.nan, named) if len(calls) == 3 else (value, named)

    monkeypatch.setattr(run.learner, "loss", bad_once)
    assert run.run() is Outcome.finished
    assert run.notes.warnings == ["step 2: non-finite loss, skipped"]
    assert run.notes.traces[1]["params"] == run.notes.traces[0]["params"]
    assert run.loop.progress.recovery.skipped_in_all == 1


def test_many_bad_steps_go_back_to_the_last_checkpoint_a_bounded_number_of_times(toy_run: ToyRuns) -> None:
    run = toy_run(poison=lambda epoch, sample: epoch >= 1, skips=2, rollbacks=3)
    with pytest.raises(FloatingPointError, match="lower lr0"):
        run.run()
    back = [message for message in run.notes.warnings if "back to step 3" in message]
    assert len(back) == 3
    assert [(event.message, event.step_from, event.step_to) for event in run.notes.rollbacks] == [
        (message, 5, 3) for message in back
    ]
    assert [f"step size × {scale}" in message for scale, message in zip((0.5, 0.25, 0.125), back, strict=True)]


def test_a_roll_back_lowers_the_step_size_and_goes_on(toy_run: ToyRuns) -> None:
    poisoned = [True]

    def poison(epoch: int, sample: int) -> bool:
        return epoch == 1 and poisoned[0]

    def heal(run: Any, steps_done: int) -> None:
        poisoned[0] = poisoned[0] and run.loop.progress.recovery.rollbacks == 0
        if poisoned[0] and steps_done == 4:
            run.loop.progress.mosaic_off = {"epoch": 1, "close_mosaic": 2}

    run = toy_run(poison=poison, stop_before=heal, skips=2)
    assert run.run() is Outcome.finished
    assert run.loop.progress.mosaic_off == {"epoch": 1, "close_mosaic": 2}, "known since, like the epochs"
    assert run.loop.progress.recovery.rollbacks == 0  # counted anew after a whole epoch without one
    assert [(event.step_from, event.step_to) for event in run.notes.rollbacks] == [(5, 3)]
    assert run.loop.progress.position.total == EPOCHS * STEPS
    whole = toy_run("whole")
    whole.run()
    assert run.notes.steps[-1]["lr/pg0"] == pytest.approx(whole.notes.steps[-1]["lr/pg0"] / 2)


def test_no_checkpoint_to_go_back_to(toy_run: ToyRuns) -> None:
    with pytest.raises(FloatingPointError, match="no checkpoint is left"):
        toy_run(poison=lambda epoch, sample: True, skips=2).run()


def test_a_fitness_that_is_not_finite_goes_back(toy_run: ToyRuns) -> None:
    run = toy_run(fitness=[0.5, math.nan, 0.6, 0.7])
    assert run.run() is Outcome.finished
    assert any("fitness of epoch 2" in message for message in run.notes.warnings)
    assert [note["epoch"] for note in run.notes.epochs] == [1, 2, 3]


def test_a_broken_newest_checkpoint_costs_one_epoch(toy_run: ToyRuns) -> None:
    def ask(run: Any, steps_done: int) -> None:
        if steps_done == 6:
            run.requests.ask(Stop.terminate)

    stopped = toy_run(stop_before=ask)
    stopped.run()
    newest = stopped.directory.checkpoints / "step-000000007" / "state.pt"
    newest.write_bytes(newest.read_bytes()[:-1])
    resumed = toy_run()
    assert resumed.loop.progress.position.total == 6
    assert any("passed over" in str(event.get("message")) for event in lines_of(resumed.directory))
    resumed.run()
    whole = toy_run("whole")
    whole.run()
    assert_same_state(resumed, whole)


def test_a_full_disk_is_a_warning_and_the_run_goes_on(toy_run: ToyRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    run = toy_run()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("yoloscale.checkpoint.store.torch.save", fail)
        assert run.run() is Outcome.finished
    warnings = [event["message"] for event in lines_of(run.directory) if event["event"] == "warning"]
    assert len(warnings) == EPOCHS
    assert all("No space left" in warning for warning in warnings)


def test_accumulation_of_means_is_the_mean_of_the_step(toy_run: ToyRuns) -> None:
    """Half the weight for the same micro-batches: 8 images as 2 × 4, and 5 as 4 + 1."""
    sums, means = toy_run("sums", epochs=1), toy_run("means", epochs=1, reduction="mean")
    sums.run()
    means.run()
    ratio = float.fromhex(means.notes.traces[0]["loss"]) / float.fromhex(sums.notes.traces[0]["loss"])
    assert ratio == pytest.approx(0.5)


def test_exact_sums_train_the_same_model(toy_run: ToyRuns) -> None:
    plain_run, exact_run = toy_run("plain"), toy_run("exact", exact=True)
    plain_run.run()
    exact_run.run()
    for name, value in plain_run.state().items():
        torch.testing.assert_close(exact_run.state()[name], value, rtol=1e-3, atol=1e-4, msg=name)
