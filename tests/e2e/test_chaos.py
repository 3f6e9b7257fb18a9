"""Kills at random moments: the same end, and always a valid checkpoint. `scripts/chaos` alone does fifty."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).parents[2] / "scripts" / "chaos"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_run_that_is_killed_20_times_ends_like_one_that_is_not(tmp_path: Path, cache: Path) -> None:
    command = [sys.executable, str(CHAOS), "--kills", "20", "--seed", "1", "--folder", str(tmp_path / "chaos")]
    command += ["epochs=7", "imgsz=64"]
    environment = {**os.environ, "YOLOSCALE_CACHE": str(cache), "PYTHONPATH": str(CHAOS.parents[1] / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout[-4000:])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "the same trace, state and weights as without a kill"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_prediction_that_is_killed_8_times_writes_the_same_bytes(tmp_path: Path, cache: Path) -> None:
    command = [sys.executable, str(CHAOS), "predict", "--kills", "8", "--seed", "1", "--images", "640"]
    command += ["--folder", str(tmp_path / "chaos")]
    environment = {**os.environ, "YOLOSCALE_CACHE": str(cache), "PYTHONPATH": str(CHAOS.parents[1] / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout[-4000:])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "the same bytes in every part as without a kill"
