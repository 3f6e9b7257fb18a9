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

MOST_SPLITS = 2  # of the command line into flags and settings
MOST_COMPOSITIONS = 1
MOST_LOADS_OF_A_NEW_RUN = 2
MOST_LOADS_OF_THE_SAME_COMMAND_AGAIN = 8
MOST_LOADS_OF_RESUME = 9

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


def test_command_lines_are_split_and_configs_composed_and_loaded_so_often_at_most(launcher: Launcher) -> None:
    new, again = launcher.calls(*TRAIN), launcher.calls(*TRAIN)
    resumed = launcher.calls("resume", "run")
    for calls in (new, again):
        assert 1 <= calls["split"] <= MOST_SPLITS
        assert 1 <= calls["hydra_arguments"] <= MOST_COMPOSITIONS
        assert 1 <= calls["compose_tree"] <= MOST_COMPOSITIONS
    assert resumed["split"] + resumed["compose_tree"] == 0, "nothing was typed that could be composed"
    assert new["load"] + new["load_own"] <= MOST_LOADS_OF_A_NEW_RUN
    assert 1 <= again["load"] + again["load_own"] <= MOST_LOADS_OF_THE_SAME_COMMAND_AGAIN
    assert 1 <= resumed["load"] + resumed["load_own"] <= MOST_LOADS_OF_RESUME
