"""`time=`: wherever the time ends, the learning rate has come to its last value; the clock is driven here."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.engine.test_agreement import digest, toy
from tests.engine.test_callbacks import Recorder
from tests.fake_time import FakeTime

from yoloscale.checkpoint.state import Progress
from yoloscale.distributed.environment import Ranks
from yoloscale.engine.loop import Outcome
from yoloscale.engine.stop_requests import Stop
from yoloscale.engine.time_limit import Pending, spent, training_end_s

ToyRuns = Callable[..., Any]
LR, LRF = 0.01, 0.01  # of the toy run
STEP_S, STEPS = 20.0, 3  # 10 s for each of two micro-batches, but for the last step of an epoch, which has three images


@pytest.mark.parametrize(
    ("left", "evaluation_s", "limit_s", "expected"),
    [
        (10, 0, 1000, 1000),  # the limit falls into a later epoch
        (100, 0, 1000, 1000),  # or into this one
        (10, 50, 1000, 1000),  # 110 s to the end of this epoch, then 6 × 150 s are over at 1010: within an epoch
        (10, 50, 1020, 1010),  # or 10 s into the evaluation
        (10, 5000, 1000, 110),  # an evaluation that takes all that is left
        (10, 50, 160, 110),
        (10, 50, 161, 161),
    ],
)
def test_training_ends_at_the_limit_or_before_the_evaluation_amid_which_it_falls(
    left: int, evaluation_s: float, limit_s: float, expected: float
) -> None:
    """At 10 s, with steps of 10 s, ten of them an epoch."""
    assert training_end_s(10, limit_s, Pending(left, 10, 1.0), 10, evaluation_s) == expected


def test_the_share_grows_to_one_and_no_further() -> None:
    shares = [
        spent(clock, 1000, Pending(5, 10, 1.0), step_s=10, evaluation_s=0, ahead=1).share
        for clock in range(0, 1100, 50)
    ]
    assert all(before <= after for before, after in pairwise(shares))
    assert shares[0] == 0.01
    assert shares[-1] == 1.0
    assert spent(500, 1000, Pending(10, 10, 4.0), step_s=10, evaluation_s=0, ahead=0).epochs == 8.0
    unmeasured = spent(500, 1000, Pending(10, 10, 4.0), step_s=0, evaluation_s=0, ahead=1)
    assert unmeasured == (0.5, 0.0), "no step was measured yet"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """The time of the loop; each micro-batch takes 10 s, and an evaluation what the test says."""
    fake = FakeTime()
    monkeypatch.setattr("yoloscale.engine.loop.time", fake)
    monkeypatch.setattr("yoloscale.engine.pace.time", fake)
    return fake


def start(toy_run: ToyRuns, clock: FakeTime, limit_s: float, evaluation_s: float = 0.0, stop_at: int = -1) -> Any:
    def load(run: Any, steps: int) -> None:
        clock.sleep(STEP_S / 2)
        if steps == stop_at:
            run.requests.ask(Stop.terminate)

    run = toy_run(epochs=100, hours=limit_s / 3600, stop_before=load)
    evaluate = run.loop._evaluation

    def slowly(module: Any) -> Any:
        clock.sleep(evaluation_s)
        return evaluate(module)

    run.loop._evaluation = slowly
    return run


def rates(run: Any) -> list[float]:
    return [note["lr/pg0"] for note in run.notes.steps]


@pytest.mark.parametrize("limit_s", [130.0, 400.0, 1003.0, 1040.0])
@pytest.mark.parametrize("evaluation_s", [0.0, 35.0])
def test_the_last_step_has_the_last_learning_rate(
    toy_run: ToyRuns, clock: FakeTime, limit_s: float, evaluation_s: float
) -> None:
    run = start(toy_run, clock, limit_s, evaluation_s)
    assert run.run() is Outcome.finished
    assert run.loop.summary()["seconds"] < limit_s + STEP_S + evaluation_s
    tolerance = 2 * STEP_S / limit_s  # of a step, whose length differs within an epoch
    assert rates(run)[-1] == pytest.approx(LR * LRF, abs=LR * 5 * tolerance**2), "cosine: flat at its end"
    after_warm_up = rates(run)[2 * STEPS :]
    assert all(before >= after for before, after in pairwise(after_warm_up))


def test_epochs_typed_beside_it_do_not_matter(toy_run: ToyRuns, clock: FakeTime) -> None:
    run = start(toy_run, clock, 500)
    run.run()
    assert run.loop.progress.position.epoch == pytest.approx(500 / 50, abs=1)


def test_how_many_epochs_fit_is_told_once_it_is_known(toy_run: ToyRuns, clock: FakeTime) -> None:
    run = start(toy_run, clock, 500)
    run.run()
    assert [note.get("epochs") for note in run.notes.steps[: 2 * STEPS]] == [None] * STEPS + [9] * STEPS
    assert {note["epochs"] for note in run.notes.epochs} == {9}
    plain = toy_run("plain", epochs=1)
    plain.run()
    assert "epochs" not in {*plain.notes.steps[0], *plain.notes.epochs[0]}


def test_one_epoch_typed_beside_it_is_not_the_last(toy_run: ToyRuns, clock: FakeTime) -> None:
    run = start(lambda **options: toy_run(**{**options, "epochs": 1}), clock, 500)
    run.run()
    assert run.loop.progress.position.epoch == pytest.approx(500 / 50, abs=1)


def test_a_run_that_goes_on_with_more_time_does_not_end_where_it_was_planned_to(
    toy_run: ToyRuns, clock: FakeTime
) -> None:
    stopped = start(toy_run, clock, 140, stop_at=6)  # within its third epoch, planned as the last one
    assert stopped.run() is Outcome.preempted
    position = stopped.loop.progress.position
    assert position.epochs == position.epoch + 1
    resumed = start(toy_run, clock, 1000)
    assert resumed.run() is Outcome.finished
    assert resumed.loop.summary()["seconds"] == pytest.approx(1000, abs=2 * STEP_S)


def test_an_epoch_after_whose_last_step_the_time_runs_out_is_evaluated_without_val(
    toy_run: ToyRuns, clock: FakeTime
) -> None:
    class Slow(Recorder):
        def epoch_end(self, progress: Progress) -> None:
            clock.sleep(100)

    run = toy_run(epochs=100, hours=60 / 3600, evaluate_every_epoch=False, callbacks=Slow(), fitness=[0.5])
    assert run.run() is Outcome.finished
    assert (run.loop.progress.best.epoch, run.loop.progress.position.epochs) == (1, 1)
    assert run.published == [("last.pt", 1), ("best.pt", 1)]


def test_time_is_counted_over_restarts(toy_run: ToyRuns, clock: FakeTime) -> None:
    whole = start(lambda **options: toy_run(folder="whole", **options), clock, 600)
    whole.run()
    seconds = whole.loop.summary()["seconds"]
    stopped = start(toy_run, clock, 600, stop_at=13)
    assert stopped.run() is Outcome.preempted
    clock.sleep(10000)  # nobody trains
    resumed = start(toy_run, clock, 600)
    assert resumed.run() is Outcome.finished
    assert resumed.loop.progress.position.total == whole.loop.progress.position.total
    assert rates(resumed)[-1] == pytest.approx(LR * LRF, rel=1e-3)
    assert resumed.loop.summary()["seconds"] == pytest.approx(seconds, abs=STEP_S)


def limited(ranks: Ranks, group: Any, folder: str) -> dict[str, Any]:
    """The second rank's clock is four times as fast, and does not matter."""
    from yoloscale.engine import loop, pace

    fake: Any = FakeTime()
    loop.time = pace.time = fake

    def load(run: Any, steps: int) -> None:
        fake.sleep(40.0 if ranks.rank else 10.0)

    run = toy(folder, ranks, group, samples=41, epochs=100, hours=330 / 3600, stop_before=load)
    outcome = run.run()
    return {"outcome": outcome.value, "state": digest(run), "rates": rates(run)[-1:], "epochs": run.learner.epochs}


def test_the_clock_of_one_rank_decides_for_all(launch_ranks: Any, tmp_path: Path) -> None:
    first, second = launch_ranks(limited, 2, str(tmp_path / "run"))
    assert first["outcome"] == second["outcome"] == "finished"
    assert first["state"] == second["state"]
    assert first["epochs"] == second["epochs"]
    assert first["rates"] == [pytest.approx(LR * LRF, rel=0.01)]
