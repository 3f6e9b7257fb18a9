"""A dataset that is there on the nodes only is checked by the launcher of each node, before its ranks start."""

from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.config.errors import ConfigError
from yoloscale.config.schema import ClusterConfig, Config, DataConfig, Launcher, ModelConfig, PathsConfig, Task
from yoloscale.config.slurm_step import SlurmStep
from yoloscale.launch.prepare import prepare
from yoloscale.launch.slurm.node import check_on_node
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory


def config(tmp_path: Path, **cluster: int) -> Config:
    return Config(
        model=ModelConfig(architecture="yolo26n.yaml", task=Task.detect),
        data=DataConfig("data", "$SLURM_TMPDIR/parts/data.yaml"),
        cluster=ClusterConfig(launcher=Launcher.slurm, **cluster),
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
    failed, exited = events.history(run)
    assert (failed["event"], exited["event"]) == (events.FAILED, events.EXITED)
    assert "parts/data.yaml" in failed["error"]
    assert failed["start"] == "7.0.0", "which the end of the job knows it by"


def test_a_variable_that_the_job_does_not_have(tmp_path: Path, run: RunDirectory) -> None:
    with pytest.raises(ConfigError, match=r"\$SLURM_TMPDIR is not set on"):
        check_on_node(run, config(tmp_path), step(0))


def test_a_run_that_may_go_on_with_fewer_nodes_is_not_ended_by_one_of_them(tmp_path: Path, run: RunDirectory) -> None:
    with pytest.raises(ConfigError):
        check_on_node(run, config(tmp_path, nodes=2, min_nodes=1), step(1))
    assert events.history(run) == []


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
