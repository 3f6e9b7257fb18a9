from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import lines_of

from yoloscale.checkpoint.state import Position, Progress
from yoloscale.config.schema import Config, OriginConfig
from yoloscale.distributed.environment import Ranks
from yoloscale.engine.stop_requests import Stop, StopRequests
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import Process
from yoloscale.system.variables import STOP_AT
from yoloscale.worker.common.attendance import too_few_cpus, watch_for_requests
from yoloscale.worker.train.train import _tear_down, follow_length
from yoloscale.yolo.callbacks import CallbackError


def request(run: RunDirectory, rank: int = 0) -> tuple[Stop, str | None]:
    requests = StopRequests()
    watch_for_requests(run, Ranks(rank=rank), requests)
    requests.numbers()
    return requests.stop, requests.reason


def test_the_first_rank_looks_for_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory(tmp_path)
    assert request(run) == (Stop.none, None)
    monkeypatch.setenv(STOP_AT, "1.5")
    assert request(run) == (Stop.terminate, "time limit")
    run.stop_request.touch()
    assert request(run) == (Stop.terminate, "STOP")
    assert request(run, rank=1) == (Stop.none, None)


def test_a_file_system_that_cannot_say_asks_for_nothing(tmp_path: Path) -> None:
    unanswerable = RunDirectory(tmp_path / ("x" * 300))
    with pytest.raises(OSError, match="too long"):
        unanswerable.stop_request.exists()
    assert request(unanswerable) == (Stop.none, None)


def test_an_error_at_the_very_end_is_a_warning_that_names_it(tmp_path: Path) -> None:
    class Broken:
        def teardown(self) -> None:
            raise CallbackError("the callback hooks:teardown of teardown failed")

    run: Any = RunDirectory(tmp_path)
    callbacks: Any = Broken()
    _tear_down(run, Ranks(), callbacks)
    (warning,) = lines_of(run)
    assert warning["event"] == "warning"
    assert "hooks:teardown of teardown failed" in warning["message"]


def test_gpus_with_too_few_cpus_are_told() -> None:
    ranks = [Process(rank, "node2", 1, "cuda:0", 2) for rank in range(4)]
    assert too_few_cpus(ranks) is None
    ranks[1], ranks[3] = replace(ranks[1], cpus=1), replace(ranks[3], cpus=1)
    assert "rank 1 on node2 and 1 more have 1 CPU" in str(too_few_cpus(ranks))
    assert "cluster.cpus_per_task=" in str(too_few_cpus(ranks))
    assert too_few_cpus([replace(each, device="cpu") for each in ranks]) is None


@pytest.mark.parametrize(
    ("epoch", "planned", "config", "epochs"),
    [
        (3, 10, Config(epochs=10), 10),
        (3, 10, Config(epochs=20, origin=OriginConfig(epochs=10, epochs_done=3)), 20),
        (3, 10, Config(epochs=5, origin=OriginConfig(epochs=10, epochs_done=2)), 5),
        (7, 7, Config(epochs=10), 7),  # it has stopped early, and was killed before it was finished
        (7, 7, Config(epochs=20, origin=OriginConfig(epochs=10, epochs_done=7)), 20),  # asked for after that
        (7, 7, Config(epochs=20, origin=OriginConfig(epochs=10, epochs_done=3)), 7),  # asked for before
        (3, 40, Config(epochs=10, time=1.0), 40),
        (3, 40, Config(epochs=10), 10),  # `time=` was taken away
    ],
)
def test_the_epochs_of_now_are_those_of_the_config(epoch: int, planned: int, config: Config, epochs: int) -> None:
    progress = Progress(position=Position(epoch=epoch, epochs=planned))
    assert follow_length(config, progress).position.epochs == epochs


@pytest.mark.parametrize(("hours", "kept"), [(2.0, True), (None, False)])
def test_only_with_a_time_limit_mosaic_that_has_ended_stays_off(hours: float | None, kept: bool) -> None:
    progress = Progress(position=Position(epoch=7, epochs=10), mosaic_off={"epoch": 5, "close_mosaic": 5})
    assert bool(follow_length(Config(epochs=40, time=hours), progress).mosaic_off) is kept


def test_a_restart_by_itself_leaves_the_progress_as_it_was() -> None:
    """Else a run that was interrupted ends with another checkpoint than one that was not."""
    progress = Progress(position=Position(epoch=7, epochs=10), mosaic_off={"epoch": 5, "close_mosaic": 5})
    assert follow_length(Config(epochs=10), progress).mosaic_off == {"epoch": 5, "close_mosaic": 5}


@pytest.mark.parametrize(
    ("hours", "epochs_done", "epochs"),
    [(2.0, 7, 8), (2.0, None, 7), (2.0, 3, 7), (0.5, 7, 7)],  # asked for after its end, never, before, and too little
)
def test_a_run_whose_time_was_over_goes_on_with_more(hours: float, epochs_done: int | None, epochs: int) -> None:
    progress = Progress(position=Position(epoch=7, epochs=7), clock=3600.0)
    config = Config(time=hours, origin=OriginConfig(epochs_done=epochs_done))
    assert follow_length(config, progress).position.epochs == epochs
