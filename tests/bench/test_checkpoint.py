"""`yoloscale bench checkpoint`: its figures, its words, and the whole of it on a tiny run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from yoloscale.bench.checkpoint import measure_resume, resumed_config
from yoloscale.bench.checkpoint_figures import as_json, delay_s
from yoloscale.bench.plan import CheckpointSettings, comparable, take_apart
from yoloscale.bench.sides import SideFailed
from yoloscale.cli.show.bench_checkpoint import print_report, remarks, rows
from yoloscale.config.schema import Config, OriginConfig
from yoloscale.errors import ConfigError
from yoloscale.runs.directory import RunDirectory

ROOT = Path(__file__).parents[2]
TINY = [
    "device=cpu", "data.shapes.train_images=16", "data.shapes.val_images=8", "data.shapes.image_size=64",
    "imgsz=64", "batch=4", "nbs=8", "plots=false",
]  # fmt: skip


def one_round(blocked_s: float, native_s: float) -> dict[str, Any]:
    return {
        "blocked_s": blocked_s,
        "write_s": 0.2,
        "bytes": 40_900_000,
        "native_s": native_s,
        "native_best_s": native_s + 0.1,
        "epoch_end_s": blocked_s + 0.05,
        "beside_s": [0.5, 0.4],
        "quiet_s": [0.25, 0.25, 0.3, 0.2],
    }


COST: dict[str, Any] = {
    "first_blocked_s": 0.3,
    "rounds": [one_round(0.02, 0.2), one_round(0.01, 0.4), one_round(0.03, 0.25)],
    "interval_s": 60.0,
    "mtbf_s": 4 * 3600.0,
    "native_bytes": 25_700_000,
    "precision": "bf16",
    "threads": 1,
    "workers": 0,
}
RESUMED = {10: [4.0, 5.0, 4.0], 10_000: [4.2, 4.5, 4.4]}
ABOUT: dict[str, Any] = {
    "plan": "global 16 = 2 ranks × 8, accumulate 1",
    "settings": {"model": "yolo26n", "data": "shapes", "imgsz": 320, "resumed": "global 2 = 2 ranks × 1"},
    "machine": {
        "cpu": "a CPU (avx2)", "cpus": 2, "gpus": [], "system": "Linux 6", "python": "3.11.7", "torch": "2.14.1",
        "ultralytics": "8.4.190", "yoloscale": "0.1.0",
    },
    "command": "yoloscale bench checkpoint",
    "folder": "runs/bench/x-checkpoint",
}  # fmt: skip


def test_figures() -> None:
    report = json.loads(json.dumps(as_json(COST, RESUMED, ABOUT)))
    assert report["blocked_s"]["ours"]["median"] == 0.02
    assert report["blocked_s"]["yolo"]["median"] == 0.25
    assert report["ours/yolo"]["values"] == pytest.approx([0.1, 0.025, 0.12])  # of one moment of the machine each
    assert report["ours after an epoch/yolo"]["values"] == pytest.approx([0.35, 0.15, 0.32])
    assert report["blocked_s_per_minute"] == {"value": pytest.approx(0.02), "target": 0.6}
    assert report["steps_per_s"]["quiet"]["median"] == pytest.approx(4.0)
    assert report["steps_per_s"]["beside a write"]["median"] == pytest.approx(2 / 0.9)
    assert report["delay_s"]["median"] == pytest.approx(0.4)
    assert report["cost_s_per_minute"] == pytest.approx(0.42)
    assert report["resume_ratio"]["values"] == pytest.approx([1.05, 0.9, 1.1])
    assert report["resume_ratio"]["target"] == [0.9, 1.1]
    assert report["command"] == ABOUT["command"]


def test_the_blocked_share_follows_from_the_interval() -> None:
    report = as_json({**COST, "interval_s": 240.0}, RESUMED, ABOUT)
    assert report["blocked_s_per_minute"]["value"] == pytest.approx(0.005)


def test_a_write_that_is_over_before_the_next_step_delays_none() -> None:
    quick = {**one_round(0.02, 0.2), "beside_s": []}
    assert delay_s(quick) == 0.0
    report = as_json({**COST, "rounds": [quick, quick]}, RESUMED, ABOUT)
    assert set(report["steps_per_s"]) == {"quiet"}
    rows(report)


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    report = as_json(COST, RESUMED, ABOUT)
    standing, slowed, resumed = rows(report)
    assert standing[0] == ("yoloscale blocks the loop, ms", "20.0", "10.0 – 30.0", "")
    assert standing[1] == ("the same after an epoch, ms", "70.0", "60.0 – 80.0", "")
    assert standing[4] == ("ratio to save_model (last.pt)", "0.100", "0.025 – 0.120", "≤ 0.1")
    assert standing[6] == ("blocked a minute, one each 60 s, ms", "20.0", "", "≤ 600")
    assert ("steps/s beside a write", "2.22", "2.22 – 2.22", "") in slowed
    assert slowed[-1] == ("blocked and delayed a minute, ms", "420.0", "", "")
    assert resumed[-1] == ("ratio late / early", "1.05", "0.90 – 1.10", "0.9 – 1.1")
    print_report(report)
    shown = capsys.readouterr().out
    assert "≤ 0.1" in shown
    said = "\n".join(remarks(report))
    assert "blocked 300.0 ms" in said
    assert "2 CPUs of a CPU (avx2)" in said
    assert said in shown


@pytest.mark.parametrize(
    ("token", "key"),
    [
        ("bench.checkpoints=0", "bench.checkpoints"),
        ("bench.far_step=10", "bench.far_step"),
        ("bench.yolo=[a=b]", "bench"),
    ],
)
def test_bad_keys_are_named(token: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        take_apart([token], CheckpointSettings)
    assert [problem.key for problem in caught.value.problems] == [key]


def test_an_epoch_of_what_is_resumed_has_more_steps_than_the_late_one() -> None:
    tokens = ["device=cpu", "data=coco8", "cluster.procs_per_node=2", "imgsz=160", "batch=32"]
    config, _ = comparable(take_apart(tokens, CheckpointSettings).line)
    resumed = resumed_config(config, 10_000)
    assert resumed.data.shapes is not None
    assert (resumed.batch, resumed.nbs, resumed.imgsz, resumed.model) == (2, 2, 160, config.model)
    assert resumed.data.shapes.train_images // resumed.batch > 10_001


def test_what_is_resumed_has_a_dataset_of_its_own() -> None:
    config = Config(origin=OriginConfig(opened="shapes/of-the-other/data.yaml"))
    config.cluster.procs_per_node = 2
    assert resumed_config(config, 40).origin.opened is None


def test_a_resume_that_fails_is_told_with_its_log(tmp_path: Path) -> None:
    stored = RunDirectory(tmp_path / "positions")
    (stored.checkpoints / "step-000000010").mkdir(parents=True)
    stored.config.write_text("nonsense: true\n")
    with pytest.raises(SideFailed, match=r"resume-10-1 did not finish(.|\n)*nonsense"):
        measure_resume(stored, 10, tmp_path, "resume-10-1")


def bench(folder: Path, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "YOLOSCALE_CACHE": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "yoloscale", "bench", "checkpoint", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip


def test_a_dry_run_says_what_it_would_do_and_touches_nothing(tmp_path: Path) -> None:
    done = bench(tmp_path, *TINY, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "train   yolo26n on shapes, 12 checkpoints of each kind" in done.stdout
    assert "3 × yoloscale resume at step 10000 of an epoch" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_the_whole_benchmark(tmp_path: Path) -> None:
    own = ["bench.checkpoints=2", "bench.repeats=1", "bench.far_step=40"]
    done = bench(tmp_path, *TINY, *own, "-o", "json", timeout_s=800)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    folder = Path(report["folder"])
    assert folder == tmp_path / "runs" / "bench" / "yolo26n-shapes-checkpoint"
    assert json.loads((folder / "report.json").read_text()) == report
    ours, yolo = (min(report["blocked_s"][side]["values"]) for side in ("ours", "yolo"))  # others may need the machine
    assert 0 < ours < yolo
    assert len(report["blocked_s"]["ours"]["values"]) == 2
    assert 10 <= report["interval_s"]["value"] <= 1800
    assert report["blocked_s_per_minute"]["value"] < 0.6
    assert report["bytes"]["ours"] > report["bytes"]["yolo"] > 1e6
    assert report["steps_per_s"]["quiet"]["median"] > 0
    assert {step: len(times["values"]) for step, times in report["resume_s"].items()} == {"10": 1, "40": 1}
    assert all(times["median"] > 1 for times in report["resume_s"].values())
    from ultralytics import YOLO

    assert YOLO(str(folder / "cost" / "native" / "best.pt")).task == "detect"
