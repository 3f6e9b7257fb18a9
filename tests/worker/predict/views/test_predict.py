"""A rank that predicts and makes views of what it has found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.worker.predict.prediction_runs import config_of, make_run, write_images

from yoloscale.config.freeze import freeze, load
from yoloscale.config.schema import PredictConfig, View
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT, SETTING_UP
from yoloscale.engine.stop_requests import Stop, StopRequests
from yoloscale.exit_codes import FINISHED, STOPPED
from yoloscale.predictions import parts
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.predict import predict as program
from yoloscale.worker.predict.views import make, unit


@pytest.fixture
def run(weights: Path, tmp_path: Path) -> Iterator[RunDirectory]:
    images = write_images(tmp_path / "images", 5)
    config = config_of(weights, images, unit=2)
    config.predict.save = list(View)
    yield make_run(tmp_path / "run", config)
    HEARTBEAT.is_settled = False
    HEARTBEAT.at(SETTING_UP)


def work(run: RunDirectory, requests: StopRequests | None = None) -> int:
    return program.predict(load(run.config, of=PredictConfig), run, Ranks(), 1, requests or StopRequests())


def test_views_are_there_before_the_run_has_finished(run: RunDirectory) -> None:
    assert work(run) == FINISHED
    result = json.loads(run.result.read_text())
    rows = parts.scan(run.path).collect()
    found = rows["status"].to_list().count("ok")
    assert result["views"]["pictures"] == len(list((run.path / "pictures").glob("000?.jpg"))) == 5
    assert result["views"]["labels"] == len(list((run.path / "labels").glob("*.txt"))) == found > 0
    assert result["views"]["coco"] == result["detections"]
    assert result["views"]["crops"] == len(list((run.path / "crops").rglob("*.jpg"))) > found
    coco = json.loads((run.path / "coco.json").read_text())
    assert len(coco["annotations"]) == result["detections"]
    assert not (run.path / "views.part").exists()
    assert not (run.path / "claims").exists()


def test_stopped_while_views_are_made_it_goes_on_there(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    requests, picture_file = StopRequests(), unit.picture_file

    def draw(*arguments: object) -> bytes:
        if not list(run.path.glob("views.part/*/done/000002.json")):
            return picture_file(*arguments)  # type: ignore[arg-type]
        requests.ask(Stop.terminate, "SIGTERM")
        return picture_file(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(unit, "picture_file", draw)
    assert work(run, requests) == STOPPED
    assert not run.result.exists()
    assert len(parts.done(run.path)) == 3
    assert 0 < len(list((run.path / "pictures").glob("*.jpg"))) < 5
    monkeypatch.setattr(unit, "picture_file", picture_file)
    monkeypatch.setattr(program, "open_predictor", lambda *_: pytest.fail("no model is needed for views"))
    assert work(run) == FINISHED
    assert len(list((run.path / "pictures").glob("*.jpg"))) == 5


def test_images_that_have_gone_are_told_of_once(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    make_views = make.make_views

    def lose_an_image(*arguments: object) -> object:
        (run.path.parent / "images/0003.png").unlink()
        return make_views(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(program, "make_views", lose_an_image)
    assert work(run) == FINISHED
    [warning] = [event.message for event in events.history(run) if isinstance(event, events.Warned)]
    assert warning.startswith("1 predicted images have no picture or crops, the first is 3 (")
    assert json.loads(run.result.read_text())["views"]["skipped_first"][0]["reason"] == "there is no such file"


def test_without_views_there_are_none(run: RunDirectory) -> None:
    config = load(run.config, of=PredictConfig)
    config.predict.save = []
    freeze(config, run.config)
    assert work(run) == FINISHED
    assert "views" not in json.loads(run.result.read_text())
    assert not [name for name in ("labels", "coco.json", "views.part") if (run.path / name).exists()]
