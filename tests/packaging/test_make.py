"""`make predict`: what it says before the demo has been trained, and what it predicts afterwards."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make_predict(demo: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-o", ".venv/.ready", "predict", f"DEMO={demo}", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_without_a_trained_demo_it_says_what_makes_one(tmp_path: Path) -> None:
    done = make_predict(tmp_path / "runs" / "demo")
    assert done.returncode == 2
    assert "run `make train` first" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_it_predicts_the_validation_images_of_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from yoloscale.yolo.untrained import write_untrained

    monkeypatch.setenv("YOLOSCALE_CACHE", str(tmp_path / "cache"))
    weights = tmp_path / "demo" / "weights" / "best.pt"
    weights.parent.mkdir(parents=True)
    write_untrained("yolo26n.yaml", weights)
    done = make_predict(tmp_path / "demo", f"ARGS=imgsz=64 device=cpu name=here paths.runs={tmp_path}")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "here" / "result.json").read_text(encoding="utf-8"))
    images = list((tmp_path / "cache" / "shapes").glob("*/images/val/*.jpg"))
    assert result["images"] == len(images) > 0
    assert result["unreadable"] == result["failed"] == 0
