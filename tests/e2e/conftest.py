"""Runs of the real command with real ranks, on rendered images small enough for two cores."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import lines_of

from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory

SOURCE = Path(__file__).parents[2] / "src"
SHAPES = ("data.shapes.train_images=64", "data.shapes.val_images=32", "data.shapes.image_size=160")
MODELS = {
    "detect": "yolo26",
    "segment": "yolo26-seg",
    "pose": "yolo26-pose",
    "obb": "yolo26-obb",
    "classify": "yolo26-cls",
    "semantic": "yolo26-sem",
    "depth": "yolo26-depth",
}


@dataclass(frozen=True)
class Done:
    """What is left of a `yoloscale` command."""

    exit_code: int
    output: str
    run: RunDirectory

    @property
    def trace(self) -> list[dict[str, Any]]:
        return list(jsonl.read(self.run.trace))

    @property
    def metrics(self) -> list[dict[str, Any]]:
        return list(jsonl.read(self.run.metrics))

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in lines_of(self.run) if event["event"] == name]

    def state(self) -> dict[str, Any]:
        import torch

        newest = max(self.run.checkpoints.glob("step-*"))
        state: dict[str, Any] = torch.load(newest / "state.pt", weights_only=True)
        return state


class Commands:
    """`yoloscale` as a person types it, in a folder of its own, with the session's cache."""

    def __init__(self, folder: Path, cache: Path, model: Path) -> None:
        self._folder, self._model = folder, model
        self._environment = {**os.environ, "PYTHONPATH": str(SOURCE), "YOLOSCALE_CACHE": str(cache)}
        self._started: list[subprocess.Popen[str]] = []

    def run_of(self, name: str) -> RunDirectory:
        return RunDirectory(self._folder / "runs" / name)

    def set_variables(self, variables: dict[str, str]) -> None:
        """For all that is started from now on."""
        self._environment |= variables

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "yoloscale", *arguments]
        process = subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def end_all(self) -> None:
        """End what a test that failed has left running."""
        for process in self._started:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=900)

    def train(self, name: str, *arguments: str, ranks: int = 2, code: int = 0, timeout_s: float = 900) -> Done:
        """Train to the end; an exit code other than `code` fails the test with what was printed."""
        return self.finish(self.start_training(name, *arguments, ranks=ranks), name, code, timeout_s)

    def train_together(self, runs: dict[str, tuple[int, tuple[str, ...]]]) -> list[Done]:
        """Train several at once, each by its name with so many ranks and such arguments: a start leaves cores idle."""
        started = {name: self.start_training(name, *given, ranks=ranks) for name, (ranks, given) in runs.items()}
        return [self.finish(process, name, 0, 900) for name, process in started.items()]

    def start_training(self, name: str, *arguments: str, ranks: int = 2) -> subprocess.Popen[str]:
        given = {argument.split("=")[0] for argument in arguments}
        device = () if "device" in given else ("device=cpu",)
        data = () if "data" in given else SHAPES
        model = () if "model" in given else (f"model={self._model}",)
        fixed = (f"name={name}", f"cluster.procs_per_node={ranks}", "imgsz=128", "plots=false")
        return self.start("train", *fixed, *device, *data, *model, *arguments)

    def resume(self, name: str, code: int = 0, timeout_s: float = 900) -> Done:
        return self.finish(self.start("resume", name), name, code, timeout_s)

    def finish(self, process: subprocess.Popen[str], name: str, code: int, timeout_s: float) -> Done:
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.terminate()
            output, _ = process.communicate(timeout=900)
            raise AssertionError(f"no end after {timeout_s} s\n{output}\n{self._logs(name)}") from None
        assert process.returncode == code, f"{output}\n{self._logs(name)}"
        return Done(process.returncode, output, self.run_of(name))

    def until(
        self, process: subprocess.Popen[str], name: str, steps: int, timeout_s: float = 600, attempt: int = 1
    ) -> None:
        """Return when the run has traced so many steps, and trains in this attempt or a later one."""
        deadline = time.monotonic() + timeout_s
        while self._training_attempt(name) < attempt or len(list(jsonl.read(self.run_of(name).trace))) < steps:
            assert process.poll() is None, process.communicate()[0] + self._logs(name)
            assert time.monotonic() < deadline, self._logs(name)
            time.sleep(0.02)

    def _training_attempt(self, name: str) -> int:
        started = [e["attempt"] for e in lines_of(self.run_of(name)) if e["event"] == "training_started"]
        return max(started, default=0)

    def _logs(self, name: str) -> str:
        logs = sorted(self.run_of(name).logs.rglob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in logs)


@pytest.fixture
def yoloscale(tmp_path: Path, cache: Path, narrow_model: Callable[[str], Path]) -> Iterator[Commands]:
    commands = Commands(tmp_path, cache, narrow_model("yolo26"))
    yield commands
    commands.end_all()


@pytest.fixture
def model_of(small_rtdetr: Path, narrow_model: Callable[[str], Path]) -> Callable[[str], str]:
    """The `model=` argument for a task, and for "rtdetr"."""
    return lambda task: f"model={small_rtdetr if task == 'rtdetr' else narrow_model(MODELS[task])}"
