from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.run_events import lines_of
from tests.searches import ready

from yoloscale.backends.slurm import queue
from yoloscale.config.freeze import freeze, load
from yoloscale.errors import ConfigError
from yoloscale.runs.jobs import Answer, Job, nobody
from yoloscale.sweep.search.element import NO_POINT, main
from yoloscale.sweep.search.ready import plan_search
from yoloscale.sweep.search.search import Search
from yoloscale.sweep.search.submit import job_for, open_indices, queued

TYPED = ["-m", "name=s", "sweep=random", "seed=range(0,3)", "model=yolo26n.yaml", "data.shapes.train_images=4"]
WHERE = ["cluster=slurm", "device=cpu", "cluster.procs_per_node=1", "data.shapes.val_images=4"]


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Search:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLOSCALE_CACHE", str(cache))
    return ready(plan_search([*TYPED, *WHERE, "data.shapes.image_size=64"]), print)


@pytest.fixture
def element(search: Search, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], int]:
    """What the script of an element of SLURM's array starts; its exit code."""

    def run(index: int) -> int:
        environ = {"SLURM_JOB_ID": "900", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(index)}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return main([str(search.sweep.path)])

    return run


def test_an_element_asks_for_its_point_and_keeps_it_when_it_is_requeued(
    search: Search, element: Callable[[int], int]
) -> None:
    for index in (2, 0, 2):  # elements start in any order
        assert element(index) == 0
    points = search.sweep.points()
    assert [(point.index, point.name) for point in points] == [(0, "trial-000"), (2, "trial-002")]
    run = search.sweep.run_of(2)
    assert run.name == "trial-002"
    assert [(event["event"], event["job"]) for event in lines_of(run)] == [("submitted", "7_2")]
    with pytest.raises(ConfigError, match="no point 1"):
        search.sweep.run_of(1)


def test_a_node_without_an_api_key_trains_its_point(
    search: Search, element: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = search.sweep.record.read_text()
    search.sweep.record.write_text(record.replace("space:\n", "space:\n- logger=wandb\n", 1))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("NETRC", "/nowhere")
    assert element(0) == 0  # where it was submitted there was one; here it logs offline
    assert load(search.sweep.run_of(0).config).logger.wandb is not None


def test_an_element_asks_also_once_the_search_goes_on_elsewhere(search: Search, element: Callable[[int], int]) -> None:
    """Its job waits in the queue while somebody has the search trained on another machine."""
    here = replace(search.base, cluster=replace(search.base.cluster, launcher="local"))
    freeze(here, search.sweep.base)
    assert element(0) == 0


def test_an_element_too_many_ends_in_order(search: Search, element: Callable[[int], int]) -> None:
    for index in range(3):
        assert element(index) == 0
    with pytest.raises(ConfigError, match="3 of 3 points"):
        element(3)
    record = search.sweep.record.read_text()
    search.sweep.record.write_text(record.replace("name: trial-002", "name: trial-002\n  index: 9"))
    assert element(2) == NO_POINT  # of three points all have been asked for
    search.sweep.record.write_text(record.replace("name: trial-002", "name: trial-009\n  index: 9"))
    assert element(2) == 0  # trial-002 was not on record: its launcher was killed


def test_elements_that_wait_in_the_queue_are_not_submitted_again(search: Search, element: Callable[[int], int]) -> None:
    (search.sweep.job / "elements.json").write_text('{"0": "7_0", "1": "7_1", "2": "7_2"}')
    element(0)
    told = Answer({"7_1": Job("7_1", "PENDING"), "7_2": Job("7_2", "CANCELLED")})
    assert queued(search.sweep, lambda jobs: told) == {1: "7_1"}


def test_places_without_a_point_are_open(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "ask", nobody)
    assert open_indices(search) == [0, 1, 2]
    job = job_for(search, ["train", *TYPED], [0, 1, 2])
    assert job.array == "0-2"
    assert job.asks
