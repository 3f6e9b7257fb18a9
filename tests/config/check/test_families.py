"""Models without a trainer here are told by their name, their modules or their class, with the nearest that has one."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
import yaml

from yoloscale.backends.check import validate
from yoloscale.config.check import families
from yoloscale.config.compose import choices
from yoloscale.config.compose.catalog import Catalog, read_catalog
from yoloscale.config.resolve import resolve
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError
from yoloscale.system.machine import Machine

CPU = Machine(gpu_count=0, cpus=4, has_bf16=True)


@pytest.mark.parametrize(
    ("word", "family", "nearest"),
    [
        ("yolov8s-world", "YOLO-World", "model=yolov8s, or model=yolo26s"),
        ("yolov8x-worldv2.pt", "YOLO-World", "model=yolov8x, or model=yolo26x"),
        ("yolov8m-world.yaml", "YOLO-World", "model=yolov8m"),
        ("yoloe-26n.yaml", "YOLOE", "model=yolo26n"),
        ("yoloe-11l-seg", "YOLOE", "model=yolo11l-seg, or model=yolo26l-seg"),
        ("models/yoloe-v8s-seg-pf.pt", "YOLOE", "model=yolov8s-seg"),
        ("sam_b.pt", "SAM", "model=yolo26n-seg"),
        ("sam2.1_t.pt", "SAM", "model=yolo26n-seg"),
        ("mobile_sam", "SAM", "model=yolo26n-seg"),
        ("FastSAM-x.pt", "FastSAM", "model=yolo26x-seg"),
        ("yolo_nas_m.pt", "YOLO-NAS", "model=yolo26m"),
    ],
)
def test_a_released_name_is_told_the_nearest(word: str, family: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as refused:
        choices.model(word, Catalog({"model": ("yolo26n",)}))
    assert family in str(refused.value)
    assert nearest in str(refused.value)
    config = resolve(Config(), CPU)
    config.model.weights, config.model.architecture = word, None
    assert family in "".join(str(problem) for problem in validate(config, CPU))  # from a recipe


@pytest.mark.parametrize(
    "word", ["hello-world.pt", "sample.pt", "samurai.pt", "yolov8s.pt", "best.pt", "yoloexact.yaml"]
)
def test_other_names_are_nobodys(word: str) -> None:
    assert families.of_name(word) is None


def test_each_installed_architecture_is_trained_or_refused_with_a_reason() -> None:
    installed = read_catalog([]).architectures
    refused = {stem for stem, file in installed.items() if families.of_architecture(file)}
    assert refused == {stem for stem in installed if "world" in stem or "yoloe" in stem}
    assert len(installed) > len(refused) > 5


def test_an_architecture_of_ones_own_is_read(tmp_path: Path) -> None:
    def problem(*modules: str) -> str:
        layers = [[-1, 1, module, [64]] for module in modules]
        file = tmp_path / "own.yaml"
        file.write_text(yaml.safe_dump({"nc": 2, "backbone": layers[:-1], "head": layers[-1:]}))
        return str(families.of_architecture(file) or "")

    assert problem("Conv", "C2f", "Detect") == problem("Conv", "Pose26") == ""
    assert "C2fAttn, a module of YOLO-World" in problem("Conv", "C2fAttn", "Detect")
    assert "YOLOESegment26, a module of YOLOE" in problem("Conv", "YOLOESegment26")
    assert "write Segment26, or one of" in problem("Conv", "Segment25")
    (tmp_path / "own.yaml").write_text("nc: [")
    assert families.of_architecture(tmp_path / "own.yaml") is None


def test_all_heads_of_ultralytics_are_known() -> None:
    """A new one is to be looked at: has its task a trainer here?"""
    from ultralytics.nn import tasks
    from ultralytics.nn.modules import head

    used = {node.id for node in ast.walk(ast.parse(inspect.getsource(tasks.parse_model))) if isinstance(node, ast.Name)}
    heads = {
        name
        for name in used
        if inspect.isclass(getattr(head, name, None)) and vars(head)[name].__module__ == head.__name__
    }
    own = families.WORLD | families.YOLOE
    assert heads - own == families.TRAINED_HEADS
    models = {name for name, value in vars(tasks).items() if inspect.isclass(value) and name.endswith("Model")}
    trained = {
        *("BaseModel", "DetectionModel", "SegmentationModel", "SemanticSegmentationModel", "ClassificationModel"),
        *("PoseModel", "OBBModel", "DepthModel", "RTDETRDetectionModel", "DistillationModel"),
    }
    assert models - trained <= own


@pytest.mark.parametrize(
    ("name", "model_class", "architecture", "task", "said"),
    [
        ("hello.pt", "ultralytics.nn.tasks.WorldModel", {"scale": "m"}, "detect", "write model=yolo26m"),
        ("mine.pt", "ultralytics.nn.tasks.YOLOESegModel", {"scale": "l"}, "segment", "write model=yolo26l-seg"),
        ("yolov5s.pt", "models.yolo.DetectionModel", {"depth_multiple": 0.33}, None, "write model=yolov5su.pt"),
        ("plates.pt", "models.yolo.Model", {}, None, "write model=yolo26n"),
        ("nas.pt", "super_gradients.training.models.YoloNAS_S", {}, None, "write model=yolo26n"),
    ],
)
def test_a_file_is_told_by_its_class(
    name: str, model_class: str, architecture: dict[str, object], task: str | None, said: str
) -> None:
    problem = families.of_weights(Path(name), model_class, architecture, task)
    assert problem is not None
    assert said in str(problem)
    assert name in str(problem)


def test_files_that_are_trained_are_nobodys() -> None:
    for model_class in ("ultralytics.nn.tasks.DetectionModel", "ultralytics.nn.tasks.RTDETRDetectionModel"):
        assert families.of_weights(Path("best.pt"), model_class, {}, "detect") is None
    assert families.of_weights(Path("best.pt"), "mylab.nets.Detector", {}, None) is None  # allow_pickle decides
