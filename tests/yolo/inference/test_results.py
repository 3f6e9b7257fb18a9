"""A prediction as Ultralytics' Results: drawn and written as its own are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("task", ["detect", *(pytest.param(task, marks=pytest.mark.long) for task in ("pose", "obb"))])
def test_drawn_and_written_as_ultralytics_own(
    task: str, weights_of: Callable[[str], Path], pictures: list[Path], tmp_path: Path
) -> None:
    from ultralytics import YOLO

    from yoloscale.yolo.inference.pictures import decode
    from yoloscale.yolo.inference.predictor import Predictor
    from yoloscale.yolo.inference.results import results
    from yoloscale.yolo.inference.settings import InferenceSettings
    from yoloscale.yolo.runtime import keep_offline

    keep_offline()
    picture = pictures[0]
    image = decode(picture.read_bytes(), picture.name)
    predictor = Predictor(weights_of(task), InferenceSettings(conf=0.05, iou=0.3), "cpu")
    mine = results(predictor.predict([predictor.prepare(image)])[0], image, str(picture), predictor.names)
    (theirs,) = YOLO(weights_of(task)).predict(str(picture), conf=0.05, iou=0.3, verbose=False)
    assert len(mine) > 0
    assert np.array_equal(mine.plot(), theirs.plot())
    assert mine.summary() == theirs.summary()
    mine.save_txt(tmp_path / "mine.txt", save_conf=True)
    theirs.save_txt(tmp_path / "theirs.txt", save_conf=True)
    assert (tmp_path / "mine.txt").read_text() == (tmp_path / "theirs.txt").read_text()


def test_an_image_without_objects(pictures: list[Path]) -> None:
    from yoloscale.yolo.inference.pictures import decode
    from yoloscale.yolo.inference.prediction import Prediction
    from yoloscale.yolo.inference.results import results

    image = decode(pictures[0].read_bytes(), pictures[0].name)
    empty = np.zeros(0, np.float32)
    boxes = np.zeros((0, 4), np.float32)
    prediction = Prediction(*image.shape[:2], boxes=boxes, scores=empty, classes=empty.astype(np.int32), masks=[])
    mine = results(prediction, image, "a.png", {0: "thing"})
    assert prediction.is_empty
    assert mine.boxes is not None
    assert mine.boxes.data.shape == (0, 6)
    assert mine.masks is None
    assert np.array_equal(mine.plot(), image)
