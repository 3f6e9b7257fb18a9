"""A run that goes on otherwise: what is taken, what is refused with which words, and what is put down."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from tests.run_events import lines_of, write_event

from yoloscale.cli.show.event_lines import EventLines
from yoloscale.config.freeze import freeze, load
from yoloscale.config.schema import OriginConfig
from yoloscale.errors import ConfigError
from yoloscale.launch.configure import configure
from yoloscale.launch.move import not_compared
from yoloscale.launch.run_folder import create_or_resume
from yoloscale.launch.start import resume_request, start_request
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory

TYPED = ["model=yolo26n", "pretrained=false", "data=a/data.yaml", "device=cpu", "batch=4", "epochs=9", "name=run"]


def make(root: Path, head: str = "") -> None:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(root / "images" / split / "1.jpg")
        (root / "labels" / split / "1.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (root / "data.yaml").write_text(f"{head}train: images/train\nval: images/val\nnames: [a, b]\n")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run that was stopped in its third epoch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLOSCALE_CACHE", str(tmp_path / "cache"))
    make(tmp_path / "a")
    taken = start_request(TYPED).take(lambda _: None)
    taken.release()
    write_event(taken.run, "training_started", attempt=1, batch=4, images=1)
    write_event(taken.run, "checkpoint_saved", step=7, epoch=2, epoch_step=1)
    return RunDirectory(taken.run.path)


def again(run: RunDirectory, *changes: str) -> list[str]:
    said: list[str] = []
    resume_request(run, changes).take(said.append).release()
    return said


def refused(run: RunDirectory, *changes: str) -> str:
    before = run.config.read_bytes(), run.overrides.read_bytes(), len(lines_of(run))
    with pytest.raises(ConfigError) as error:
        resume_request(run, changes).take(print)
    assert (run.config.read_bytes(), run.overrides.read_bytes(), len(lines_of(run))) == before
    return str(error.value)


def test_data_that_was_moved_is_taken(run: RunDirectory, tmp_path: Path) -> None:
    shutil.move(tmp_path / "a", tmp_path / "disk 2" / "b")
    assert f"yoloscale resume {run.path} data=PATH" in refused(run), "and what to write is said"
    assert again(run, "data=disk 2/b/data.yaml") == []
    frozen = load(run.config)
    assert frozen.data.source == str(tmp_path / "disk 2" / "b" / "data.yaml")
    assert frozen.origin.dataset is not None
    assert frozen.origin.dataset.startswith("1:")
    assert again(run) == []


def test_data_that_was_moved_is_taken_by_the_run_s_own_command(run: RunDirectory, tmp_path: Path) -> None:
    shutil.move(tmp_path / "a", tmp_path / "b")
    typed = [token.replace("a/data.yaml", "b/data.yaml") for token in TYPED]
    start_request(typed).take(print).release()
    assert load(run.config).data.source == str(tmp_path / "b" / "data.yaml")
    assert yaml.safe_load(run.overrides.read_text()) == typed
    assert lines_of(run)[-1]["to"] == {"data.source": str(tmp_path / "b" / "data.yaml")}


@pytest.mark.parametrize("by_resume", [True, False])
def test_another_dataset_is_refused_with_the_command_that_trains_on_it(
    run: RunDirectory, tmp_path: Path, by_resume: bool
) -> None:
    make(tmp_path / "b")
    Image.new("RGB", (32, 32)).save(tmp_path / "b" / "images" / "train" / "2.jpg")
    if by_resume:
        told = refused(run, "data=b/data.yaml")
    else:
        with pytest.raises(ConfigError) as error:
            start_request([*TYPED, "data=b/data.yaml"]).take(print)
        told = str(error.value)
    assert "2 training images instead of 1" in told
    assert f"data={tmp_path}/b/data.yaml" in told
    assert "name=run-2" in told


def test_a_dataset_that_changed_where_it_lies_is_told(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "a" / "labels" / "train" / "1.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    (line,) = again(run)
    assert "as it is now" in line
    assert again(run) == [], "once"
    assert lines_of(run)[-1]["remarks"] == [line.removeprefix("run 'run' goes on with ")]


def test_a_run_of_before_there_were_fingerprints(run: RunDirectory, tmp_path: Path) -> None:
    freeze(replace(load(run.config), origin=OriginConfig()), run.config)
    shutil.move(tmp_path / "a", tmp_path / "b")
    (line,) = again(run, "data=b/data.yaml")
    assert "whether it is the same was not looked at" in line
    assert load(run.config).origin.dataset is not None


def test_its_own_command_does_not_take_data_that_cannot_be_compared(run: RunDirectory, tmp_path: Path) -> None:
    make(tmp_path / "b")
    elsewhere = configure([*TYPED, "data=b/data.yaml"])
    assert not_compared(load(run.config), configure(TYPED), of="it") is None
    assert "data=" in str(not_compared(load(run.config), elsewhere, of="it")), "a dry run says so"
    freeze(replace(load(run.config), origin=OriginConfig()), run.config)
    with pytest.raises(ConfigError, match=r"cannot be told(.|\n)*yoloscale resume run data="):
        start_request([*TYPED, "data=b/data.yaml"]).take(print)
    start_request(TYPED).take(print).release()
    assert load(run.config).origin.dataset is not None


def test_a_path_of_the_working_folder_is_read_from_where_the_run_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLOSCALE_CACHE", str(tmp_path / "cache"))
    start, elsewhere = tmp_path / "start", tmp_path / "elsewhere"
    elsewhere.mkdir()
    make(start / "ds", "path: ds\n")
    monkeypatch.chdir(start)
    typed = [*TYPED, "data=ds/data.yaml"]
    taken = start_request(typed).take(print)
    taken.release()
    path = taken.run.path
    monkeypatch.chdir(elsewhere)
    again(RunDirectory(path))
    assert load(path / "config.yaml").origin.folder == str(start)
    assert Path.cwd() == elsewhere
    start_request([*typed, f"data={start}/ds/data.yaml", f"paths.runs={start}/runs"]).take(print).release()
    make(elsewhere / "ds")
    (elsewhere / "data.yaml").write_text("path: ds\ntrain: images/train\nval: images/val\nnames: [a, b]\n")
    again(RunDirectory(path), "data=./data.yaml")
    assert load(path / "config.yaml").origin.folder == str(elsewhere), "typed here, relative to here"


def test_what_is_typed_is_frozen_told_and_on_record(run: RunDirectory) -> None:
    said = again(run, "epochs=20", "batch=2", "workers=0", "logger=tensorboard", "checkpoint.keep=4")
    assert [line.partition(" goes on with ")[2].partition("=")[0] for line in said] == ["epochs", "batch"]
    frozen = load(run.config)
    assert (frozen.epochs, frozen.batch, frozen.workers, frozen.checkpoint.keep) == (20, 2, 0, 4)
    assert frozen.logger.tensorboard
    assert (frozen.origin.epochs, frozen.origin.epochs_done, frozen.origin.batch) == (9, 2, 4)
    typed = yaml.safe_load(run.overrides.read_text())
    assert typed == [
        *("model=yolo26n", "pretrained=false", "data=a/data.yaml", "device=cpu", "name=run"),
        *("epochs=20", "batch=2", "workers=0", "logger=tensorboard", "checkpoint.keep=4"),
    ]
    moved = lines_of(run)[-1]
    assert moved["event"] == "moved"
    before = {"epochs": 9, "batch": 4, "workers": 8, "logger.tensorboard": False, "checkpoint.keep": 2}
    assert moved["from"] == before
    lines = EventLines().event_lines(events.parse(moved))[0].splitlines()
    assert "epochs 9 → 20" in lines[0]
    assert len(lines) == 3, "and a line for each that makes it another run"
    assert again(run) == []


def test_what_was_typed_at_first_is_refused_by_its_own_command_with_the_way(run: RunDirectory) -> None:
    longer = start_request([*TYPED, "epochs=20"])
    with pytest.raises(ConfigError, match="`yoloscale resume run epochs=20` goes on with it so"):
        longer.take(print)
    typed = [*TYPED, "workers=0", "plots=false"]
    start_request(typed).take(print).release()
    assert load(run.config).workers == 0, "what changes nothing about the training is taken"
    again(run, "epochs=20")
    start_request([*typed, "epochs=20"]).take(print).release()
    assert load(run.config).origin.epochs == 9


@pytest.mark.parametrize(("epochs", "works"), [(1, False), (2, False), (3, True), (9, True)])
def test_epochs_that_are_done_cannot_be_undone(run: RunDirectory, epochs: int, works: bool) -> None:
    if works:
        again(run, f"epochs={epochs}")
        assert load(run.config).epochs == epochs
    else:
        assert "2 are done" in refused(run, f"epochs={epochs}")


@pytest.mark.parametrize("weights", [(), ("last.pt",), ("last.pt", "best.pt")])
def test_the_command_that_starts_anew_is_one(run: RunDirectory, weights: tuple[str, ...]) -> None:
    """It composes, and differs from the run in what was asked, in its weights and in its name only."""
    run.weights.mkdir()
    for name in weights:
        (run.weights / name).touch()
    command = next(line for line in refused(run, "lr0=0.5").splitlines() if "yoloscale train" in line)
    words = shlex.split(command)[2:]
    assert "lr0=0.5" in words
    assert "name=run-2" in words
    assert ([f"model=runs/run/weights/{weights[-1]}"] if weights else ["model=yolo26n", "pretrained=false"]) == words[
        : len(words) - len([word for word in words if word.split("=")[0] not in ("model", "pretrained")])
    ]
    if not weights:
        made, frozen = configure(words), load(run.config)
        assert made.model == frozen.model
        assert (made.lr0, made.batch, made.epochs, made.data.source) == (0.5, 4, 9, frozen.data.source)


@pytest.mark.parametrize(
    ("changes", "starts_from"),
    [
        (["model=yolo26s"], ["pretrained=false", "model=yolo26s"]),
        (["model=yolo26s", "pretrained=true"], ["model=yolo26s", "pretrained=true"]),
        (["pretrained=true", "lr0=0.5"], ["model=yolo26n", "pretrained=true"]),
        (["model=yolo26n", "pretrained=false", "lr0=0.5"], None),
    ],
)
def test_anew_from_another_model_or_from_the_weights_and_not_from_both(
    run: RunDirectory, changes: list[str], starts_from: list[str] | None
) -> None:
    run.weights.mkdir()
    run.best_weights.touch()
    told = refused(run, *changes)
    commands = {line for line in told.splitlines() if "yoloscale train" in line}
    (command,) = commands
    words = [word for word in shlex.split(command) if word.startswith(("model", "pretrained"))]
    assert words == (starts_from or ["model=runs/run/weights/best.pt"])
    assert ("from its weights" in told) == (starts_from is None)


def test_a_finished_run_and_more_epochs(run: RunDirectory) -> None:
    run.weights.mkdir()
    run.best_weights.touch()
    run.result.write_text("{}")
    told = refused(run, "epochs=20")
    assert "is finished" in told
    words = "data=a/data.yaml device=cpu batch=4 epochs=20 name=run-2"
    assert f"yoloscale train model=runs/run/weights/best.pt {words}" in told


def test_a_run_killed_before_its_config_was_written_is_frozen_with_its_folder(
    config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = config()
    taken = create_or_resume(made, [])
    assert load(taken.run.config).origin.folder == str(tmp_path)
