"""A dataset that is there on the nodes only is checked by the launcher of each node, before its ranks start."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from tests.file_server import serving
from tests.run_events import lines_of

from yoloscale.backends.slurm.node import check_on_node
from yoloscale.config.schema import (
    ClusterConfig,
    Config,
    DataCheck,
    DataConfig,
    ModelConfig,
    PathsConfig,
    Task,
)
from yoloscale.datasets import sources
from yoloscale.errors import ConfigError
from yoloscale.launch.prepare import prepare
from yoloscale.runs import node_data
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.slurm_step import SlurmStep


def config(tmp_path: Path, **cluster: int) -> Config:
    return Config(
        model=ModelConfig(architecture="yolo26n.yaml", task=Task.detect),
        data=DataConfig("data", "$SLURM_TMPDIR/parts/data.yaml"),
        cluster=ClusterConfig(launcher="slurm", **cluster),
        paths=PathsConfig(cache=str(tmp_path / "cache")),
    )


def step(node: int) -> SlurmStep:
    return SlurmStep("7", 7, 0, 0, "node1", node, 2, 2, node, 0, 1)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    (tmp_path / "run" / "job").mkdir(parents=True)
    return RunDirectory(tmp_path / "run")


def test_nothing_is_looked_for_before_the_job_starts(tmp_path: Path) -> None:
    said: list[str] = []
    assert prepare(config(tmp_path), said.append).model.task is Task.detect
    assert said == []


@pytest.mark.parametrize("node", [0, 1])
def test_what_is_not_there_ends_the_run_and_is_on_record(
    tmp_path: Path, run: RunDirectory, monkeypatch: pytest.MonkeyPatch, node: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_TMPDIR", str(tmp_path))
        with pytest.raises(ConfigError) as raised:
            check_on_node(run, config(tmp_path, nodes=2), step(node))
    (problem,) = raised.value.problems
    assert problem.key == "data"
    assert f"{tmp_path}/parts/data.yaml" in problem.found
    assert ("srun" in problem.instead) == (node > 0)
    assert "data.check" not in problem.instead, "it is later already"
    failed, exited = lines_of(run)
    assert (failed["event"], exited["event"]) == ("failed", "exited")
    assert "parts/data.yaml" in failed["error"]
    assert failed["start"] == "7.0.0", "which the end of the job knows it by"


def test_a_variable_that_the_job_does_not_have(tmp_path: Path, run: RunDirectory) -> None:
    with pytest.raises(ConfigError, match=r"\$SLURM_TMPDIR is not set on"):
        check_on_node(run, config(tmp_path), step(0))


def test_a_run_that_may_go_on_with_fewer_nodes_is_not_ended_by_one_of_them(tmp_path: Path, run: RunDirectory) -> None:
    with pytest.raises(ConfigError):
        check_on_node(run, config(tmp_path, nodes=2, min_nodes=1), step(1))
    assert lines_of(run) == []


def test_labels_are_checked_there_as_they_would_be_here(
    tmp_path: Path, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "parts"
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a]\n")
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_TMPDIR", str(tmp_path))
        with pytest.raises(ConfigError, match="no images"):
            check_on_node(run, config(tmp_path), step(0))


@pytest.fixture
def fetched(tmp_path: Path) -> Iterator[Config]:
    """A config whose data is fetched on the nodes; `serve` says what from."""
    for split, count in (("few", 2), ("more", 3), ("val", 1)):
        for number in range(count):
            image = tmp_path / "images" / split / f"{number}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32)).save(image)
            label = tmp_path / "labels" / split / f"{number}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served") as (host, _):
        yield replace(config(tmp_path), data=DataConfig("d", f"{host}/d.yaml", check=DataCheck.later))


def serve(tmp_path: Path, train: str) -> None:
    text = f"path: {tmp_path}\ntrain: images/{train}\nval: images/val\nnames: [a]\n"
    (tmp_path / "served" / "d.yaml").write_text(text)


def read_by_ranks(run: RunDirectory, config: Config) -> str:
    cache = Path(str(config.paths.cache))
    return sources.locate(config.data, Task.detect, cache, opened=node_data.opened(run, config)).read_text()


def warnings(run: RunDirectory) -> list[str]:
    return [record["message"] for record in lines_of(run) if record["event"] == "warning"]


def test_a_requeued_run_goes_on_with_the_data_that_it_was_started_with(
    tmp_path: Path, run: RunDirectory, fetched: Config
) -> None:
    serve(tmp_path, "few")
    check_on_node(run, fetched, step(0))
    serve(tmp_path, "more")
    other = RunDirectory(tmp_path / "other")
    other.job.mkdir(parents=True)
    check_on_node(other, fetched, step(0))
    assert "images/more" in read_by_ranks(other, fetched)
    assert "images/few" in read_by_ranks(run, fetched), "also where the ranks alone are started again"
    (own,) = run.job.glob("data-*.json")
    own.rename(run.job / "data-elsewhere.json")  # requeued on another node, with the same cache
    check_on_node(run, fetched, step(0))
    assert "images/few" in read_by_ranks(run, fetched)
    assert warnings(run) == []


def test_data_that_is_another_on_the_node_of_a_requeue_is_told_of(
    tmp_path: Path, run: RunDirectory, fetched: Config
) -> None:
    serve(tmp_path, "few")
    check_on_node(run, fetched, step(0))
    serve(tmp_path, "more")
    shutil.rmtree(str(fetched.paths.cache))  # a node of its own cache
    check_on_node(run, fetched, step(0))
    (line,) = warnings(run)
    assert "(2 training images, now 3)" in line


def test_a_folder_of_the_same_name_in_the_cache_of_another_node_may_be_of_another_time(
    tmp_path: Path, run: RunDirectory, fetched: Config
) -> None:
    serve(tmp_path, "few")
    check_on_node(run, fetched, step(0))
    (own,) = run.job.glob("data-*.json")
    own.rename(run.job / "data-elsewhere.json")
    shutil.rmtree(str(fetched.paths.cache))
    serve(tmp_path, "more")
    sources.prepare(fetched.data, Task.detect, Path(str(fetched.paths.cache)), print)
    serve(tmp_path, "few")
    check_on_node(run, fetched, step(0))
    assert "images/few" in read_by_ranks(run, fetched)
    assert warnings(run) == []
