"""The answer for an image is what `YOLO(weights).predict` answers for it alone, to the bit, for each task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("one_thread")

Weights = Callable[[str], Path]
TASKS = ("detect", "segment", "pose", "obb", "classify", "semantic", "depth", "rtdetr", "yolo11")
FOUND = ("boxes", "keypoints", "obb", "probs", "semantic_mask", "depth")  # masks: a test of their own


def _theirs(weights: Path, picture: Path, **arguments: Any) -> Any:
    from ultralytics import RTDETR, YOLO

    model = (RTDETR if "rtdetr" in weights.name else YOLO)(weights)
    return model.predict(str(picture), verbose=False, **arguments)[0]


def _ours(weights: Path, pictures: list[Path], **settings: Any) -> Iterator[tuple[Any, Any]]:
    """Our answers, each with the same as Ultralytics' Results."""
    from yoloscale.yolo.inference.pictures import decode
    from yoloscale.yolo.inference.predictor import Predictor
    from yoloscale.yolo.inference.results import results
    from yoloscale.yolo.inference.settings import InferenceSettings

    predictor = Predictor(weights, InferenceSettings(**settings), "cpu")
    for picture in pictures:
        image = decode(picture.read_bytes(), picture.name)
        (prediction,) = predictor.predict([predictor.prepare(image)])
        yield prediction, results(prediction, image, str(picture), predictor.names)


def _compare(weights: Path, pictures: list[Path], settings: dict[str, Any], arguments: dict[str, Any]) -> int:
    """How many objects both found; all that was found is the same to the bit."""
    import torch

    count = 0
    for picture, (prediction, mine) in zip(pictures, _ours(weights, pictures, **settings), strict=True):
        theirs = _theirs(weights, picture, **arguments)
        for name in FOUND:
            one, other = getattr(theirs, name), getattr(mine, name)
            assert (one is None) == (other is None), name
            if one is not None:
                assert torch.equal(one.data, other.data), name
                assert one.data.dtype == other.data.dtype
        assert (prediction.height, prediction.width) == theirs.orig_shape
        assert theirs.names == mine.names
        if theirs.masks is not None:
            masks = _in_source(theirs)
            assert torch.equal(mine.masks.data, masks)
        count += len(prediction.scores) if prediction.scores is not None else 1
    return count


def _with_classes(settings: dict[str, Any], weights: Path, pictures: list[Path]) -> dict[str, Any]:
    """Every other class of those found without a choice of classes."""
    if settings.get("classes") != "some":
        return settings
    others = {name: value for name, value in settings.items() if name not in ("classes", "max_det")}
    classes = {int(number) for found, _ in _ours(weights, pictures, **others) for number in found.classes}
    return {**settings, "classes": tuple(sorted(classes)[::2])}


def _in_source(theirs: Any) -> Any:
    """Their masks, less the padding of the network's input, as nearest neighbours in the source."""
    import torch

    masks, (height, width) = theirs.masks.data, theirs.orig_shape
    high, wide = masks.shape[1:]
    if (high, wide) == (height, width):
        return masks
    gain = min(high / height, wide / width)
    inner = max(round(height * gain), 1), max(round(width * gain), 1)
    top, left = round((high - inner[0]) / 2 - 0.1), round((wide - inner[1]) / 2 - 0.1)
    rows = torch.tensor([top + row * inner[0] // height for row in range(height)])
    columns = torch.tensor([left + column * inner[1] // width for column in range(width)])
    return masks[:, rows][:, :, columns]


@pytest.mark.parametrize("task", TASKS)
def test_as_alone(task: str, weights_of: Weights, pictures: list[Path]) -> None:
    low = {"conf": 0.0005 if task == "rtdetr" else 0.05, "iou": 0.3}
    assert _compare(weights_of(task), pictures, low, low) > 4


@pytest.mark.parametrize(
    "changes",
    [
        {"imgsz": 160},
        {"imgsz": (64, 160)},
        {"rect": False},
        {"classes": "some"},
        {"max_det": 3},
        {"agnostic_nms": True},
        {"nms": False},
        {"nms": False, "agnostic_nms": True, "classes": "some"},
        {"channels_last": False},
        {"conf": 0.99},
    ],
    ids=str,
)
@pytest.mark.parametrize("task", ["detect", pytest.param("segment", marks=pytest.mark.long)])
def test_with_arguments(task: str, changes: dict[str, Any], weights_of: Weights, pictures: list[Path]) -> None:
    settings = _with_classes({"conf": 0.02, "iou": 0.3, **changes}, weights_of(task), pictures)
    theirs = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    count = _compare(weights_of(task), pictures[:3], settings, theirs)
    assert (count == 0) == (settings["conf"] > 0.9)


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("segment", {"retina_masks": True}),
        ("yolo11", {"augment": True}),
        ("semantic", {"classes": (1, 4)}),
        ("rtdetr", {"classes": "some", "max_det": 5, "conf": 0.0005}),
        ("obb", {"nms": False}),
        ("pose", {"nms": False}),
        ("classify", {"imgsz": 64}),
    ],
    ids=str,
)
def test_with_arguments_of_a_task(
    task: str, changes: dict[str, Any], weights_of: Weights, pictures: list[Path]
) -> None:
    settings = _with_classes({"conf": 0.02, "iou": 0.3, **changes}, weights_of(task), pictures)
    theirs = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    assert _compare(weights_of(task), pictures, settings, theirs)


def test_classifier_with_transforms_of_its_own(weights_of: Weights, pictures: list[Path], tmp_path: Path) -> None:
    import torch
    from ultralytics.data.augment import classify_augmentations, classify_transforms

    for name, transforms in {"usual": classify_transforms(96), "other": classify_augmentations(96, hflip=0)}.items():
        content = torch.load(weights_of("classify"), weights_only=False)
        steps = transforms.transforms
        if name == "other":
            from torchvision.transforms import Compose

            transforms = Compose([*classify_transforms(96).transforms, steps[-1].__class__(p=0.0)])
        content["model"].transforms = transforms
        path = tmp_path / f"{name}-cls.pt"
        torch.save(content, path)
        assert _compare(path, pictures, {}, {}) == len(pictures)


def test_a_model_of_grey_images(pictures: list[Path], tmp_path: Path) -> None:
    from tests.yolo.inference.models import write_model
    from ultralytics import YOLO

    from yoloscale.yolo.inference.pictures import decode
    from yoloscale.yolo.inference.predictor import Predictor
    from yoloscale.yolo.inference.settings import InferenceSettings

    weights = write_model(tmp_path / "grey.pt", "yolo26n.yaml", channels=1)
    predictor, model = Predictor(weights, InferenceSettings(conf=0.05), "cpu"), YOLO(weights)
    assert predictor.channels == 1
    for picture in pictures:
        image = decode(picture.read_bytes(), picture.name, predictor.channels)
        (mine,) = predictor.predict([predictor.prepare(image)])
        (theirs,) = model.predict(str(picture), conf=0.05, verbose=False)
        assert np.array_equal(mine.boxes, theirs.boxes.xyxy.numpy())
        assert len(mine.scores)


def test_embedding(weights_of: Weights, pictures: list[Path]) -> None:
    from ultralytics import YOLO

    model = YOLO(weights_of("detect"))
    for picture, (prediction, _) in zip(pictures, _ours(weights_of("detect"), pictures, embed=(4, 9)), strict=True):
        (theirs,) = model.embed(str(picture), embed=[4, 9], verbose=False)
        assert np.array_equal(prediction.embedding, theirs.numpy())
        assert prediction.scores is None


def test_neighbours_and_a_slow_clock_change_nothing(
    weights_of: Weights, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ultralytics' NMS ends after 2 s and 0.05 s an image, and leaves the others' objects out."""
    from ultralytics.utils import nms

    first = [prediction for prediction, _ in _ours(weights_of("detect"), pictures, conf=0.05)]
    ticks = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(nms.time, "time", lambda: float(next(ticks)))
    again = [prediction for prediction, _ in _ours(weights_of("detect"), pictures[::-1], conf=0.05)]
    assert all(one.equals(other) for one, other in zip(first, again[::-1], strict=True))
    assert all(len(one.scores) for one in first)


def test_the_forward_pass_repeats_on_a_gpu_whatever_was_set_before(
    weights_of: Weights, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.backends import cudnn

    from yoloscale.yolo.inference.weights import Weights as Opened

    seen = []
    forward = Opened.__call__

    def look(self: Any, *arguments: Any) -> Any:
        seen.append((cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32))
        return forward(self, *arguments)

    monkeypatch.setattr(Opened, "__call__", look)
    assert len(list(_ours(weights_of("detect"), pictures[:2]))) == 2
    assert seen == [(False, True, True)] * 2


@pytest.mark.gpu
@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb", "classify", "semantic", "yolo11"])
def test_batch_mates_and_their_order_change_no_bit_on_a_gpu(
    task: str, weights_of: Weights, pictures: list[Path]
) -> None:
    """Each image at each place of a batch, beside others and beside blank ones."""
    import itertools

    from yoloscale.yolo.inference.pictures import decode
    from yoloscale.yolo.inference.predictor import Predictor
    from yoloscale.yolo.inference.settings import InferenceSettings

    predictor = Predictor(weights_of(task), InferenceSettings(conf=0.05, rect=False, batch=4), "cuda")
    images = [predictor.prepare(decode(path.read_bytes(), path.name)) for path in pictures[:3]]
    alone = [predictor.predict([image])[0] for image in images]
    for places in itertools.permutations(range(3)):
        together = predictor.predict([images[place] for place in places])
        assert all(alone[place].equals(answer) for place, answer in zip(places, together, strict=True))
    pending = [predictor.forward([image]) for image in images]
    assert all(one.equals(each.results()[0]) for one, each in zip(alone, pending, strict=True))


def test_a_batch_is_filled_with_blank_images(weights_of: Weights, pictures: list[Path]) -> None:
    """As on a GPU: the same objects, to rounding, whatever else is in the batch."""
    from yoloscale.yolo.inference.pictures import decode
    from yoloscale.yolo.inference.predictor import Predictor
    from yoloscale.yolo.inference.settings import InferenceSettings

    for task in ("detect", "segment", "classify"):
        predictor = Predictor(weights_of(task), InferenceSettings(conf=0.1, rect=False), "cpu")
        images = [predictor.prepare(decode(path.read_bytes(), path.name)) for path in pictures[:2]]
        alone = [predictor.predict([image])[0] for image in images]
        predictor._weights.batch = 3
        together = predictor.predict(images)
        assert len(together) == 2
        for one, other in zip(alone, together, strict=True):
            for name in ("probs", "map"):
                if getattr(one, name) is not None and one.map is None:
                    assert np.allclose(getattr(one, name), getattr(other, name), atol=1e-4)
            if one.scores is not None:
                assert np.allclose(np.sort(one.scores), np.sort(other.scores), atol=1e-4)
            if one.map is not None:
                assert np.isclose(one.map, other.map, rtol=1e-3).mean() > 0.99


def test_without_exactness_it_is_equal_to_rounding(weights_of: Weights, pictures: list[Path]) -> None:
    exact = [prediction for prediction, _ in _ours(weights_of("detect"), pictures, conf=0.1)]
    close = [prediction for prediction, _ in _ours(weights_of("detect"), pictures, conf=0.1, exact=False)]
    again = [prediction for prediction, _ in _ours(weights_of("detect"), pictures[::-1], conf=0.1, exact=False)]
    for one, other in zip(exact, close, strict=True):
        assert np.allclose(one.scores, other.scores, rtol=1e-5)
    assert all(one.equals(other) for one, other in zip(close, again[::-1], strict=True))


@pytest.mark.parametrize(
    "task",
    ["detect", *(pytest.param(task, marks=pytest.mark.long) for task in TASKS[1:7])],
)
def test_bfloat16(task: str, weights_of: Weights, pictures: list[Path]) -> None:
    from yoloscale.errors import ConfigError
    from yoloscale.yolo.inference.bfloat import has_bfloat16

    if not has_bfloat16():
        with pytest.raises(ConfigError, match="quantize: 16, but this CPU"):
            next(_ours(weights_of("detect"), pictures, quantize=16))
        return
    exact = [prediction for prediction, _ in _ours(weights_of(task), pictures, conf=0.05)]
    half = [prediction for prediction, _ in _ours(weights_of(task), pictures, conf=0.05, quantize=16)]
    for one, other in zip(exact, half, strict=True):
        if one.scores is not None:
            assert other.scores.dtype == np.float32
            assert abs(len(one.scores) - len(other.scores)) <= 0.2 * len(one.scores) + 3
            assert np.allclose(np.sort(one.scores)[-3:], np.sort(other.scores)[-3:], atol=0.05)
        if one.probs is not None:
            assert np.allclose(one.probs, other.probs, atol=0.02)
            assert other.probs.dtype == np.float32
        if one.map is not None:
            assert one.map.dtype == other.map.dtype


def test_bfloat16_of_rtdetr_is_refused_on_a_cpu(weights_of: Weights, pictures: list[Path]) -> None:
    from yoloscale.errors import ConfigError

    with pytest.raises(ConfigError, match="quantize: 16"):
        next(_ours(weights_of("rtdetr"), pictures, quantize=16))


def test_names_with_quotes_and_spaces(weights_of: Weights, pictures: list[Path], tmp_path: Path) -> None:
    path = tmp_path / 'it\'s $ome "model" .pt'
    path.write_bytes(weights_of("detect").read_bytes())
    expected = [prediction for prediction, _ in _ours(weights_of("detect"), pictures, conf=0.05)]
    assert all(one.equals(other) for one, (other, _) in zip(expected, _ours(path, pictures, conf=0.05), strict=True))


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("detect", {"task": "pose"}, r"task: pose, but detect.pt is a model for detect"),
        ("classify", {"slice": 64}, r"predict.slice: 64, but the model's task is classify"),
        ("detect", {"slice": 64, "slice_overlap": 1.0}, "predict.slice_overlap: 1.0"),
        ("detect", {"slice": 64, "embed": (3,)}, "embed: together with predict.slice"),
        ("detect", {"quantize": 8}, "quantize: 8"),
    ],
)
def test_what_cannot_be_done_is_said(task: str, settings: dict[str, Any], message: str, weights_of: Weights) -> None:
    from yoloscale.config.schema import Task
    from yoloscale.errors import ConfigError
    from yoloscale.yolo.inference.predictor import Predictor
    from yoloscale.yolo.inference.settings import InferenceSettings

    if "task" in settings:
        settings = {**settings, "task": Task(settings["task"])}
    with pytest.raises(ConfigError, match=message):
        Predictor(weights_of(task), InferenceSettings(**settings), "cpu")
