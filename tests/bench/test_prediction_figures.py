from __future__ import annotations

import json
from typing import Any

import pytest

from yoloscale.bench.prediction_figures import Round, as_json, best_batch, ratios, speeds
from yoloscale.bench.prediction_sides import Limits, Pace
from yoloscale.cli.show.bench_predict import print_report, remarks, rows

ABOUT: dict[str, Any] = {
    "plan": "2 ranks × 1 thread, units of 32 images",
    "settings": {
        "model": "yolo26n",
        "weights": "random",
        "source": "128 rendered JPEG files of 1920 × 1080 px",
        "images": 384,
        "imgsz": 640,
        "unit": 32,
    },
    "machine": {
        "cpu": "a CPU (avx2)",
        "cpus": 2,
        "gpus": [],
        "system": "Linux 6",
        "python": "3.11.7",
        "torch": "2.14.1",
        "ultralytics": "8.4.190",
        "yoloscale": "0.1.0",
    },
    "commands": {"ours": "yoloscale predict", "yolo": "yolo predict"},
    "folder": "runs/bench/x",
}


def pace(images_per_s: float, precision: str = "fp32", processes: int = 1, batch: int | None = 1) -> Pace:
    return Pace(images_per_s, 20.0, precision, 1, processes, batch)


def one_round(ours: float, yolo: float, tuned: dict[int, float], alone: float | None, half: bool = False) -> Round:
    return Round(
        ours=pace(ours, "bf16" if half else "fp32", 2, None),
        yolo=pace(yolo),
        tuned={batch: pace(speed, batch=batch) for batch, speed in tuned.items()},
        alone=None if alone is None else pace(alone, processes=2, batch=None),
        limits=Limits(decode_images_per_s=120.0, forward_images_per_s=60.0, loaders=1, precision="fp32"),
    )


ROUNDS = [
    one_round(38.0, 19.0, {1: 25.0, 4: 28.0, 16: 20.0}, 40.0),
    one_round(40.0, 16.0, {4: 20.0}, 40.0),
    one_round(42.0, 20.0, {4: 30.0}, 41.0),
]


def test_yolo_is_tuned_by_the_first_round_and_measured_in_all() -> None:
    assert best_batch(ROUNDS[0]) == 4
    assert speeds(ROUNDS)["tuned"].values == (28.0, 20.0, 30.0)


def test_ratios_pair_the_sides_of_one_repeat() -> None:
    found = ratios(ROUNDS, shares_cpus=False)
    assert found["ours/yolo"].values == pytest.approx((2.0, 2.5, 2.1))
    assert found["ours/tuned"].values == pytest.approx((38 / 28, 2.0, 1.4))
    assert found["ours/alone"].values == pytest.approx((0.95, 1.0, 42 / 41))


def test_the_limit_is_the_slower_part_whoever_does_it() -> None:
    """Beside it, on CPUs that do both, how near that comes to doing one after the other."""
    for shares_cpus in (False, True):
        assert ratios(ROUNDS, shares_cpus)["ours/limit"].median == pytest.approx(40 / 60)
    assert ratios(ROUNDS, shares_cpus=True)["ours/in turn"].median == pytest.approx(40 / 40)
    assert "ours/in turn" not in ratios(ROUNDS, shares_cpus=False)
    report = as_json(ROUNDS, True, ABOUT)
    assert (report["ratios"]["ours/limit"]["target"], report["ratios"]["ours/in turn"]["target"]) == (0.95, None)
    shown = {name: target for name, _, _, target in rows(report)[1]}
    assert (shown["ratio ours/limit"], shown["ratio ours/in turn"]) == ("≥ 0.95", "")


def test_one_rank_has_nobody_beside_it() -> None:
    report = as_json([one_round(20.0, 19.0, {1: 25.0}, None)], True, ABOUT)
    assert "alone" not in report["images_per_s"]
    assert "ours/alone" not in report["ratios"]
    assert set(report["sides"]) == {"ours", "yolo", "tuned"}


def test_half_precision_of_ours_alone_has_a_target_of_its_own() -> None:
    assert as_json(ROUNDS, True, ABOUT)["ratios"]["ours/yolo"]["target"] == 2.3
    half = [one_round(70.0, 19.0, {1: 25.0}, 40.0, half=True)]
    assert as_json(half, True, ABOUT)["ratios"]["ours/yolo"]["target"] == 3.5


def test_the_table_and_the_json_hold_every_side(capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(json.dumps(as_json(ROUNDS, True, ABOUT)))
    assert report["tuned_by_batch"] == {"1": 25.0, "4": 28.0, "16": 20.0}
    images, ratio_rows, totals = rows(report)
    assert images[0] == ("yoloscale predict, images/s", "40.0", "38.0 – 42.0", "")
    assert ("ratio ours/tuned", "1.40", "1.36 – 2.00", "≥ 1.6") in ratio_rows
    assert len(totals) == 3
    said = "\n".join(remarks(report))
    assert "tuned    fp32, 1 process of 1 thread, batch 4" in said
    assert "ours     fp32, 2 processes of 1 thread" in said
    print_report(report)
    assert "command  yolo predict" in capsys.readouterr().out
