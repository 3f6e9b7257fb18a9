"""A sweep in the background, from Python, and what the commands say of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import yoloscale
from yoloscale.errors import ConfigError
from yoloscale.runs.sweep_directory import SweepDirectory, read
from yoloscale.sweep import local
from yoloscale.sweep.start import sweep_request
from yoloscale.system.remarks import silent

STANDIN = Path(__file__).parent / "standin"
SOURCE = Path(__file__).parents[2] / "src"
TYPED = (
    *("name=s", "model=yolo26n.yaml", "device=cpu", "cluster.procs_per_node=1", "seed=range(0,3)"),
    *("data.shapes.train_images=8", "data.shapes.val_images=8", "data.shapes.image_size=64"),
)


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Launchers that are started by anything from here on."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (STANDIN / "site", STANDIN, SOURCE))))
    monkeypatch.setenv("YOLOSCALE_CACHE", str(cache))


def prepared(*tokens: str, **script: Any) -> SweepDirectory:
    with sweep_request([*TYPED, *tokens]).take(silent) as taken:
        for run in taken.directory.runs():
            (run.path / "standin.json").write_text(json.dumps({"steps": 5, **script}))
    return taken.directory


def typed(*words: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "yoloscale", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_from_python_in_the_background() -> None:
    made = prepared(hold=True)
    sweep = yoloscale.sweep(*TYPED)
    assert sweep.path == made.path
    with pytest.raises(TimeoutError):
        sweep.wait(timeout_s=0.1)
    said = typed("status", "s")
    assert "trained by process" in said
    for run in made.runs():
        (run.path / "go").touch()
    assert [found.state for found in sweep.wait(timeout_s=60).status()] == ["finished"] * 3
    assert sweep.points[0].metrics == {"metrics/mAP50-95(B)": 0.5}
    log = (made.job / "launcher.log").read_text()
    assert "3 finished" in log
    with pytest.raises(ConfigError, match="nothing of it"):
        sweep.cancel()
    assert yoloscale.sweep(*TYPED).path == made.path, "nothing is left to start"
    assert (made.job / "launcher.log").read_text() == log


@pytest.mark.long
def test_resume_keeps_what_is_over_and_may_change_how_many_train(cache: Path) -> None:
    made = prepared("sweep.parallel=1")
    assert "yoloscale resume runs/s\n" in typed("status", "s"), "nobody trains it"
    (made.run_of(1).path / "standin.json").write_text(json.dumps({"steps": 5, "fail": 2}))
    said = typed("resume", "s", "sweep.max_failures=1", "sweep.parallel=null", code=1)
    assert (read(made).settings.parallel, read(made).settings.max_failures) == (None, 1)
    assert "plan  3 points to train" in said
    assert "failed  seed=1: rank 0 on here: a teapot" in said
    (made.run_of(1).path / "standin.json").write_text(json.dumps({"steps": 5}))
    said = typed("resume", "s", code=1)
    assert "--failed" in said
    assert "seed=1: started" not in said
    assert "3 finished" in typed("resume", "s", "--failed")
    assert "beside the name of a sweep" in typed("resume", "s", "epochs=4", code=2)
    assert "need 10000 CPUs" in typed("resume", "s", "sweep.parallel=10000", code=2)
    assert read(made).settings.parallel is None, "what is refused is not put down"


def test_goes_on_with_other_ranks_whatever_those_that_finished_had() -> None:
    made = prepared("sweep.parallel=1", steps=3)
    (made.run_of(1).path / "standin.json").write_text(json.dumps({"steps": 3, "fail": 2}))
    assert "1 finished" in typed("resume", "s", "sweep.max_failures=1", code=1)
    said = typed("train", "-m", *TYPED, "cluster.procs_per_node=2", "sweep.parallel=1", code=1)
    assert "plan  1 point to train, 1 at a time, each 2 ranks" in said


def test_resume_names_a_point_that_is_not_there_any_more() -> None:
    made = prepared()
    shutil.rmtree(made.run_of(1).path)
    said = typed("resume", "s", code=2)
    assert "seed=1" in said
    assert "type the sweep's own command again" in said
    assert typed("train", "-m", *TYPED, "--dry-run").count("seed=") == 3


def test_a_launcher_in_the_background_says_why_it_does_not_start(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = prepared()
    (sweep.job / "gpus.json").write_text("[0, ")
    assert local.main([str(sweep.path)]) == 2
    assert "gpus.json: no list of GPUs" in capsys.readouterr().out
