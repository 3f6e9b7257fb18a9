from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from yoloscale.config.compose.hydra import compose
from yoloscale.config.quoting import quote
from yoloscale.config.schema import Config, Device, Task, WandbMode
from yoloscale.errors import ConfigError


def problems(*argv: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as raised:
        compose(argv)
    return {problem.key: f"{problem.found} | {problem.instead}" for problem in raised.value.problems}


def test_nothing_typed_needs_no_network() -> None:
    config = compose([])
    assert (config.model.name, config.model.weights, config.model.architecture) == ("yolo26n", None, "yolo26n.yaml")
    assert config.data.source == "shapes"
    assert config.cache == "ram"
    assert type(config) is Config


def test_released_weights_by_name_and_from_scratch() -> None:
    assert compose(["model=yolo26s"]).model.weights == "yolo26s.pt"
    assert compose(["model=yolo26s.pt"]).model.weights == "yolo26s.pt"
    assert compose(["model=yolo26s.yaml"]).model.weights is None
    assert compose(["model=yolo26s", "pretrained=false"]).model.weights is None


def test_pretrained_path_goes_into_the_architecture() -> None:
    config = compose(["model=yolo26s", "pretrained=some/x.pt"])
    assert (config.model.weights, config.pretrained, config.model.architecture) == (None, "some/x.pt", "yolo26s.yaml")


def test_image_size_follows_the_task_unless_it_was_set() -> None:
    assert compose([]).imgsz == 640
    assert compose(["model=yolo26n-cls"]).imgsz == 224
    assert compose(["model=yolo26n-cls", "imgsz=640"]).imgsz == 640


def test_a_recipe_sets_the_image_size_too() -> None:
    assert compose(["experiment=smoke", "model=yolo26n-cls.yaml"]).imgsz == 64


def test_the_task_of_weights_of_ones_own_is_asked_for(tmp_path: Path) -> None:
    weights = tmp_path / "best.pt"
    weights.write_bytes(b"")
    asked: list[Path] = []

    def task_of(path: Path) -> Task:
        asked.append(path)
        return Task.classify

    config = compose([f"model={weights}"], task_of)
    assert asked == [weights]
    assert (config.model.task, config.imgsz) == (Task.classify, 224)
    assert compose([f"model={weights}"]).model.task is None


def test_a_file_tells_its_task_better_than_its_name(tmp_path: Path) -> None:
    (tmp_path / "my-segments.pt").write_bytes(b"")
    assert compose([f"model={tmp_path}/my-segments.pt"], lambda path: Task.detect).model.task is Task.detect


def test_paths_to_files_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "a $(x) ${y} it's"
    folder.mkdir()
    for name in ("best.pt", "data.yaml"):
        (folder / name).write_text("x")
        (tmp_path / name).write_text("x")
    (tmp_path / "yolo26n.pt").write_text("x")
    config = compose([f"model={folder.name}/best.pt", f"data={folder.name}/data.yaml"])
    assert config.model.weights == str(folder / "best.pt")
    assert config.data.source == str(folder / "data.yaml")
    assert config.model.name == "best"
    config = compose(["model=best.pt", "data=data.yaml"])
    assert (config.model.weights, config.data.source) == (str(tmp_path / "best.pt"), str(tmp_path / "data.yaml"))
    assert compose(["model=yolo26n.pt"]).model.weights == "yolo26n.pt"


@pytest.mark.parametrize("text", ['it\'s "x" $(touch y)', "${HOME}", "a,b={c}", "[1", "null name", "é  ü"])
def test_a_name_is_data(text: str) -> None:
    assert compose([f"name={text}"]).name == text
    assert compose([f"name={quote(text)}"]).name == text


def test_lists_are_lists() -> None:
    config = compose(["classes=0,2", "freeze=0,1", "scale=0.5,1.5", "cluster.gpus=0,1"])
    assert (config.classes, config.freeze, config.scale, config.cluster.gpus) == ([0, 2], [0, 1], [0.5, 1.5], [0, 1])


def test_where_to_run() -> None:
    cluster = compose(["cluster=local", "device=0,1", "cluster.nodes=2"]).cluster
    assert (cluster.device, cluster.gpus, cluster.procs_per_node, cluster.nodes) == (Device.cuda, [0, 1], 2, 2)


def test_several_loggers() -> None:
    logger = compose(["logger=tensorboard,wandb_offline", "logger.wandb.project=mine"]).logger
    assert logger.tensorboard
    assert logger.wandb is not None
    assert (logger.wandb.mode, logger.wandb.project) == (WandbMode.offline, "mine")


def test_values_from_a_program_are_quoted_and_mean_the_same(tmp_path: Path) -> None:
    values = {
        "model": "yolo26n-cls",
        "data": tmp_path,
        "cluster": "local",
        "device": [0, 1],
        "epochs": 3,
        "name": "a,b",
    }
    values |= {"freeze": ["23.cv2"], "cache": "ram", "task": "classify", "conf": None, "cos_lr": True, "classes": [0]}
    config = compose([f"{key}={quote(value)}" for key, value in values.items()])
    assert (config.model.weights, config.data.source) == ("yolo26n-cls.pt", str(tmp_path))
    assert (config.cluster.gpus, config.freeze, config.cache, config.cos_lr) == ([0, 1], ["23.cv2"], "ram", True)
    assert (config.epochs, config.name, config.conf, config.classes) == (3, "a,b", None, [0])


def test_replacing_the_dataset_of_a_recipe() -> None:
    assert compose(["experiment=smoke", "data=coco8"]).data.shapes is None


def test_the_command_line_wins_over_a_recipe() -> None:
    config = compose(["experiment=yolo26_m", "epochs=3", "model=yolo26s"])
    assert (config.epochs, config.mixup, config.model.name) == (3, 0.427, "yolo26s")


def test_all_problems_at_once() -> None:
    found = problems("epoch=5", "lr0=abc", "batch=x", "cluster.device=tpu", "epochs=[1", "lrf=0.1,0.2", "resume=true")
    assert set(found) == {"epoch", "lr0", "batch", "cluster.device", "epochs", "lrf", "resume"}
    assert found["lr0"] == "'abc' | write a number"
    assert found["cluster.device"] == "'tpu' | write one of auto, cuda, cpu"


@pytest.mark.parametrize("word", ["foo", "Slurm", "local,slurm", "null", ""])
def test_who_starts_the_nodes_is_a_choice_and_no_free_text(word: str) -> None:
    found = problems(f"cluster.launcher={word}", "lr0=abc")
    assert set(found) == {"cluster.launcher", "lr0"}
    assert "one of local, slurm" in found["cluster.launcher"]


def test_an_unknown_launcher_of_a_recipe_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHER", "foo")
    (tmp_path / "experiment").mkdir()
    for name, value in (("plain", "foo"), ("named", "${oc.env:LAUNCHER}")):
        text = f"# @package _global_\ncluster:\n  launcher: {value}\n"
        (tmp_path / "experiment" / f"{name}.yaml").write_text(text)
    [(key, text)] = problems("--config-dir", str(tmp_path), "experiment=plain").items()
    assert (key, text) == (f"{tmp_path}/experiment/plain.yaml:3", "cluster.launcher: 'foo' | write one of local, slurm")
    [(key, text)] = problems("--config-dir", str(tmp_path), "experiment=named").items()
    assert (key, text) == ("cluster.launcher", "'foo' | write one of local, slurm")


@pytest.mark.parametrize(
    ("argv", "key", "text"),
    [
        (["logger.wandb.project=x"], "logger.wandb.project", "logger=wandb"),
        (["logger.mlflow.name=x"], "logger.mlflow.name", "logger=mlflow"),
        (["trial.number=3"], "trial.number", "a search writes it"),
        (["data=coco8", "data.shapes.seed=1"], "data.shapes.seed", "data=shapes"),
        (["data=custom"], "data.name", "not given"),
        (["lr0=0.1,0.2"], "lr0", "train -m"),
        (["-m", "lr0=0.1,0.2"], "--multirun", "one config is wanted"),
        (["--config-dir", "/no/such"], "--config-dir", "no folder"),
        (["--config-name", "nothing"], "config", "nothing"),
        (["name=${model.nam}${model.name}"], "name", "model.nam"),
        (["experiment=my/experiment/parts.yaml"], "experiment", "write --config-dir my experiment=parts"),
        (["experiment=smok"], "experiment", "did you mean experiment=smoke? there are coco_scratch, "),
        (["--config-path", "conf"], "--config-path", "write --config-dir FOLDER"),
        (["-cp=conf"], "-cp", "write --config-dir FOLDER"),
    ],
)
def test_problems_that_hydra_would_say_otherwise(argv: list[str], key: str, text: str) -> None:
    assert text in problems(*argv)[key]


def test_configs_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nepochs: 7\n")
    (tmp_path / "model" / "ours.yaml").write_text("name: ours\ntask: detect\narchitecture: ours.yaml\n")
    config = compose(["--config-dir", str(tmp_path), "experiment=mine", "model=ours"])
    assert (config.epochs, config.model.name) == (7, "ours")


def test_this_machines_own_settings_are_optional(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "default.yaml").write_text("# @package _global_\npaths:\n  cache: /scratch\n")
    assert compose(["--config-dir", str(tmp_path)]).paths.cache == "/scratch"


def test_composing_imports_nothing_heavy() -> None:
    code = """
import sys
from yoloscale.config.compose.hydra import compose
from yoloscale.config.resolve import resolve
from yoloscale.backends.check import validate
validate(resolve(compose([])))
print([name for name in ("torch", "ultralytics", "wandb", "numpy", "cv2") if name in sys.modules])
"""
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert done.stdout.strip() == "[]", done.stderr
