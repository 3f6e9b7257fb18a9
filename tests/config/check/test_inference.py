"""Rules of prediction and evaluation, asked as a launcher asks: by the config's kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from yoloscale.backends.check import validate
from yoloscale.config.check.inference import remarks
from yoloscale.config.resolve import resolve
from yoloscale.config.schema import (
    ClusterConfig,
    DataConfig,
    DebugConfig,
    Device,
    LoggerConfig,
    MlflowConfig,
    ModelConfig,
    PathsConfig,
    PredictConfig,
    PredictSection,
    RunConfig,
    ShapesConfig,
    Task,
    ValConfig,
    View,
    WandbConfig,
)
from yoloscale.config.tasks import LabelKind
from yoloscale.system.machine import Machine

CPU = Machine(gpu_count=0, cpus=4, has_bf16=True)
GPUS = Machine(gpu_count=4, cpus=32, has_bf16=True)
MODEL = ModelConfig(task=Task.detect, weights="yolo26n.pt")
BASE: dict[type[RunConfig], RunConfig] = {
    PredictConfig: PredictConfig(model=MODEL, source=["images"]),
    ValConfig: ValConfig(model=MODEL, data=DataConfig(name="coco8", source="coco8.yaml")),
}
KINDS = list(BASE)


def problems(schema: type[RunConfig], machine: Machine = CPU, **values: Any) -> dict[str, str]:
    config = resolve(replace(BASE[schema], **values), machine)
    return {problem.key: f"{problem.found} | {problem.instead}" for problem in validate(config, machine)}


def of_section(**values: Any) -> dict[str, Any]:
    return {"predict": PredictSection(**values)}


@pytest.mark.parametrize("schema", KINDS)
def test_the_defaults_can_start(schema: type[RunConfig]) -> None:
    assert problems(schema) == {}
    assert problems(schema, GPUS) == {}


@pytest.mark.parametrize("schema", KINDS)
@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [
        ("conf", 1.5, 0.4),
        ("iou", -0.1, 0.0),
        ("max_det", 0, 1),
        ("imgsz", 16, 32),
        ("batch", 0, 1),
        ("batch", -1, 16),
        ("classes", "person", [0, 2]),
        ("quantize", 8, 16),
        ("quantize", "w8a16", "fp16"),
        ("quantize", "16bit", "fp32"),
        ("dnn", True, False),
        ("compile", True, False),
        ("compile", "default", False),
        ("name", "a/b", "a b"),
        ("model", ModelConfig(weights="yolov8s-world.pt"), ModelConfig(weights="path/to/mine.pt")),
    ],
)
def test_values_of_both_kinds(schema: type[RunConfig], key: str, wrong: object, right: object) -> None:
    assert list(problems(schema, **{key: wrong})) == [key]
    assert problems(schema, **{key: right}) == {}


@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [
        ("imgsz", [480, 16], [480, 640]),
        ("imgsz", [480], [480, 480]),
        ("imgsz", [480.5, 640], None),
        ("vid_stride", 0, 2),
        ("line_width", 0, 1),
        ("show", True, False),
        ("visualize", True, False),
        ("stream_buffer", True, False),
        ("source", ["0"], ["0.jpg"]),
        ("source", ["images", "rtsp://host/1"], ["images", "video.mp4"]),
        ("source", ["screen"], ["screen.png"]),
        ("source", ["cameras.streams"], ["cameras.txt"]),
        ("source", ["https://youtu.be/abc"], ["https://host/video.mp4"]),
        ("source", ["https://me:secret@host/a.jpg"], ["https://host/a.jpg?x=1"]),
        ("embed", "last", 10),
        ("embed", [True], [10, 16]),
        ("embed", [], None),
    ],
)
def test_values_of_a_prediction(key: str, wrong: object, right: object) -> None:
    assert list(problems(PredictConfig, **{key: wrong})) == [key]
    assert problems(PredictConfig, **{key: right}) == {}


def test_a_login_in_an_address_is_not_shown_either() -> None:
    assert "secret" not in problems(PredictConfig, source=["https://me:secret@host/a.jpg"])["source"]


@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [
        ("unit", 0, 1),
        ("slice", 16, 640),
        ("slice_overlap", 1.0, 0.5),
        ("slice_overlap", -0.1, 0.0),
        ("loaders", 0, 1),
    ],
)
def test_values_of_the_section(key: str, wrong: object, right: object) -> None:
    assert list(problems(PredictConfig, **of_section(**{key: wrong}))) == [f"predict.{key}"]
    assert problems(PredictConfig, **of_section(**{key: right})) == {}


def test_exactness_is_of_fp32_on_cpus() -> None:
    assert problems(PredictConfig, **of_section(exact=True)) == {}
    assert "no other kernels" in problems(PredictConfig, GPUS, **of_section(exact=True))["predict.exact"]
    assert "fp32" in problems(PredictConfig, quantize=16, **of_section(exact=True))["predict.exact"]


@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [
        ("split", "valid", "test"),
        ("fraction", 0.0, 0.5),
        ("fraction", [0.5], [1.0, 7]),
        ("workers", -1, 0),
        ("mask_ratio", 0, 1),
        ("cache", "disc", "disk"),
    ],
)
def test_values_of_an_evaluation(key: str, wrong: object, right: object) -> None:
    assert list(problems(ValConfig, **{key: wrong})) == [key]
    assert problems(ValConfig, **{key: right}) == {}


@pytest.mark.parametrize("schema", KINDS)
@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"logger": LoggerConfig(tensorboard=True)}, "logger.tensorboard"),
        ({"logger": LoggerConfig(wandb=WandbConfig())}, "logger.wandb"),
        ({"logger": LoggerConfig(mlflow=MlflowConfig())}, "logger.mlflow"),
        ({"debug": DebugConfig(trace=True)}, "debug.trace"),
        ({"paths": PathsConfig(code="/code")}, "paths.code"),
        ({"cluster": ClusterConfig(exact_reduce=True)}, "cluster.exact_reduce"),
        ({"cluster": ClusterConfig(sync_bn=True, procs_per_node=1)}, "cluster.sync_bn"),
    ],
)
def test_what_does_something_in_training_only_is_refused(
    schema: type[RunConfig], values: dict[str, Any], key: str
) -> None:
    assert list(problems(schema, **values)) == [key]


@pytest.mark.parametrize("schema", KINDS)
def test_gpus_and_nodes_are_checked_as_for_training(schema: type[RunConfig]) -> None:
    assert "no GPU is visible" in problems(schema, cluster=ClusterConfig(device=Device.cuda))["cluster.device"]
    assert "cluster.gpus" in problems(schema, GPUS, cluster=ClusterConfig(gpus=[7]))
    assert "cluster.rdzv_endpoint" in problems(schema, cluster=ClusterConfig(nodes=2))
    assert "cluster.partition" in problems(schema, cluster=ClusterConfig(partition="gpu"))


@pytest.mark.parametrize("schema", KINDS)
@pytest.mark.parametrize("ranks", [1, 3, 7])
def test_a_batch_need_not_divide_over_the_ranks(schema: type[RunConfig], ranks: int) -> None:
    assert problems(schema, batch=16, cluster=ClusterConfig(procs_per_node=ranks)) == {}


def test_released_weights_are_for_their_task() -> None:
    told = problems(PredictConfig, model=ModelConfig(task=Task.segment, weights="yolo26n.pt"))
    assert told == {"model.task": "'segment', but yolo26n is a model for detect | write model=yolo26n-seg"}


@pytest.mark.parametrize("task", list(Task))
def test_views_and_slices_are_those_that_the_task_can_have(task: Task) -> None:
    model = ModelConfig(task=task, weights="path/to/weights.pt")

    def is_refused(**values: Any) -> bool:
        return bool(problems(PredictConfig, model=model, predict=PredictSection(**values)))

    boxes = task.label_kind not in (LabelKind.masks, LabelKind.depth, LabelKind.folders)
    assert is_refused(save=[View.coco]) == is_refused(save=[View.crops]) == is_refused(slice=640) == (not boxes)
    assert is_refused(save=[View.txt]) == (not boxes and task is not Task.classify)
    assert not is_refused(save=[View.pictures])


def test_of_weights_whose_task_is_not_known_yet_no_view_is_refused() -> None:
    model = ModelConfig(weights="m.onnx")
    assert problems(PredictConfig, model=model, **of_section(save=list(View), slice=640)) == {}


def test_embeddings_stand_alone() -> None:
    assert problems(PredictConfig, embed=10) == {}
    for values in (of_section(save=[View.txt]), of_section(slice=640), {"augment": True}, {"save_txt": True}):
        assert list(problems(PredictConfig, embed=10, **values)) == ["embed"]


def test_slices_are_not_augmented() -> None:
    assert list(problems(PredictConfig, augment=True, **of_section(slice=640))) == ["predict.slice"]


def test_options_of_rendered_data_beside_other_data() -> None:
    data = DataConfig(name="coco8", source="coco8.yaml", shapes=ShapesConfig())
    assert list(problems(ValConfig, data=data)) == ["data.shapes"]


def said(schema: type[RunConfig], machine: Machine = CPU, typed: tuple[str, ...] = (), **values: Any) -> list[str]:
    config = resolve(replace(BASE[schema], **values), machine)
    assert isinstance(config, (PredictConfig, ValConfig))
    return [line.partition("=")[0] for line in remarks(config, typed)]


def test_arguments_that_change_nothing_are_told() -> None:
    assert said(PredictConfig) == said(ValConfig) == said(PredictConfig, GPUS, batch=8) == []
    assert said(PredictConfig, batch=8) == said(PredictConfig, typed=("batch",)) == ["batch"]
    assert said(PredictConfig, line_width=3, show_conf=False) == ["show_conf", "line_width"]
    assert said(PredictConfig, line_width=3, save=True) == []
    assert said(PredictConfig, save_conf=True) == said(ValConfig, save_conf=True) == ["save_conf"]
    assert said(PredictConfig, save_conf=True, save_txt=True) == said(ValConfig, save_conf=True, save_txt=True) == []
    assert said(PredictConfig, retina_masks=True) == ["retina_masks"]
    assert said(PredictConfig, **of_section(slice_overlap=0.3)) == ["predict.slice_overlap"]
    assert said(ValConfig, nms=False, iou=0.5, agnostic_nms=True) == ["agnostic_nms", "iou"]


def test_arguments_that_an_evaluation_does_without_are_told() -> None:
    shapes = DataConfig(name="shapes", source="shapes")
    assert said(ValConfig, cache="ram", typed=("cache",)) == ["cache"]
    assert said(ValConfig, cache="ram", data=shapes) == [], "data=shapes sets it"
    assert said(ValConfig, GPUS, workers=4) == said(ValConfig, GPUS, quantize=16) == []
    assert said(ValConfig, workers=4) == ["workers"]
    assert said(ValConfig, quantize=16) == ["quantize"]
    assert said(ValConfig, quantize=16, model=ModelConfig(task=Task.detect, weights="x.onnx")) == []


@pytest.mark.parametrize("schema", KINDS)
def test_what_an_exported_model_cannot_do(schema: type[RunConfig]) -> None:
    exported = ModelConfig(task=Task.detect, weights="folder/x.onnx")
    assert problems(schema, model=exported) == {}
    assert list(problems(schema, model=exported, augment=True, channels_last=False)) == ["augment", "channels_last"]
    assert "x.onnx is an exported artefact" in problems(schema, model=exported, augment=True)["augment"]
    assert problems(schema, augment=True, channels_last=False) == {}
