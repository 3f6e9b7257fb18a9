"""`yoloscale` typed by somebody with a SLURM account, on the cluster of this session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import lines_of

from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory

TESTS = Path(__file__).parents[2]
SOURCE = TESTS.parent / "src"
STANDIN = TESTS / "standin"
SMALL = (
    *("data.shapes.train_images=64", "data.shapes.val_images=32", "data.shapes.image_size=64", "imgsz=64"),
    *("model=yolo26n.yaml", "device=cpu", "plots=false", "workers=0", "cluster.threads=1"),
)


class SlurmAccount:
    """A folder on the file system that all nodes share, and what is typed there."""

    def __init__(self, folder: Path, cluster: Any, cache: Path) -> None:
        self.folder, self.cluster, self.small, self.cache = folder, cluster, SMALL, cache
        self.environment = {**os.environ, "PYTHONPATH": str(SOURCE), "YOLOSCALE_CACHE": str(cache)}

    def with_stand_ins(self) -> None:
        """From now on ranks are programs without torch, which do what RUN/standin.json says."""
        self.environment["PYTHONPATH"] = os.pathsep.join(map(str, [STANDIN, SOURCE]))

    def type(self, *words: str, code: int = 0, timeout_s: float = 600) -> str:
        """What a command printed; it must end with `code`."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def command(self, *words: str) -> list[str]:
        if words[0] != "yoloscale":
            return list(words)
        return [sys.executable, "-m", *words]

    def train(self, name: str, *settings: str, nodes: int, ranks: int) -> str:
        """Submit a run with some ranks on each node; its job."""
        self.type(*self._training(name, nodes, ranks), *settings)
        return self.job_of(name)

    def prepare(self, name: str, *settings: str, nodes: int, ranks: int) -> None:
        """The same, without submitting it."""
        self.type(*self._training(name, nodes, ranks), *settings, "--prepare")

    def _training(self, name: str, nodes: int, ranks: int) -> tuple[str, ...]:
        where = (f"cluster.nodes={nodes}", f"cluster.procs_per_node={ranks}", f"cluster.cpus_per_task={ranks}")
        return ("yoloscale", "train", f"name={name}", "cluster=slurm", *where, *self.small)

    def stand_in(self, name: str, *settings: str, **script: Any) -> str:
        """Submit a run of stand-ins; its job."""
        self.with_stand_ins()
        words = ["yoloscale", "train", f"name={name}", "cluster=slurm", *SMALL, "cluster.procs_per_node=1", *settings]
        self.type(*words, "--prepare")
        (self.run(name).path / "standin.json").write_text(json.dumps({"steps": 20, **script}))
        self.type(*words)
        return self.job_of(name)

    def run(self, name: str) -> RunDirectory:
        return RunDirectory(self.folder / "runs" / name)

    def job_of(self, name: str) -> str:
        return str(self.events(name, "submitted")[-1]["job"])

    def events(self, name: str, event: str) -> list[dict[str, Any]]:
        return [record for record in lines_of(self.run(name)) if record["event"] == event]

    def trace(self, name: str) -> list[dict[str, Any]]:
        return list(jsonl.read(self.run(name).trace))

    def state(self, job: str) -> str:
        """SLURM's word for it; of an element of an array, too."""
        return str(self.cluster.run("squeue", "--noheader", "--states=all", "--array", f"--jobs={job}", "--format=%T"))

    def account_of(self, name: str) -> str:
        """Everything to read when something goes wrong."""
        run = self.run(name)
        files = [*run.job.glob("slurm-*.out"), *sorted(run.logs.rglob("*.log"))]
        said = "\n".join(f"--- {file.name}\n{file.read_text()[-2500:]}" for file in files)
        return f"{said}\n{self.cluster.run('squeue', '--states=all')}\n" + "\n".join(
            json.dumps(record)[:300] for record in lines_of(run) if record["event"] != "checkpoint_saved"
        )

    def until(self, name: str, is_so: Callable[[], Any], timeout_s: float = 600) -> Any:
        """Wait until it is, and return what it says."""
        deadline = time.monotonic() + timeout_s
        while not (found := is_so()):
            assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s\n{self.account_of(name)}"
            time.sleep(0.1)
        return found

    def until_event(self, name: str, event: str, count: int = 1, timeout_s: float = 600) -> dict[str, Any]:
        self.until(name, lambda: len(self.events(name, event)) >= count, timeout_s)
        return self.events(name, event)[count - 1]

    def until_state(self, name: str, job: str, state: str, timeout_s: float = 600) -> None:
        self.until(name, lambda: self.state(job) == state, timeout_s)


@pytest.fixture
def account(tmp_path: Path, slurm_cluster: Any, cache: Path) -> SlurmAccount:
    return SlurmAccount(tmp_path, slurm_cluster, cache)
