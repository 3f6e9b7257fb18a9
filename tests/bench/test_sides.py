"""Starting and stopping the sides, with small programs in their place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from yoloscale.bench.sides import SideFailed, measure_yolo

SOURCE = Path(__file__).parents[2] / "src"

MEASURED = """
import json, os, time, pathlib
assert "RANK" not in os.environ
found = {"images_per_s": 12.5, "first_step_at": time.time(), "precision": "fp32", "threads": 1, "workers": 0}
pathlib.Path(os.environ["YOLOSCALE_BENCH_FILE"]).write_text(json.dumps(found))
"""
LEAVES_A_CHILD = """
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
pathlib.Path("child").write_text(str(child.pid))
print("it went wrong")
sys.exit(3)
"""
MEASURES_FOREVER = """
import pathlib, sys
from yoloscale.bench.sides import measure_yolo
program = "import os, pathlib, time; pathlib.Path('side').write_text(str(os.getpid())); time.sleep(600)"
measure_yolo([sys.executable, "-c", program], pathlib.Path.cwd(), "yolo-1")
"""


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def until(condition: Callable[[], bool], timeout_s: float = 300) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_measurement_is_read_and_timed_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")  # as inside a job of somebody else's torchrun
    sample = measure_yolo([sys.executable, "-c", MEASURED], tmp_path, "yolo-1")
    assert (sample.images_per_s, sample.precision) == (12.5, "fp32")
    assert sample.first_step_s is not None
    assert 0 < sample.first_step_s < 120


def test_a_side_that_fails_is_told_with_its_log_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SideFailed, match=r"yolo-1 did not finish(.|\n)*it went wrong"):
        measure_yolo([sys.executable, "-c", LEAVES_A_CHILD], tmp_path, "yolo-1")
    assert is_gone(int((tmp_path / "child").read_text()))


def test_a_side_that_ends_well_without_a_measurement_failed(tmp_path: Path) -> None:
    with pytest.raises(SideFailed, match="nothing to say"):
        measure_yolo([sys.executable, "-c", "print('nothing to say')"], tmp_path, "yolo-1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_side_ends_with_the_benchmark_however_it_is_ended(number: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    started = subprocess.Popen(
        [sys.executable, "-c", MEASURES_FOREVER], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    side = tmp_path / "side"
    try:
        until(lambda: side.exists() and side.read_text() != "")
        started.send_signal(number)
        started.wait(300)
    finally:
        started.kill()
        started.wait()
    until(lambda: is_gone(int(side.read_text())))
