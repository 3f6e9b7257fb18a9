from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = [
    "device=cpu", "data.shapes.train_images=16", "data.shapes.val_images=8", "data.shapes.image_size=64",
    "imgsz=64", "batch=4", "nbs=8", "plots=false",
]  # fmt: skip


def run(folder: Path, *command: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "YOLOSCALE_CACHE": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def bench(folder: Path, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    return run(folder, "-m", "yoloscale", "bench", *arguments, timeout_s=timeout_s)


def test_a_dry_run_prints_both_commands_and_touches_nothing(tmp_path: Path) -> None:
    done = bench(tmp_path, "train", *TINY, "--dry-run")
    assert done.returncode == 0, done.stderr
    ours, yolo = done.stdout.splitlines()
    assert ours.startswith("yoloscale train --config-name=bench device=cpu")
    assert yolo.startswith("YOLO_OFFLINE=true yolo train model=yolo26n.yaml pretrained=False data=shapes epochs=2 ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export"], "there is nothing to measure called 'export'"),
        (["predict", "bench.images=3"], "bench.images"),
        (["predict", "imgzs=64"], "imgsz"),
        (["train", "epoch=3"], "epochs"),
        (["train", "bench.repeats=x"], "bench.repeats=3"),
        (["train", "batch=3", "device=cpu"], "batch"),
    ],
)
def test_bad_input_is_told_before_anything_starts(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = bench(tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_hydra_prints_what_is_composed(tmp_path: Path) -> None:
    done = bench(tmp_path, "train", "epochs=7", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "epochs: 7" in done.stdout
    assert "train_images: 1024" in done.stdout


def test_help_needs_no_run(tmp_path: Path) -> None:
    assert "bench.repeats" in bench(tmp_path, "train", "--help").stdout
    assert "bench.repeats" in bench(tmp_path).stdout


@pytest.mark.long
def test_the_whole_benchmark(tmp_path: Path) -> None:
    before = time.time()
    done = bench(tmp_path, "train", *TINY, "bench.repeats=1", "bench.yolo=[cache=ram]", "-o", "json", timeout_s=800)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    folder = Path(report["folder"])
    assert json.loads((folder / "report.json").read_text()) == report
    assert folder == tmp_path / "runs" / "bench" / "yolo26n-shapes"
    for side in ("ours", "yolo", "bare ddp", "bare flat"):
        assert report["images_per_s"][side]["median"] > 0
    for side in ("ours", "yolo"):
        assert 1 < report["first_step_s"][side]["median"] < time.time() - before
    assert report["settings"]["cache"] == {"ours": "ram", "yolo": "ram"}
    assert report["sides"]["yolo"]["precision"] == "fp32"
    assert report["plan"] == "global 4 = 2 ranks × 2, accumulate 2"
    assert (folder / "ours-1" / "weights" / "best.pt").exists()
    assert (folder / "yolo-1" / "weights" / "best.pt").exists()


def test_a_dry_run_of_predict_prints_all_commands_and_touches_nothing(tmp_path: Path) -> None:
    done = bench(tmp_path, "predict", "device=cpu", "imgsz=320", "--dry-run")
    assert done.returncode == 0, done.stderr
    ours, yolo, tuned = done.stdout.splitlines()
    assert ours.startswith("yoloscale predict model=")
    assert yolo.startswith("YOLO_OFFLINE=true yolo predict model=")
    assert "imgsz=320 device=cpu save=False" in yolo
    assert "batch=1" in tuned
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_the_whole_benchmark_of_predict(tmp_path: Path) -> None:
    # one rank: of two with so few images, one may be done before the other has begun, and then there is no pace
    words = ["device=cpu", "cluster.procs_per_node=1", "imgsz=64", "predict.unit=2", "bench.images=16"]
    words += ["bench.batches=[1,2]", "bench.repeats=2", "-o", "json"]
    done = bench(tmp_path, "predict", *words, timeout_s=1600)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    folder = Path(report["folder"])
    assert json.loads((folder / "report.json").read_text()) == report
    for side in ("ours", "yolo", "tuned", "decode only", "forward only"):
        assert len(report["images_per_s"][side]["values"]) == 2
        assert min(report["images_per_s"][side]["values"]) > 0
    assert set(report["ratios"]) >= {"ours/yolo", "ours/tuned", "ours/limit"}
    assert [report["sides"][side]["processes"] for side in ("ours", "yolo", "tuned")] == [1, 1, 1]
    assert set(report["tuned_by_batch"]) == {"1", "2"}
    counts = [json.loads((folder / run / "result.json").read_text())["images"] for run in ("ours-1", "ours-2")]
    assert counts == [16, 16]


@pytest.mark.long
def test_the_parity_script(tmp_path: Path) -> None:
    tiny = [word for word in TINY if not word.startswith("device=")]
    done = run(
        tmp_path, str(ROOT / "scripts" / "parity.py"), "--seeds", "1", "--epochs", "1", *tiny, timeout_s=800
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "runs" / "parity" / "report.json").read_text())
    assert report["reported_against_validated"] < 1e-4
    assert len(report["ours"]) == len(report["yolo"]) == 1
