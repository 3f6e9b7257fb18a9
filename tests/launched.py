"""Fixtures of tests that start launchers: a config, ranks that are stand-ins, and what they leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.run_events import lines_of

from yoloscale.config.schema import Config, Device
from yoloscale.launch.run_folder import create_or_resume
from yoloscale.runs.directory import RunDirectory

STANDIN = Path(__file__).parent / "standin"
SOURCE = Path(__file__).parents[1] / "src"
NEVER_S = 3600  # longer than any test waits: what would take so long hangs


def make_config(folder: Path, name: str | None = "run", **cluster: Any) -> Config:
    config = Config(name=name)
    config.paths.runs = str(folder)
    config.cluster.procs_per_node, config.cluster.device, config.cluster.backend = 2, Device.cpu, "gloo"
    for key, value in cluster.items():
        setattr(config.cluster, key, value)
    return config


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Config]:
    return lambda name="run", **cluster: make_config(tmp_path / "runs", name, **cluster)


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the stand-in rank importable in the processes a test starts."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(STANDIN), str(SOURCE)]))


class Launched:
    """A launcher process of a run whose ranks are stand-ins."""

    def __init__(self, run: RunDirectory, *arguments: str) -> None:
        self.run = run
        command = [sys.executable, "-m", "standin_launcher", str(run.path), *arguments]
        self.output = run.path.with_name(f"{run.name}-{len(list(run.path.parent.iterdir()))}.output")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def wait(self, timeout_s: float = 300) -> tuple[int, str]:
        exit_code = self.process.wait(timeout_s)
        return exit_code, self.output.read_text()

    def until(self, event: str, timeout_s: float = 300) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for record in lines_of(self.run):
                if record["event"] == event:
                    return record
            assert self.process.poll() is None, self.output.read_text()
            time.sleep(0.05)
        raise AssertionError(f"no event {event} within {timeout_s} s: {lines_of(self.run)}")

    def until_said(self, words: str, rank: int | None = None, timeout_s: float = 300) -> None:
        """Until the launcher, or a rank of the first attempt, has printed that."""
        file, deadline = self.output if rank is None else self.run.rank_log(1, rank), time.monotonic() + timeout_s
        while not file.exists() or words not in file.read_text():
            assert time.monotonic() < deadline, f"not said within {timeout_s} s: {words}"
            assert self.process.poll() is None, self.output.read_text()
            time.sleep(0.05)


@pytest.fixture
def launch(tmp_path: Path, standin: None) -> Iterator[Callable[..., Launched]]:
    """Start a launcher on a fresh run; whatever is left of it afterwards is killed, and is an error."""
    started: list[Launched] = []

    def start(name: str = "run", *, cluster: dict[str, Any] | None = None, **script: Any) -> Launched:
        taken = create_or_resume(make_config(tmp_path / "runs", name, **(cluster or {})), [])
        (taken.run.path / "standin.json").write_text(json.dumps({"steps": 20, **script}))
        taken.release()
        started.append(Launched(taken.run))
        return started[-1]

    yield start
    for launched in started:
        launched.process.kill()
        launched.process.wait()
    _, left = psutil.wait_procs(processes_below(tmp_path), timeout=300)
    for process in left:
        process.kill()
    assert not left, "processes outlived their run"


def processes_below(folder: Path) -> list[psutil.Process]:
    """Processes that have a path below the folder on their command line; other runs on this machine are let alone."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(str(folder) in word for word in process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


@pytest.fixture
def left_over(tmp_path: Path) -> Callable[[], list[psutil.Process]]:
    return lambda: processes_below(tmp_path)
