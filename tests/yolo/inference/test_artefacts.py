"""Exported artefacts: their own task, names, size and batch; the answers of YOLO.predict."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.long]

Export = Callable[..., Path]
EXPORT = "import json, sys; from ultralytics import YOLO; print(YOLO(sys.argv[1]).export(**json.loads(sys.argv[2])))"
PACKAGES = {"torchscript": (), "onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",)}


@pytest.fixture(scope="module", autouse=True)
def _threads_of_openvino() -> None:
    """Its import starts one that stays for the life of the process."""
    if importlib.util.find_spec("openvino") is not None:
        importlib.import_module("openvino")


@pytest.fixture
def export(weights_of: Callable[[str], Path], tmp_path: Path) -> Export:
    def make(task: str, kind: str, **options: Any) -> Path:
        if missing := [name for name in PACKAGES[kind] if importlib.util.find_spec(name) is None]:
            pytest.skip(f"pip install {' '.join(missing)}")
        weights = tmp_path / f"{task}.pt"
        weights.write_bytes(weights_of(task).read_bytes())
        arguments = {"format": kind, "imgsz": 96, "verbose": False, **options}
        command = [sys.executable, "-c", EXPORT, str(weights), json.dumps(arguments)]  # some leave threads behind
        return Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])

    return make


def _answers(path: Path, pictures: list[Path], **settings: Any) -> tuple[Any, list[Any]]:
    from yoloscale.worker.predict.batches import batches
    from yoloscale.yolo.inference.pictures import decode
    from yoloscale.yolo.inference.predictor import Predictor
    from yoloscale.yolo.inference.settings import InferenceSettings

    predictor = Predictor(path, InferenceSettings(**settings), "cpu")
    images = [predictor.prepare(decode(picture.read_bytes(), picture.name)) for picture in pictures]
    answers: dict[int, Any] = {}
    places = range(len(images))
    for group in batches(places, lambda place: images[place].shape, predictor.batch, most_waiting=len(images)):
        answers |= dict(zip(group, predictor.predict([images[place] for place in group]), strict=True))
    return predictor, [answers[place] for place in range(len(images))]


@pytest.mark.parametrize("kind", PACKAGES)
@pytest.mark.parametrize("task", ["detect", "segment", "classify", "obb", "pose", "semantic", "depth"])
def test_as_ultralytics_runs_them(task: str, kind: str, export: Export, pictures: list[Path]) -> None:
    from ultralytics import YOLO

    from yoloscale.predictions import rle

    path = export(task, kind)
    predictor, answers = _answers(path, pictures, conf=0.05, iou=0.3)
    model = YOLO(path)
    assert predictor.task.value == task
    assert predictor.imgsz == (96, 96)
    assert predictor.batch == 1
    for picture, mine in zip(pictures, answers, strict=True):
        theirs = model.predict(str(picture), conf=0.05, iou=0.3, imgsz=96, verbose=False)[0]
        assert predictor.names == theirs.names
        if theirs.boxes is not None:
            assert np.array_equal(mine.boxes, theirs.boxes.xyxy.numpy())
            assert np.array_equal(mine.scores, theirs.boxes.conf.numpy())
        if theirs.masks is not None:
            assert len(mine.masks) == len(theirs.masks.data)
            assert rle.decode(mine.masks[0]["counts"], *theirs.orig_shape).shape == theirs.orig_shape
        if theirs.keypoints is not None:
            assert np.array_equal(mine.keypoints, theirs.keypoints.data.numpy())
        if theirs.obb is not None:
            assert np.array_equal(mine.obb, theirs.obb.xywhr.numpy())
        if theirs.probs is not None:
            assert np.array_equal(mine.probs, theirs.probs.data.numpy())
        if theirs.semantic_mask is not None:
            assert np.array_equal(mine.map, theirs.semantic_mask.data.numpy())
        if theirs.depth is not None:
            assert np.array_equal(mine.map, theirs.depth.data.numpy())


@pytest.mark.parametrize("kind", PACKAGES)
def test_a_fixed_batch_is_used_as_it_is(kind: str, export: Export, pictures: list[Path]) -> None:
    predictor, answers = _answers(export("detect", kind, batch=2), pictures, conf=0.05)
    assert predictor.batch == 2
    _, alone = _answers(export("detect", kind), pictures, conf=0.05)
    for one, other in zip(answers, alone, strict=True):
        assert np.allclose(np.sort(one.scores), np.sort(other.scores), atol=1e-5)


def test_what_is_fixed_in_it_is_found_out(export: Export, pictures: list[Path]) -> None:
    from yoloscale.errors import ConfigError

    path = export("detect", "torchscript", nms=False)
    with pytest.raises(ConfigError, match=r"max_det: 301, but detect\.torchscript gives the 189 best of an image"):
        _answers(path, pictures, max_det=301)
    with pytest.raises(ConfigError, match=r"quantize: 16, but detect\.torchscript was exported for fp32"):
        _answers(path, pictures, quantize=16)
    assert _answers(path, pictures[:1])[0].precision == "fp32"


def test_another_size_or_task_is_refused(export: Export) -> None:
    from yoloscale.config.schema import Task
    from yoloscale.errors import ConfigError
    from yoloscale.yolo.inference.predictor import Predictor
    from yoloscale.yolo.inference.settings import InferenceSettings

    path = export("detect", "torchscript")
    for settings, message in (
        ({"imgsz": 160}, "imgsz: 160×160, but the artefact was exported for 96×96 only"),
        ({"task": Task.pose}, "task: pose, but detect.torchscript is a model for detect"),
        ({"augment": True}, "augment: true, but detect.torchscript is an exported artefact"),
        ({"embed": (3,)}, "embed: given, but"),
        ({"nms": False}, "nms: false, but detect.torchscript is an exported artefact with the other head"),
    ):
        with pytest.raises(ConfigError, match=message):
            Predictor(path, InferenceSettings(**settings), "cpu")
    assert Predictor(path, InferenceSettings(imgsz=96, task=Task.detect), "cpu").imgsz == (96, 96)


def test_what_is_in_the_graph_is_not_asked_for(export: Export, pictures: list[Path]) -> None:
    from ultralytics import YOLO

    from yoloscale.errors import ConfigError

    path = export("detect", "torchscript", nms=True)
    for settings in ({"iou": 0.3}, {"agnostic_nms": True}, {"conf": 0.1}):
        with pytest.raises(ConfigError, match="with NMS in its graph"):
            _answers(path, pictures, **settings)
    _, answers = _answers(path, pictures)
    model = YOLO(path)
    for picture, mine in zip(pictures, answers, strict=True):
        theirs = model.predict(str(picture), imgsz=96, verbose=False)[0]
        assert np.array_equal(mine.boxes, theirs.boxes.xyxy.numpy())


@pytest.mark.parametrize("kind", PACKAGES)
def test_a_dynamic_one_takes_rectangles_and_other_sizes(kind: str, export: Export, pictures: list[Path]) -> None:
    from ultralytics import YOLO

    path = export("detect", kind, dynamic=True)
    for imgsz in (None, 160):
        predictor, answers = _answers(path, pictures, conf=0.05, imgsz=imgsz)
        assert predictor.imgsz == ((96, 96) if imgsz is None else (160, 160))
        model = YOLO(path)
        for picture, mine in zip(pictures, answers, strict=True):
            theirs = model.predict(str(picture), conf=0.05, imgsz=imgsz or 96, verbose=False)[0]
            assert np.array_equal(mine.scores, theirs.boxes.conf.numpy())
