"""`yoloscale.predict` and `yoloscale.val`: a run in the background, like that of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.finished_weights import write_images, write_weights

import yoloscale
from yoloscale.config.freeze import load
from yoloscale.config.schema import PredictConfig, ValConfig
from yoloscale.runs.directory import RunDirectory


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLOSCALE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("yoloscale.launch.here.run_in_background", lambda taken: taken.release())
    write_weights(tmp_path / "mine, own.pt")
    write_images(tmp_path / "a=b, c", 2)
    write_images(tmp_path / "more", 1)


def test_sources_are_data_whatever_characters_they_hold(tmp_path: Path) -> None:
    weights = tmp_path / "mine, own.pt"
    run = yoloscale.predict(["a=b, c", tmp_path / "more"], "device=cpu", model=weights, conf=0.5, predict={"unit": 2})
    config = load(RunDirectory(run.path).config, of=PredictConfig)
    assert config.source == ["a=b, c", str(tmp_path / "more")]
    assert (config.conf, config.predict.unit, config.origin.images) == (0.5, 2, 3)
    assert config.model.weights == str(weights)
    typed = yaml.safe_load(RunDirectory(run.path).overrides.read_text())
    assert typed[0] == "device=cpu"
    assert yoloscale.predict("more", model=weights, name="one", device="cpu").name == "one"


def test_all_problems_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(yoloscale.ConfigError) as refused:
        yoloscale.predict("more", model="mine, own.pt", iou=7, max_det=0, device="cpu")
    assert {problem.key for problem in refused.value.problems} == {"iou", "max_det"}
    with pytest.raises(yoloscale.ConfigError, match="yoloscale predict --node-rank K"):
        yoloscale.predict(
            "more", model="mine, own.pt", device="cpu", cluster={"nodes": 2, "rdzv_endpoint": "host0:29500"}, name="x"
        )
    assert not (tmp_path / "runs").exists()


def test_an_evaluation_is_a_run_of_its_own_kind(tmp_path: Path) -> None:
    write_images(tmp_path / "set" / "images", 2)
    (tmp_path / "set" / "labels").mkdir()
    for number in range(2):
        (tmp_path / "set" / "labels" / f"{number:03}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "set.yaml").write_text("path: set\ntrain: images\nval: images\nnames: {0: thing}\n")
    run = yoloscale.val(model="mine, own.pt", data="set.yaml", device="cpu")
    config = load(RunDirectory(run.path).config, of=ValConfig)
    assert (config.kind, config.split, config.batch) == ("val", "val", 16)
    assert run.status().kind == "val"
