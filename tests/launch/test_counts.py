"""How often a command parses what was typed and loads a config, in the launcher's process: counted, not timed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from yoloscale.exit_codes import STOPPED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory

SPLITS = 1  # of the command line into flags and settings
COMPOSITIONS = 1
LOADS = 1  # of the run's config: a new one is read back as its ranks will read it, another as it is frozen

TRAIN = (
    *("train", "name=run", "data=shapes", "device=cpu", "cluster.procs_per_node=2"),
    *("data.shapes.train_images=16", "data.shapes.val_images=8", "data.shapes.image_size=64", "imgsz=64", "batch=8"),
)
LIMIT_S = 300.0


class Launcher:
    """Launchers of one run in a folder of their own; each is stopped when it trains."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._run = folder, RunDirectory(folder / "runs" / "run")
        self._attempts = 0

    def calls(self, *arguments: str) -> dict[str, int]:
        """How often the command has called each function that is counted."""
        self._attempts += 1
        file, output = self._folder / "calls.json", self._folder / f"output-{self._attempts}"
        command = [sys.executable, "-m", "counted_launcher", str(file), *arguments]
        with output.open("wb") as printed:
            process = subprocess.Popen(command, cwd=self._folder, stdout=printed, stderr=printed)
        try:
            self._stop(process, output)
            assert process.wait(LIMIT_S) == STOPPED, output.read_text()
        finally:
            process.kill()
            process.wait()
        calls: dict[str, int] = json.loads(file.read_text())
        return calls

    def _stop(self, process: subprocess.Popen[bytes], output: Path) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not self._trains():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        self._run.stop_request.touch()

    def _trains(self) -> bool:
        history = events.history(self._run)
        return sum(isinstance(event, events.TrainingStarted) for event in history) == self._attempts


@pytest.fixture
def launcher(tmp_path: Path, standin: None, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    monkeypatch.setenv("YOLOSCALE_CACHE", str(tmp_path / "cache"))
    return Launcher(tmp_path)


def test_a_command_line_is_split_and_composed_once_and_a_config_loaded_once(launcher: Launcher) -> None:
    new, again = launcher.calls(*TRAIN), launcher.calls(*TRAIN)
    resumed, changed = launcher.calls("resume", "run"), launcher.calls("resume", "run", "cluster.max_restarts=1")
    for calls in (new, again):
        assert calls["split"] == SPLITS
        assert calls["hydra_arguments"] == calls["compose_tree"] == COMPOSITIONS
    assert resumed["split"] + resumed["compose_tree"] == 0, "nothing was typed that could be composed"
    assert (changed["split"], changed["compose_tree"]) == (SPLITS, 0), "what is typed is put onto what is frozen"
    for calls in (new, again, resumed, changed):
        assert calls["load"] + calls["load_own"] == LOADS


def test_a_sweep_is_split_once_but_for_its_points(
    tmp_path: Path, standin: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A point is a command line of its own: what would be typed to train it alone."""
    monkeypatch.setenv("YOLOSCALE_CACHE", str(tmp_path / "cache"))
    for file, points in (("two", "seed=1,2"), ("three", "seed=1,2,3")):
        command = [sys.executable, "-m", "counted_launcher", file, *TRAIN, "-m", points, "--dry-run"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=LIMIT_S)
    two, three = (json.loads((tmp_path / file).read_text()) for file in ("two", "three"))
    assert three["split"] - two["split"] == 1
    assert two["split"] == SPLITS + 2
    assert two["load"] + two["load_own"] == 0
