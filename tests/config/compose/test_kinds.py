"""Command lines of `predict` and `val`: what differs from those of `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from yoloscale.config.compose.catalog import read_catalog
from yoloscale.config.compose.flags import split
from yoloscale.config.compose.hydra import assignments, compose_run, leaves_nodes_out, run_hydra_flags
from yoloscale.config.freeze import freeze
from yoloscale.config.locations import configs_folder
from yoloscale.config.schema import (
    Config,
    DataConfig,
    Device,
    PredictConfig,
    RunConfig,
    ShapesConfig,
    Task,
    ValConfig,
    View,
)
from yoloscale.errors import ConfigError


def composed(kind: str, *typed: str, said: list[str] | None = None) -> RunConfig:
    return compose_run(split(typed, kind=kind), None, (said if said is not None else []).append)


def prediction(*typed: str, said: list[str] | None = None) -> PredictConfig:
    config = composed("predict", "model=yolo26n", *typed, said=said)
    assert isinstance(config, PredictConfig)
    return config


def evaluation(*typed: str, said: list[str] | None = None) -> ValConfig:
    config = composed("val", *typed, said=said)
    assert isinstance(config, ValConfig)
    return config


def problems(kind: str, *typed: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as error:
        composed(kind, *typed)
    return {problem.key: f"{problem.found} | {problem.instead}" for problem in error.value.problems}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("source=images", ["images"]),
        ("source=a,b", ["a", "b"]),
        ("source=[a,b]", ["a", "b"]),
        ("source=(a, b)", ["a", "b"]),
        ("source=['a b','c,d']", ["a b", "c,d"]),
        ("source='a,b'", ["a,b"]),
        ("source=path/**/*.jpg", ["path/**/*.jpg"]),
        ("source=it's $(x) {y}", ["it's $(x) {y}"]),
        ("source=https://host/a.jpg?x=1&y=2", ["https://host/a.jpg?x=1&y=2"]),
    ],
)
def test_sources_arrive_as_they_were_typed(typed: str, expected: list[str]) -> None:
    assert prediction(typed).source == expected


def test_a_file_with_a_comma_in_its_name_is_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b.jpg").touch()
    assert prediction("source=a,b.jpg").source == ["a,b.jpg"]


@pytest.mark.parametrize(
    ("typed", "key", "expected"),
    [
        ("conf=0.4", "conf", 0.4),
        ("imgsz=320", "imgsz", 320),
        ("imgsz=(480,640)", "imgsz", [480, 640]),
        ("imgsz=480,640", "imgsz", [480, 640]),
        ("imgsz=None", "imgsz", None),
        ("classes=0,2", "classes", [0, 2]),
        ("embed=10,16", "embed", [10, 16]),
        ("half", "quantize", 16),
        ("end2end=true", "nms", False),
        ("save_crop", "save_crop", True),
        ("retina_masks=True", "retina_masks", True),
        ("line_width=2", "line_width", 2),
    ],
)
def test_arguments_of_yolo_are_taken_as_they_are(typed: str, key: str, expected: object) -> None:
    assert getattr(prediction("source=x", typed), key) == expected


def test_keys_that_ultralytics_has_not() -> None:
    config = prediction("source=x", "predict.save=coco,txt", "predict.slice=640", "predict.unit=8")
    assert (config.predict.save, config.predict.slice, config.predict.unit) == ([View.coco, View.txt], 640, 8)


def test_device_and_task_are_written_as_for_train() -> None:
    config = prediction("source=x", "device=cpu", "task=segment", "project=/tmp/p", "name=n")
    assert (config.cluster.device, config.model.task) == (Device.cpu, Task.segment)
    assert (config.paths.runs, config.name) == ("/tmp/p", "n")


def test_without_weights_or_images_there_is_nothing_to_predict() -> None:
    assert set(problems("predict")) == {"model", "source"}
    assert set(problems("predict", "model=yolo26n")) == {"source"}
    assert "no weights" in problems("predict", "model=default", "source=x")["model"]
    assert "architecture" in problems("predict", "model=yolo26n.yaml", "source=x")["model"]


@pytest.mark.parametrize("name", ["m.onnx", "m.engine", "m.torchscript", "m_openvino_model", "m_ncnn_model"])
def test_an_exported_model_is_one_to_predict_and_evaluate_with(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    for config in (composed("predict", f"model={name}", "source=x"), composed("val", f"model={name}", "data=coco8")):
        assert config.model.weights == str(tmp_path / name), "absolute, as the ranks may start elsewhere"
        assert (config.model.task, config.model.architecture) == (None, None)
    with pytest.raises(ConfigError, match="not trained" if "." in name else "no model known"):
        composed("train", f"model={name}")


def test_an_exported_model_in_a_run_is_not_taken_for_the_run(tmp_path: Path) -> None:
    artefact = tmp_path / "run" / "weights" / "best_openvino_model"
    artefact.mkdir(parents=True)
    (tmp_path / "run" / "job").mkdir()
    for file in ("config.yaml", "weights/best.pt"):
        (tmp_path / "run" / file).touch()
    assert composed("predict", f"model={artefact}", "source=x").model.weights == str(artefact)
    run = composed("predict", f"model={tmp_path / 'run'}", "source=x").model
    assert (run.name, run.weights) == ("run", str(tmp_path / "run" / "weights" / "best.pt"))


@pytest.mark.parametrize(
    ("kind", "typed", "words"),
    [
        ("predict", "epochs=3", "no effect in prediction; it belongs to training"),
        ("predict", "data=coco8.yaml", "the names of the classes are in the weights"),
        ("predict", "workers=3", "predict.loaders"),
        ("predict", "verbose=false", "yoloscale status"),
        ("predict", "format=onnx", "yolo export"),
        ("val", "epochs=3", "no effect in validation; it belongs to training"),
        ("val", "source=x", "yoloscale predict"),
        ("val", "show_labels=false", "yoloscale predict"),
    ],
)
def test_arguments_of_other_commands_are_taken_with_a_line(kind: str, typed: str, words: str) -> None:
    said = list[str]()
    rest = ["source=x"] if kind == "predict" else ["data=coco8"]
    composed(kind, "model=yolo26n", *rest, typed, said=said)
    assert len(said) == 1
    assert words in said[0]


def test_a_copy_of_all_defaults_is_a_file_of_arguments(tmp_path: Path) -> None:
    """As somebody has it who predicts with the arguments of a training; nothing is said of defaults."""
    arguments = {"model": "yolo26n.pt", "source": "x", "mode": "predict", "epochs": 100, "tracker": "tracktrack.yaml"}
    arguments |= {"conf": 0.4, "optimizer": "auto", "format": "torchscript", "data": None, "save_dir": None}
    (tmp_path / "arguments.yaml").write_text(yaml.safe_dump(arguments))
    said = list[str]()
    config = composed("predict", f"cfg={tmp_path / 'arguments.yaml'}", said=said)
    assert isinstance(config, PredictConfig)
    assert (config.conf, config.source, said) == (0.4, ["x"], [])


@pytest.mark.parametrize(
    ("kind", "typed", "key", "words"),
    [
        ("predict", "predict.unt=3", "predict.unt", "predict.unit"),
        ("predict", "cnf=3", "cnf", "did you mean conf"),
        ("predict", "checkpoint.keep=3", "checkpoint.keep", "yoloscale predict --cfg job"),
        ("predict", "sweep=tpe", "sweep", "yoloscale predict"),
        ("predict", "experiment=smoke", "experiment", ""),
        ("predict", "augmentations=x.yaml", "augmentations", "augment"),
        ("predict", "conf=a", "conf", "a number"),
        ("predict", "imgsz=320 conf=0.1,0.2", "conf", "several values | write one (a number or null)"),
        ("predict", "mode=train", "mode", "yoloscale predict"),
        ("predict", "resume=true", "resume", "yoloscale resume RUN"),
        ("val", "predict.unit=3", "predict.unit", ""),
        ("val", "splt=test", "splt", "split"),
    ],
)
def test_what_cannot_be_is_told_in_the_words_of_the_verb(kind: str, typed: str, key: str, words: str) -> None:
    rest = ["source=x"] if kind == "predict" else ["data=coco8"]
    told = problems(kind, "model=yolo26n", *rest, *typed.split())
    assert list(told) == [key]
    assert words in told[key]
    assert "yoloscale train" not in told[key]


@pytest.mark.parametrize("flag", ["-m", "--multirun"])
@pytest.mark.parametrize("kind", ["predict", "val"])
def test_there_are_no_sweeps(kind: str, flag: str) -> None:
    told = problems(kind, "model=yolo26n", "source=x" if kind == "predict" else "data=coco8", flag)
    assert told == {"--multirun": f"a sweep, where one config is wanted | leave it out: {kind} has no sweeps; type a "
                    "command for each"}  # fmt: skip
    assert "no sweeps" in problems(kind, "model=yolo26n", "source=x", "hydra.mode=MULTIRUN")["hydra.mode"]


def test_an_evaluation_without_a_dataset_has_that_of_its_run(tmp_path: Path) -> None:
    weights = tmp_path / "mine" / "weights" / "best.pt"
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert "write data=" in problems("val", f"model={weights}")["data"]
    data = DataConfig(name="shapes", source="shapes", shapes=ShapesConfig(train_images=8, seed=3))
    (weights.parent.parent / "job").mkdir()
    freeze(Config(data=data), weights.parent.parent / "config.yaml")
    for model in (weights, weights.parent.parent):
        said = list[str]()
        assert evaluation(f"model={model}", said=said).data == data
        assert said == [f"data=shapes: what {weights} was trained on"]
    other = evaluation(f"model={weights}", "data=coco8").data
    assert (other.name, other.source, other.shapes) == ("coco8", "coco8.yaml", None)


def test_what_lies_above_a_folder_of_weights_of_ones_own_is_a_strangers(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "weights").mkdir()
    for folder in ("models", "weights"):
        (tmp_path / folder / "best.pt").touch()
    (tmp_path / "config.yaml").write_text("data: {source: elsewhere.yaml}\n")
    assert "not given" in problems("val", f"model={tmp_path / 'weights' / 'best.pt'}")["data"]
    freeze(Config(), tmp_path / "config.yaml")
    (tmp_path / "args.yaml").write_text("data: coco8.yaml\n")
    assert "not given" in problems("val", f"model={tmp_path / 'models' / 'best.pt'}")["data"]


def test_an_evaluation_of_a_run_of_ultralytics_has_its_dataset(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "best.pt").touch()
    (tmp_path / "args.yaml").write_text("data: coco8.yaml\nimgsz: 320\n")
    assert evaluation(f"model={tmp_path / 'weights' / 'best.pt'}").data == DataConfig(name="coco8", source="coco8.yaml")


def test_sizes_of_an_evaluation_are_squares() -> None:
    said = list[str]()
    assert evaluation("model=yolo26n", "data=coco8", "imgsz=320,640", said=said).imgsz == 640
    assert said == ["imgsz=320,640: validation takes squares, of the larger side, as `yolo val` does: imgsz=640"]


def test_groups_are_those_of_the_kind() -> None:
    folders = [configs_folder()]
    assert set(read_catalog(folders, "predict").groups) == {"model", "cluster", "logger", "debug", "paths"}
    assert set(read_catalog(folders, "val").groups) == {"data", "model", "cluster", "logger", "debug", "paths"}
    assert {"sweep", "experiment", "checkpoint"} <= set(read_catalog(folders).groups)


def test_recipes_of_ones_own_are_checked_by_the_keys_of_the_kind(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "ours.yaml").write_text("# @package _global_\nepochs: 3\ncluster:\n  nodse: 2\n")
    told = problems("predict", "model=yolo26n", "source=x", "--config-dir", str(tmp_path), "cluster=ours")
    assert [key.rpartition(":")[2] for key in told] == ["2", "4"]
    assert "belongs to training" in next(iter(told.values()))


@pytest.mark.parametrize("kind", ["predict", "val"])
def test_cfg_job_prints_the_keys_of_the_kind(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_hydra_flags(split(["--cfg", "job"], kind=kind)) == 0
    shown: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    assert shown["iou"] == 0.7
    assert ("predict" in shown, "data" in shown) == (kind == "predict", kind == "val")
    assert not {"epochs", "checkpoint", "sweep", "kind"} & set(shown)


@pytest.mark.parametrize("kind", ["predict", "val"])
def test_help_is_of_the_kind_and_short(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_hydra_flags(split(["--help"], kind=kind)) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: yoloscale {kind} ")
    assert len(shown.splitlines()) < 40
    assert all(len(line) <= 120 for line in shown.splitlines())


def test_what_is_typed_about_a_frozen_run_has_the_types_of_its_kind() -> None:
    line = split(["predict.save=[txt]", "conf=0.4", "cluster.procs_per_node=3"], kind="predict")
    assert assignments(line) == [("predict.save", [View.txt]), ("conf", 0.4), ("cluster.procs_per_node", 3)]


def test_whether_nodes_are_said_is_told_for_every_kind() -> None:
    assert leaves_nodes_out(split(["model=yolo26n", "source=x"], kind="predict"))
    assert not leaves_nodes_out(split(["model=yolo26n", "source=x", "cluster.nodes=1"], kind="predict"))


def test_kinds_do_not_disturb_each_other() -> None:
    """Hydra keeps the schemas of a process in one place."""
    first = prediction("source=x")
    assert isinstance(composed("train"), Config)
    assert prediction("source=x") == first
    assert evaluation("model=yolo26n", "data=coco8").kind == "val"
