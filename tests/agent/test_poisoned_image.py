"""A prediction with an image that ends whoever predicts it, with the launcher, torchrun's agent and real ranks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.launched import SOURCE
from tests.worker.predict.prediction_runs import write_images
from tests.yolo.inference.models import write_model

HINDERED = Path(__file__).parents[1] / "hindered"
IMAGES = 8


@pytest.mark.long
def test_an_image_that_raises_each_time_is_one_failed_row(tmp_path: Path) -> None:
    """The same exception at every start is no reason to give up: the third one goes image by image."""
    import cv2
    import numpy as np

    write_model(tmp_path / "model.pt", "yolo26n.yaml", imgsz=64)
    write_images(tmp_path / "images", IMAGES)
    assert cv2.imwrite(str(tmp_path / "images" / "0005.png"), np.zeros((40, 99, 3), np.uint8))
    paths = os.pathsep.join(map(str, (HINDERED, SOURCE)))
    environment = {**os.environ, "PYTHONPATH": paths, "YOLOSCALE_CACHE": str(tmp_path / "cache")}
    words = ["predict", "name=x", "model=model.pt", "source=images", "device=cpu", "predict.unit=4", "imgsz=64"]
    command = [sys.executable, "-m", "yoloscale", *words, "cluster.procs_per_node=1"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "runs" / "x" / "result.json").read_text())
    assert (result["images"], result["failed"]) == (IMAGES, 1)
    assert "the image is a teapot" in (tmp_path / "runs" / "x" / "failures.csv").read_text()
