"""When the loop calls a person's own functions, and how one of them ends the run for all ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from yoloscale.checkpoint.state import Progress
from yoloscale.engine.loop import Outcome

ToyRuns = Callable[..., Any]
BATCH = ["batch_start", "batch_end"]


class Recorder:
    """`engine.protocols.Callbacks` that remembers; asks for the end at the `nth` call of `stop_at`."""

    wants_files = True

    def __init__(self, stop_at: str = "", nth: int = 1) -> None:
        self.calls = list[str]()
        self.is_stopped = False
        self.losses = list[float]()
        self.metrics = list[dict[str, float]]()
        self._stop_at, self._nth = stop_at, nth

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.is_stopped |= name == self._stop_at and self.calls.count(name) == self._nth

    def train_start(self, progress: Progress) -> None:
        self._called("train_start")

    def epoch_start(self, progress: Progress) -> None:
        self._called("epoch_start")

    def batch_start(self) -> None:
        self._called("batch_start")

    def batch_end(self, loss: torch.Tensor, named: Mapping[str, torch.Tensor]) -> None:
        assert not loss.requires_grad
        self.losses.append(float(loss))
        self._called("batch_end")

    def epoch_end(self, progress: Progress) -> None:
        self._called("epoch_end")

    def evaluated(self, metrics: Mapping[str, float], best: float | None) -> None:
        self.metrics.append(dict(metrics))
        self._called("evaluated")

    def saved(self) -> None:
        self._called("saved")

    def fit_epoch_end(self) -> None:
        self._called("fit_epoch_end")


def test_the_order_is_that_of_ultralytics(toy_run: ToyRuns) -> None:
    recorder = Recorder()
    assert toy_run(epochs=2, callbacks=recorder).run() is Outcome.finished
    epoch = ["epoch_start", *BATCH * 6, "epoch_end", "evaluated", "saved", "fit_epoch_end"]
    assert recorder.calls == ["train_start", *epoch, *epoch]
    assert len(set(recorder.losses)) == 12


def test_callbacks_change_nothing_that_is_trained(toy_run: ToyRuns) -> None:
    plain, called = toy_run(epochs=2), toy_run("other", epochs=2, callbacks=Recorder())
    plain.run()
    called.run()
    for name, value in plain.state().items():
        assert torch.equal(called.state()[name], value), name


def test_weights_are_on_disk_when_it_is_said_that_they_are_saved(toy_run: ToyRuns) -> None:
    seen = list[list[tuple[str, int]]]()

    class Looker(Recorder):
        def saved(self) -> None:
            seen.append(list(run.published))

    run = toy_run(epochs=2, callbacks=Looker(), fitness=[0.1, 0.2])
    run.run()
    assert [("last.pt", 1) in names and ("best.pt", 1) in names for names in seen] == [True, True]
    assert ("last.pt", 2) in seen[1]


@pytest.mark.parametrize(
    ("stop_at", "nth", "epochs", "steps"),
    [
        ("batch_end", 1, 1, 2),  # decided with the next step
        ("batch_end", 2, 1, 2),
        ("batch_end", 6, 1, 3),  # after the last step of an epoch
        ("epoch_end", 1, 1, 3),
        ("evaluated", 2, 2, 6),
        ("saved", 1, 1, 3),
        ("fit_epoch_end", 2, 2, 6),
    ],
)
def test_a_callback_ends_the_run_which_is_evaluated_and_saved(
    toy_run: ToyRuns, stop_at: str, nth: int, epochs: int, steps: int
) -> None:
    recorder = Recorder(stop_at, nth)
    run = toy_run(epochs=5, callbacks=recorder)
    assert run.run() is Outcome.finished
    position = run.loop.progress.position
    assert (position.epoch, position.epochs, position.total) == (epochs, epochs, steps)
    assert len(recorder.metrics) == epochs
    assert ("last.pt", epochs) in run.published
    again = toy_run(epochs=5)  # a start after it has nothing left to train
    assert again.run() is Outcome.finished
    assert again.loop.progress.position.total == steps


@pytest.mark.parametrize(
    ("stop_at", "save"), [("saved", True), ("fit_epoch_end", True), ("fit_epoch_end", False), ("epoch_start", False)]
)
def test_an_epoch_without_evaluation_that_is_made_the_last_one_is_evaluated(
    toy_run: ToyRuns, stop_at: str, save: bool
) -> None:
    recorder = Recorder(stop_at)
    run = toy_run(epochs=5, callbacks=recorder, evaluate_every_epoch=False, save=save, fitness=[0.5])
    assert run.run() is Outcome.finished
    epochs = run.loop.progress.position.epoch
    assert recorder.metrics == [{"fitness": 0.5}]
    assert (run.loop.progress.best.fitness, run.loop.progress.best.epoch) == (0.5, epochs)
    assert run.published[-2:] == [("last.pt", epochs), ("best.pt", epochs)]
    assert [record["epoch"] for record in run.notes.epochs] == list(range(1, epochs + 1)), "each once"
    assert (run.notes.epochs[-1] | dict(*run.notes.measurements))["fitness"] == 0.5
    again = toy_run(epochs=5)
    assert (again.loop.progress.best.epoch, again.loop.progress.position.epochs) == (epochs, epochs)


def test_an_epoch_that_is_made_the_last_one_and_is_not_finite_is_gone_back_from(toy_run: ToyRuns) -> None:
    recorder = Recorder("fit_epoch_end", 2)
    fitness = [float("nan"), 0.5]
    run = toy_run(epochs=5, callbacks=recorder, evaluate_every_epoch=False, fitness=fitness)
    assert run.run() is Outcome.finished
    assert recorder.metrics == [{"fitness": 0.5}]
    assert [line for line in run.notes.warnings if "the fitness of epoch 2 is not finite: back to step 3" in line]
    assert run.loop.progress.position.epochs == 2, "the end is still wanted"


@pytest.mark.parametrize("nth", range(1, 13))
def test_an_error_after_any_micro_batch_costs_no_whole_step(toy_run: ToyRuns, nth: int) -> None:
    class Broken(Recorder):
        def batch_end(self, loss: torch.Tensor, named: Mapping[str, torch.Tensor]) -> None:
            super().batch_end(loss, named)
            if self.calls.count("batch_end") == nth:
                raise ValueError("mine")

    plain = toy_run("plain", epochs=2)
    plain.run()
    run = toy_run(epochs=2, callbacks=Broken())
    with pytest.raises(ValueError, match="mine"):
        run.run()
    again = toy_run(epochs=2)
    assert again.loop.progress.position.total == nth // 2, "two micro-batches a step"
    again.run()
    for name, value in plain.state().items():
        assert torch.equal(again.state()[name], value), name
    traces = [*run.notes.traces[: nth // 2], *again.notes.traces]
    assert [line["loss"] for line in traces] == [line["loss"] for line in plain.notes.traces]


def test_an_error_after_a_step_that_was_left_out_saves_nothing(toy_run: ToyRuns) -> None:
    class Broken(Recorder):
        def batch_end(self, loss: torch.Tensor, named: Mapping[str, torch.Tensor]) -> None:
            super().batch_end(loss, named)
            if self.calls.count("batch_end") == 4:
                raise ValueError("mine")

    run = toy_run(epochs=2, callbacks=Broken(), poison=lambda epoch, sample: True)
    with pytest.raises(ValueError, match="mine"):
        run.run()
    assert toy_run(epochs=2).loop.progress.position.total == 0


def test_an_error_of_one_is_the_runs(toy_run: ToyRuns) -> None:
    class Broken(Recorder):
        def epoch_end(self, progress: Progress) -> None:
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        toy_run(epochs=2, callbacks=Broken()).run()
    assert toy_run(epochs=2).loop.progress.position.total == 3, "the epoch that was trained is saved"


def stops_alone(ranks: Any, group: Any, folder: str) -> dict[str, Any]:
    """Rank 1 wants the end in the first epoch, in the middle of it or when it is over."""
    from tests.engine.conftest import ToyRun

    found = dict[str, Any]()
    for stop_at in ("batch_end", "epoch_end", "fit_epoch_end"):
        recorder = Recorder(stop_at if ranks.rank == 1 else "")
        recorder.wants_files = ranks.rank == 0
        run = ToyRun(Path(folder) / stop_at, epochs=5, callbacks=recorder, ranks=ranks, group=group)
        outcome = run.run().value
        found[stop_at] = (outcome, run.loop.progress.position.total, run.loop.progress.position.epochs)
    return found


def test_one_rank_ends_the_run_for_all(launch_ranks: Any, tmp_path: Path) -> None:
    first, second = launch_ranks(stops_alone, 2, str(tmp_path))
    assert first == second
    assert first == {
        "batch_end": ("finished", 2, 1),
        "epoch_end": ("finished", 3, 1),
        "fit_epoch_end": ("finished", 3, 1),
    }
