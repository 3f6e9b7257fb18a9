from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import lines_of

from yoloscale.backends.run_lock import lock
from yoloscale.backends.slurm import own_job, submit
from yoloscale.backends.slurm.commands import SlurmError
from yoloscale.backends.slurm.own_job import OwnJob
from yoloscale.cli import resume
from yoloscale.cli.resume import words_of
from yoloscale.errors import ConfigError
from yoloscale.launch.configure import configure
from yoloscale.launch.run_folder import create_or_resume
from yoloscale.runs.directory import RunDirectory

Yoloscale = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("epochs=3", None),
        ("resume=False model=yolo26n", None),
        ("resume=None", None),
        ("resume=runs/a/weights/last.pt", ["runs/a/weights/last.pt"]),
        ("resume model=runs/a/weights/last.pt", ["runs/a/weights/last.pt"]),
        ("detect train resume=True model=runs/a/weights/last.pt", ["runs/a/weights/last.pt"]),
        ("model=last.pt resume = true device=0,1", ["last.pt", "device=0,1"]),
        ("--resume name=a epochs=9 --detach", ["a", "epochs=9", "--detach"]),
        ("name=a resume project=out workers=0", ["--runs=out", "a", "workers=0"]),
        ("resume='my runs/a' task=detect mode=train", ["my runs/a"]),
    ],
)
def test_what_resumes_for_yolo_train_resumes_here(typed: str, words: list[str] | None) -> None:
    tokens = ["resume='my runs/a'", "task=detect", "mode=train"] if "'" in typed else typed.split()
    assert words_of(tokens) == words


def test_a_resume_of_nothing_names_the_newest_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="`yoloscale runs` lists them"):
        words_of(["resume"])
    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "config.yaml").touch()
    with pytest.raises(ConfigError, match="unfinished: first"):
        words_of(["resume=True"])


@pytest.mark.parametrize(
    "typed",
    [
        ["resume", "ul/a"],
        ["resume", "ul/a/weights/last.pt"],
        ["resume", "model=ul/a/weights/last.pt"],
        ["train", "resume=ul/a/weights/last.pt"],
        ["train", "resume", "model=ul/a/weights/last.pt"],
        ["status", "ul/a/args.yaml"],
        ["logs", "ul/a"],
        ["cancel", "ul/a/"],
        ["report", "ul/a/results.csv"],
    ],
)
def test_every_verb_knows_a_run_of_ultralytics(yoloscale: Yoloscale, tmp_path: Path, typed: list[str]) -> None:
    weights = tmp_path / "work" / "ul" / "a" / "weights"
    weights.mkdir(parents=True)
    (weights / "last.pt").touch()
    (weights.parent / "args.yaml").write_text("{task: detect, model: yolo26n.yaml, epochs: 3}")
    (weights.parent / "results.csv").write_text("epoch,time\n1,2.5\n2,5.0\n")
    done = yoloscale(*typed)
    assert done.returncode == 2
    command = "yoloscale train cfg=ul/a/args.yaml model=ul/a/weights/last.pt epochs=1 name=a-2"
    assert command in done.stderr


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """An unfinished run on this machine."""
    monkeypatch.chdir(tmp_path)
    words = ["experiment=smoke", "device=cpu", "cluster.procs_per_node=1", "name=long"]
    taken = create_or_resume(configure(words), words)
    taken.release()
    return taken.run


def files(run: RunDirectory) -> list[str]:
    return [run.config.read_text(), run.overrides.read_text()]


def test_a_resume_that_slurm_does_not_take_leaves_the_run_as_it_was(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(argv: list[str], **rest: Any) -> str:
        raise SlurmError(argv, "sbatch: error: Unable to contact slurm controller")

    monkeypatch.setattr(submit, "call", refuse)
    before = files(run)
    with pytest.raises(ConfigError, match="Unable to contact"):
        resume.main([str(run.path), "cluster=slurm"])
    assert files(run) == before
    there, back = (event for event in lines_of(run) if event["event"] == "moved")
    assert (there["from"], there["to"]) == (back["to"], back["from"])
    lock(run).release()


def test_a_resume_that_is_too_large_for_the_job_that_it_is_typed_in_changes_nothing(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_job, "own_job", lambda: OwnJob("11", nodes=1, gpus=4, cpus=8))
    before = files(run)
    with pytest.raises(ConfigError, match=r"write cluster\.cpus_per_task=8"):
        resume.main([str(run.path), "cluster=slurm", "cluster.cpus_per_task=9"])
    assert files(run) == before
    assert lines_of(run) == []
