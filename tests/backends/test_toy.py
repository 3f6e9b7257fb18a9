"""What a back end costs: a folder with an object behind the seam, and a row. All verbs work with it then."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.backends.toy import backend

from yoloscale.backends.status import status
from yoloscale.cli.main import main
from yoloscale.config.launchers import MODULES
from yoloscale.exit_codes import BAD_CONFIG, FINISHED
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import nobody
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.system.waiting import wait_until

ROOT = Path(__file__).parents[2]
WORDS = ["cluster.launcher=toy", "device=cpu", "cluster.procs_per_node=1", "data.shapes.train_images=16"]
SMALL = [*WORDS, "data.shapes.val_images=4", "data.shapes.image_size=64", "imgsz=64", "batch=8", "plots=false"]
PATIENCE_S, POLL_S = 600.0, 0.05


@pytest.fixture(autouse=True)
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(MODULES, "toy", backend.__name__)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT / "src", ROOT, ROOT / "tests" / "standin"))))
    monkeypatch.chdir(tmp_path)
    yield
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a run that is finished ends by itself
            process.kill()


def run_of(name: str) -> RunDirectory:
    return RunDirectory(Path("runs", name).absolute())


def until(run: RunDirectory, *states: str) -> Any:
    def wanted() -> Any:
        return found if (found := status(run)).state in states else None

    found = wait_until(wanted, PATIENCE_S, POLL_S)
    assert found is not None, status(run)
    return found


def until_it_trains(run: RunDirectory) -> None:
    def has_stepped() -> bool:
        return any(record.get("kind") == "step" for record in jsonl.read(run.metrics))

    assert wait_until(has_stepped, PATIENCE_S, POLL_S), status(run)


def test_a_dry_run_prints_what_would_be_submitted(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["train", *SMALL, "name=a", "--dry-run"]) == FINISHED
    assert capfdbinary.readouterr().out == f"toy of a: train {' '.join(SMALL)} name=a\n".encode()
    assert not Path("runs").exists()


def test_submit_status_logs_cancel_and_resume(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SMALL, "name=a"]) == FINISHED
    run = run_of("a")
    submitted = events.history(run)[-1]
    job = submitted.job if isinstance(submitted, events.Submitted) else status(run).job
    said = capsys.readouterr().out
    assert f"job   {job} submitted" in said
    assert f"runs/a/job/toy-{job.partition(':')[2]}.out" in said
    assert f"  ps {job.partition(':')[2]}" in said
    until_it_trains(run)
    assert main(["status", job, "-o", "json"]) == FINISHED
    shown = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["job"], shown["scheduler"]) == ("running", job, None)
    assert main(["train", *SMALL, "name=a"]) == BAD_CONFIG
    assert f"is in job {job} already" in capsys.readouterr().err
    assert main(["logs", "a"]) == FINISHED
    assert main(["cancel", job]) == FINISHED
    assert until(run, "cancelled").job == job
    (run.path / "standin.json").write_text(json.dumps({"steps": 3}))
    assert main(["resume", "a"]) == FINISHED
    assert until(run, "finished").job != job


def test_what_is_refused_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SMALL, "name=refused"]) == BAD_CONFIG
    assert "toys do not like it" in capsys.readouterr().err
    assert not run_of("refused").path.exists()
    assert main(["train", *SMALL, "cluster.nodes=2", "name=b"]) == BAD_CONFIG
    assert "a toy has one node" in capsys.readouterr().err
    assert main(["train", *SMALL, "cluster.launcher=tyo", "name=b"]) == BAD_CONFIG
    assert "local, slurm, toy" in capsys.readouterr().err


@pytest.mark.long
def test_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "-m", *SMALL, "name=s", "seed=1,2", "--dry-run"]) == FINISHED
    assert main(["train", "-m", *SMALL, "name=s", "seed=1,2"]) == FINISHED
    sweep = SweepDirectory(Path("runs/s").absolute())
    for run in sweep.runs():
        until_it_trains(run)
    assert main(["status", "s", "-o", "json"]) == FINISHED
    capsys.readouterr()
    assert main(["cancel", "s"]) == FINISHED
    for run in sweep.runs():
        assert until(run, "cancelled").job.startswith("toy:")
        (run.path / "standin.json").write_text(json.dumps({"steps": 3}))
    assert main(["resume", "s"]) == FINISHED
    for run in sweep.runs():
        until(run, "finished")


@pytest.mark.long
def test_a_search(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-m", *SMALL, "name=q", "sweep=random", "sweep.search.trials=2", "mixup=interval(0,1)"]
    assert main(["train", *words, "--dry-run"]) == FINISHED
    assert main(["train", *words]) == FINISHED
    assert "toy:" in capsys.readouterr().out
    sweep = SweepDirectory(Path("runs/q").absolute())
    assert wait_until(lambda: len(sweep.points()) == 2, PATIENCE_S, POLL_S), sorted(sweep.job.iterdir())
    for run in sweep.runs():
        until_it_trains(run)
    assert main(["train", *words]) == BAD_CONFIG, "nothing is submitted twice"
    assert "nothing is left to submit" in capsys.readouterr().err
    assert main(["cancel", "q"]) == FINISHED
    for run in sweep.runs():
        assert until(run, "cancelled").job.startswith("toy:")
        (run.path / "standin.json").write_text(json.dumps({"steps": 3}))
    assert main(["resume", "q"]) == FINISHED
    for run in sweep.runs():
        until(run, "finished")


def test_a_search_says_who_does_not_answer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["-m", *SMALL, "name=q", "sweep=random", "sweep.search.trials=2", "mixup=interval(0,1)"]
    assert main(["train", *words, "--prepare"]) == FINISHED
    sweep = SweepDirectory(Path("runs/q").absolute())
    sweep.elements.write_text('{"0": "toy:1"}')
    monkeypatch.setattr(backend.BACKEND, "ask", nobody)
    assert main(["train", *words]) == BAD_CONFIG
    said = capsys.readouterr().err
    assert "toy: ps is not here" in said
    assert "once toy answers, the same again" in said
