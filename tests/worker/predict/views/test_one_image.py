"""`run.predictions()` and `run.results(index)`: what a script gets of a run that predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.worker.predict.prediction_runs import CONF, IMGSZ, config_of, make_run, write_images
from tests.yolo.inference.models import SUFFIXES, write_model

from yoloscale.api import Run
from yoloscale.config.freeze import freeze, load
from yoloscale.config.schema import Config, PredictConfig
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT, SETTING_UP
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.errors import ConfigError
from yoloscale.exit_codes import FINISHED
from yoloscale.predictions import parts
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.predict.predict import predict


def predicted(weights: Path, folder: Path, images: int = 3) -> RunDirectory:
    """A run that has finished, with the bits of `YOLO.predict`, units of two; one file is no image."""
    source = write_images(folder / "images", images)
    (source / "no.png").write_text("no image")
    config = config_of(weights, source, unit=2)
    config.predict.exact = True
    run = make_run(folder / "run", config)
    assert predict(load(run.config, of=PredictConfig), run, Ranks(), 1, StopRequests()) == FINISHED
    HEARTBEAT.is_settled = False
    HEARTBEAT.at(SETTING_UP)
    return run


def alone(weights: Path, image: Path) -> Any:
    from ultralytics import YOLO

    [result] = YOLO(weights).predict(image, imgsz=IMGSZ, conf=CONF, retina_masks=True, verbose=False)
    return result


def test_results_are_those_of_yolo_predict(weights: Path, tmp_path: Path) -> None:
    run = Run(predicted(weights, tmp_path).path)
    theirs = alone(weights, tmp_path / "images/0002.png")
    ours = run.results(2)
    assert np.array_equal(ours.boxes.data.numpy(), theirs.boxes.data.numpy())
    assert len(ours.boxes) > 0
    assert np.array_equal(ours.orig_img, theirs.orig_img)
    assert ours.names == theirs.names
    assert ours.path == theirs.path
    assert ours.verbose() == theirs.verbose()


@pytest.mark.long
@pytest.mark.parametrize("task", ["segment", "pose", "obb", "classify", "semantic", "depth"])
def test_results_of_other_tasks(task: str, tmp_path: Path) -> None:
    weights = write_model(tmp_path / "m.pt", f"yolo26n{SUFFIXES[task]}.yaml", imgsz=IMGSZ)
    source = predicted(weights, tmp_path)
    ours, theirs = Run(source.path).results(1), alone(weights, tmp_path / "images/0001.png")
    pairs = {name: (getattr(ours, name), getattr(theirs, name)) for name in ours._keys}
    assert any(other is not None for _, other in pairs.values())
    for name, (one, other) in pairs.items():
        assert (one is None) == (other is None), name
        if one is not None and name != "masks":  # without retina_masks ours are those of the network's input
            assert np.allclose(one.data.numpy(), other.data.numpy(), atol=1e-4), name
    assert ours.plot().shape == theirs.orig_img.shape


def test_predictions_are_a_frame_of_all_rows(weights: Path, tmp_path: Path) -> None:
    run = Run(predicted(weights, tmp_path).path)
    frame = run.predictions().select("index", "status", "error").collect()
    assert frame["index"].to_list() == [0, 1, 2, 3]
    assert frame["status"].to_list() == ["ok", "ok", "ok", "unreadable"]
    assert frame["error"][3]


def test_what_cannot_be_had(weights: Path, tmp_path: Path) -> None:
    folder = predicted(weights, tmp_path)
    run = Run(folder.path)
    with pytest.raises(ConfigError, match="write 0 to 3: the run has 4 images"):
        run.results(4)
    with pytest.raises(ConfigError, match="write 0 to 3"):
        run.results(-1)
    with pytest.raises(ConfigError, match=r"image 3 .*no\.png\) is unreadable: "):
        run.results(3)
    (tmp_path / "images/0000.png").unlink()
    with pytest.raises(ConfigError, match="cannot be read any more: there is no such file"):
        run.results(0)
    parts.path(folder.path, 0).unlink()
    with pytest.raises(ConfigError, match="image 1 is of unit 0, which is not done yet"):
        run.results(1)
    parts.path(folder.path, 1).unlink()
    with pytest.raises(ConfigError, match="run has no predictions yet"):
        run.predictions()
    freeze(Config(), folder.config)
    for ask in (run.predictions, lambda: run.results(0)):
        with pytest.raises(ConfigError, match="run does not predict, it is a run of train"):
            ask()
