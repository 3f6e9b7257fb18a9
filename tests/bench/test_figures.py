from __future__ import annotations

import json
from typing import Any

import pytest

from yoloscale.bench.figures import Repeat, as_json, figure, first_steps, ratios, speeds
from yoloscale.bench.sides import Sample
from yoloscale.cli.show.bench import print_report, remarks, rows

ABOUT: dict[str, Any] = {
    "plan": "global 16 = 2 ranks × 8, accumulate 4",
    "settings": {
        "model": "yolo26n",
        "data": "shapes",
        "imgsz": 320,
        "epochs": 2,
        "cache": {"ours": "ram", "yolo": False},
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
    "commands": {"ours": "yoloscale train", "yolo": "yolo train"},
    "folder": "runs/bench/x",
}


def repeat(ours: float, yolo: float, ddp: float, flat: float, first: float | None = 5.0) -> Repeat:
    return Repeat(
        ours=Sample(ours, first, "bf16", 1, 0),
        yolo=Sample(yolo, 8.0, "fp32", 1, 0),
        bare={"ddp": Sample(ddp, None, "bf16", 1), "flat": Sample(flat, None, "bf16", 1)},
    )


REPEATS = [repeat(40.0, 16.0, 44.0, 41.0), repeat(30.0, 10.0, 33.0, 40.0), repeat(44.0, 20.0, 46.0, 42.0)]


def test_the_median_is_not_the_mean_and_the_spread_is_kept() -> None:
    found = figure([1.0, 10.0, 2.0])
    assert (found.median, found.low, found.high, found.values) == (2.0, 1.0, 10.0, (1.0, 10.0, 2.0))


def test_speeds_by_side_and_way() -> None:
    found = speeds(REPEATS)
    assert {name: value.median for name, value in found.items()} == {
        "ours": 40.0,
        "yolo": 16.0,
        "bare ddp": 44.0,
        "bare flat": 41.0,
    }


def test_ratios_pair_the_sides_of_one_repeat() -> None:
    assert ratios(REPEATS)["ours/yolo"].values == (2.5, 3.0, 2.2)
    assert ratios(REPEATS)["ours/yolo"].median == 2.5


def test_the_yardstick_is_its_faster_way_in_all_repeats() -> None:
    assert ratios(REPEATS)["ours/bare"].values == pytest.approx((40 / 44, 30 / 33, 44 / 46))
    slower_ddp = [repeat(40.0, 16.0, 41.0, 50.0)]
    assert ratios(slower_ddp)["ours/bare"].values == pytest.approx((0.8,))


def test_a_side_that_told_no_first_step_is_left_out() -> None:
    assert set(first_steps([repeat(1, 1, 1, 1, first=None)])) == {"yolo"}


def test_the_json_holds_every_repeat_and_the_targets() -> None:
    report = json.loads(json.dumps(as_json(REPEATS, ABOUT)))
    assert report["ratios"]["ours/yolo"]["target"] == 2.2
    assert report["ratios"]["ours/bare"]["target"] == 0.93
    assert report["images_per_s"]["ours"]["values"] == [40.0, 30.0, 44.0]
    assert report["sides"]["yolo"] == {"precision": "fp32", "threads": 1, "workers": 0}
    assert report["commands"] == ABOUT["commands"]


def test_the_table_shows_medians_spreads_ratios_and_targets(capsys: pytest.CaptureFixture[str]) -> None:
    report = as_json(REPEATS, ABOUT)
    images, ratio_rows, first = rows(report)
    assert images[0] == ("yoloscale train, images/s", "40.0", "30.0 – 44.0", "")
    assert ratio_rows[0] == ("ratio ours/yolo", "2.50", "2.20 – 3.00", "≥ 2.2")
    assert first[1][:2] == ("yolo train, s to the first step", "8.0")
    print_report(report)
    shown = capsys.readouterr().out
    assert "≥ 0.93" in shown
    assert "command  yolo train" in shown


def test_the_remarks_name_precision_cache_and_machine() -> None:
    said = "\n".join(remarks(as_json(REPEATS, ABOUT)))
    assert "ours     bf16, 1 thread a process, 0 loader processes, cache=ram" in said
    assert "yolo     fp32, 1 thread a process, 0 loader processes, cache=False" in said
    assert "2 CPUs of a CPU (avx2)" in said
    assert "3 repeats" in said
