from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.finished_weights import write_weights

from yoloscale.backends.slurm import own_job
from yoloscale.backends.slurm.own_job import OwnJob
from yoloscale.config.compose.flags import split
from yoloscale.config.schema import Device, LoggerConfig, RunConfig
from yoloscale.errors import ConfigError
from yoloscale.launch.configure import configure, configured, remarks_if_prepared


def test_a_value_out_of_range_in_a_file_of_arguments_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "arguments.yaml"
    file.write_text("device: cpu\nepochs: 0\nsplit: dev\nnbs: 0\n")
    with pytest.raises(ConfigError) as raised:
        configure([f"cfg={file}", "nbs=-1", "epochs=0", "optimizer=sgdd"])
    assert {problem.key for problem in raised.value.problems} == {f"{file}:3", "nbs", "epochs", "optimizer"}


def test_of_the_words_of_an_args_yaml_only_what_somebody_chose_is_remarked() -> None:
    said = list[str]()
    configure(["device=cpu", "pose=12.0", "angle=3", "save_dir=runs/a", "name=a", "optimizer=SGD"], said.append)
    assert [line for line in said if "pose=" in line] == []
    assert len([line for line in said if line.startswith("angle=3")]) == 1


@pytest.mark.parametrize("word", ["pose=12.0", "+pose=12.0", "--pose=12.0"])
def test_a_default_that_was_typed_is_remarked_however_it_was(word: str) -> None:
    said = list[str]()
    configure(["device=cpu", word], said.append)
    assert len([line for line in said if line.startswith("pose=12.0: no effect")]) == 1


def weights_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with weights."""
    monkeypatch.chdir(folder)
    write_weights(folder / "mine.pt")


PREDICTION = ["model=mine.pt", "source=images", "device=cpu"]


def asked(kind: str, *typed: str) -> tuple[RunConfig, list[str]]:
    """The config of what was typed for a kind, and the remarks."""
    said = list[str]()
    return configured(split(typed, kind=kind), said.append).config, said


def test_what_changes_nothing_about_a_prediction_is_remarked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights_in(tmp_path, monkeypatch)
    _, said = asked("predict", *PREDICTION, "batch=16", "save_conf=true")
    assert len([line for line in said if line.startswith("batch=16: no effect on CPUs")]) == 1, "a default, but typed"
    assert len([line for line in said if line.startswith("save_conf=true: no effect without labels")]) == 1
    assert not [line for line in asked("predict", *PREDICTION)[1] if "no effect" in line]
    _, said = asked("val", "model=mine.pt", "data=shapes", "device=cpu", "save_conf=true")
    assert len([line for line in said if line.startswith("save_conf=true: no effect without save_txt")]) == 1


@pytest.mark.parametrize(
    ("kind", "words"), [("predict", PREDICTION), ("val", ["model=mine.pt", "data=shapes", "device=cpu"])]
)
def test_a_logger_of_the_machines_own_defaults_keeps_nothing_from_starting(
    kind: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A logger that a person asks for by name is refused as long as there is none for this kind."""
    weights_in(tmp_path, monkeypatch)
    (tmp_path / "own" / "local").mkdir(parents=True)
    local = "# @package _global_\nlogger:\n  tensorboard: true\n  mlflow: {experiment: mine}\n"
    (tmp_path / "own" / "local" / "default.yaml").write_text(local)
    config, said = asked(kind, *words, "--config-dir", "own")
    assert config.logger == LoggerConfig()
    assert [line for line in said if line.startswith("logger: tensorboard and mlflow of this machine's defaults")]
    for word in ("logger=tensorboard", "logger.tensorboard=true"):
        with pytest.raises(ConfigError, match=r"logger\.tensorboard"):
            asked(kind, *words, word)


JOB = OwnJob("11", nodes=3, gpus=4, cpus=32)


@pytest.fixture
def in_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(own_job, "own_job", lambda: JOB)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("in_job")
def test_a_new_run_has_the_nodes_of_the_job_unless_the_command_or_a_recipe_says_how_many(tmp_path: Path) -> None:
    (tmp_path / "configs" / "cluster").mkdir(parents=True)
    (tmp_path / "configs" / "cluster" / "ours.yaml").write_text("defaults: [slurm, _self_]\nnodes: 1\n")
    words = ["--config-dir", "configs", "batch=24"]

    def nodes(*more: str, uses_own_job: bool = True) -> int:
        return configure([*words, *more], uses_own_job=uses_own_job).cluster.nodes

    assert nodes("cluster=slurm") == 3
    assert nodes("cluster=slurm", "cluster.nodes=1") == 1
    assert nodes("cluster=ours") == 1
    assert nodes("cluster=slurm", uses_own_job=False) == 1
    assert nodes("cluster=slurm") == 3  # whatever was looked at in between


@pytest.mark.usefixtures("in_job")
def test_a_batch_that_does_not_divide_over_the_job_may_take_fewer_nodes() -> None:
    with pytest.raises(ConfigError, match=r"or cluster\.nodes=2"):
        configure(["cluster=slurm", "batch=16"], uses_own_job=True)
    with pytest.raises(ConfigError) as raised:
        configure(["cluster=slurm", "batch=16", "cluster.nodes=3"], uses_own_job=True)
    assert "or cluster.nodes" not in str(raised.value)


@pytest.mark.usefixtures("in_job")
def test_a_run_that_is_prepared_for_cpus_in_a_job_with_gpus_is_told() -> None:
    def said(*words: str) -> list[str]:
        return remarks_if_prepared(configured(["cluster=slurm", *words]))

    (line,) = said("cluster.procs_per_node=4")
    assert line.endswith("has 4 GPUs on a node: for them write cluster.gpus_per_node=4, else device=cpu")
    assert said("device=cpu") == said("cluster.gpus_per_node=4", "batch=8") == []


def test_the_run_that_the_readme_prepares_for_a_task_for_each_rank_computes_on_gpus() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (command,) = re.findall(r"`yoloscale train (cluster=slurm [^`]*) … --prepare`", readme)
    (tasks,) = re.findall(r"`srun --ntasks-per-node=(\d+) --gpus-per-node=\1 python -m yoloscale.worker", readme)
    cluster = configure(command.split()).cluster
    assert (cluster.device, cluster.procs_per_node) == (Device.cuda, int(tasks))
