"""The arithmetic of scripts/parity.py; and one comparison, on images of several shapes."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests import mixed_images

SCRIPT = Path(__file__).parents[2] / "scripts" / "parity.py"


@pytest.fixture(scope="module")
def parity() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["parity"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    del sys.modules["parity"]
    return module


def test_mean_and_deviation_are_those_of_a_sample(parity: ModuleType) -> None:
    found = parity.summary([1.0, 2.0, 3.0])
    assert (found.mean, found.deviation) == (2.0, 1.0)
    assert math.isnan(parity.summary([1.0]).deviation)


def test_a_difference_is_counted_in_pooled_deviations(parity: ModuleType) -> None:
    ours, yolo = parity.Summary(0.50, 0.01), parity.Summary(0.53, 0.02)
    assert parity.difference_in_deviations(ours, yolo) == pytest.approx(-0.03 / math.sqrt((1e-4 + 4e-4) / 2))
    assert math.isnan(parity.difference_in_deviations(parity.Summary(1, 0), parity.Summary(2, 0)))
    assert math.isnan(parity.difference_in_deviations(parity.Summary(1, math.nan), yolo))


def test_the_metric_is_the_tasks_own(parity: ModuleType) -> None:
    boxes = {"metrics/mAP50(B)": 0.9, "metrics/mAP50-95(B)": 0.5, "fitness": 0.51}
    assert parity.main_metric(boxes) == 0.5
    assert parity.main_metric({**boxes, "metrics/mAP50-95(M)": 0.4, "fitness": 0.9}) == 0.4
    assert parity.main_metric({"metrics/accuracy_top1": 0.7, "fitness": 0.7}) == 0.7


def test_reported_metrics_are_compared_one_by_one(parity: ModuleType) -> None:
    reported = {"metrics/mAP50(B)": 0.9, "metrics/recall(B)": 0.4, "val/box_loss": 3.0}
    assert parity.largest_difference(reported, {"metrics/mAP50(B)": 0.9, "metrics/recall(B)": 0.3}) == pytest.approx(
        0.1
    )
    with pytest.raises(AssertionError, match="no metric in common"):
        parity.largest_difference(reported, {"val/box_loss": 3.0})


def test_the_report_shows_both_sides_by_seed(parity: ModuleType) -> None:
    ours = [parity.Outcome(0, 0.5, 40.0, 0.5, 0.0), parity.Outcome(1, 0.52, 40.0, 0.52, 0.002)]
    yolo = [parity.Outcome(0, 0.51, 15.0), parity.Outcome(1, 0.55, 15.0)]
    found = parity.report(ours, yolo)
    assert found["reported_against_validated"] == 0.002
    assert found["difference"] == pytest.approx(-0.02)
    said = "\n".join(parity.lines(found))
    assert "     1      0.5200      0.5500" in said
    assert "difference -0.0200" in said


@pytest.mark.parametrize("data", ["shapes", "trees"])
def test_its_settings_compose_for_both_data_sets(parity: ModuleType, data: str) -> None:
    from yoloscale.config.compose.hydra import compose

    parsed = parity.arguments().parse_args(["--data", data, "--epochs", "3", "imgsz=64"])
    config = compose(["--config-name=train", *parity.tokens_of(parsed), "seed=5"])
    assert (config.data.name, config.epochs, config.imgsz, config.amp, config.seed) == (data, 3, 64, False, 5)
    assert (config.model.weights, config.batch, config.nbs) == (None, 16, 16)


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_batches_of_like_shapes_train_as_well_as_ultralytics_do(
    parity: ModuleType, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From scratch, on one rank, with shapes that each have a rectangle of their own: both sides form like batches.

    They do so in other orders (all epochs of Ultralytics' go from wide to tall), and with one seed: hence 0.15.
    """
    monkeypatch.setenv("YOLOSCALE_CACHE", str(cache))
    sizes = (*mixed_images.SIZES[:-1], (128, 32))  # 128 × 40 would share the rectangle of 128 × 64
    source = mixed_images.render(tmp_path / "mixed", train=256, val=64, sizes=sizes, seed=1)
    typed = ["--epochs=16", f"data={source}", "rect=true", "imgsz=128", "plots=false", "workers=0"]
    typed += ["cluster.procs_per_node=1", "cluster.threads=1"]  # threads would wait for each other beside other tests
    tokens = parity.tokens_of(parity.arguments().parse_args(typed))
    (tmp_path / "parity").mkdir()
    ours, yolo = parity.train_pair(tokens, 0, tmp_path / "parity", lambda line: None)
    assert ours.validated > 0.3
    assert yolo.validated > 0.15, "both have learnt"
    assert ours.validated == pytest.approx(yolo.validated, abs=0.15)
    assert ours.largest_difference < 1e-3
