"""A real SLURM cluster for the tests of this folder: made once, for those that ask for it, and tidied after each."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "slurm-cluster"
CANNOT_BE_MADE_HERE = 3  # the script's exit code for it
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL"}


def script(*words: str | Path, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
    """Run scripts/slurm-cluster. A test without the rights or packages for it is skipped, but fails in CI."""
    command = [str(SCRIPT), *map(str, words), *(["--no-install"] if words[0] == "up" else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode == CANNOT_BE_MADE_HERE:
        missing = f"a SLURM cluster cannot be made here: {done.stderr.strip()}"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    return done


@dataclass(frozen=True)
class SlurmCluster:
    """Four nodes with two CPUs each, partitions `main` and `low`; `folder` is seen by all nodes, as if on NFS."""

    folder: Path
    options: tuple[str, ...] = ("--nodes=4", "--cpus=2")

    @property
    def nodes(self) -> list[str]:
        return ["node1", "node2", "node3", "node4"]

    @property
    def configuration(self) -> Path:
        return self.folder / "etc" / "slurm.conf"

    def up(self) -> None:
        done = script("up", self.folder, *self.options)
        assert done.returncode == 0, done.stderr

    def down(self) -> None:
        done = script("down", self.folder)
        assert done.returncode == 0, done.stderr

    def node(self, name: str, action: str, *command: str) -> str:
        """poweroff, poweron, kill-slurmd, start-slurmd, or exec with a command; returns what that printed."""
        done = script("node", self.folder, name, action, *command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def controller(self, action: str) -> None:
        """Stop or start it."""
        done = script("controller", self.folder, action)
        assert done.returncode == 0, done.stderr

    def run(self, *command: str, folder: Path | None = None, timeout_s: float = 900) -> str:
        """What one of SLURM's commands printed; it must succeed. `folder`: where it is typed."""
        environment = {**os.environ, "SLURM_CONF": str(self.configuration)}
        reading = {"text": True, "errors": "replace"}  # a column may be cut within a character
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=timeout_s, check=False, **reading
        )
        assert done.returncode == 0, f"{command}: {done.stderr or done.stdout}"
        return done.stdout.strip()

    def sbatch(self, script: str, *options: str, folder: Path) -> int:
        """Submit the lines of a bash script in a folder, and return the job's id. Its output is in `job-ID.out`."""
        file = folder / "job.sh"
        file.write_text(f"#!/bin/bash\n{script}\n")
        output = ("--output=job-%j.out", "--open-mode=append")
        return int(self.run("sbatch", "--parsable", *output, *options, str(file), folder=folder).split(";")[0])

    def state(self, job: int) -> str:
        """RUNNING, COMPLETED …, as squeue has it; of jobs that have ended, too."""
        return self.run("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")

    def wait_for(self, job: int, *states: str, timeout_s: float = 600) -> str:
        """Wait until a job is in one of these states, by default: until it has ended. Returns the state."""
        wanted = set(states) or ENDED
        wait_until(lambda: self.state(job) in wanted, f"job {job} is {' or '.join(sorted(wanted))}", timeout_s)
        return self.state(job)

    def node_states(self) -> dict[str, str]:
        lines = self.run("sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %T").splitlines()
        return dict(line.split() for line in lines)

    def tidy(self) -> None:
        """No job and no fault of a test's is left to the next one."""
        try:
            self.run("scancel", "--user=root")
            wait_until(lambda: not self.run("squeue", "--noheader"), "the queue is empty", 60)
            wait_until(lambda: set(self.node_states().values()) == {"idle"}, "the nodes are idle", 30)
        except (AssertionError, subprocess.TimeoutExpired):
            self.down()  # a new one is quicker than whatever it suffers from
        self.up()  # which leaves it alone if it is well


def wait_until(is_so: Callable[[], bool], what: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not after {timeout_s:.0f} s: {what}"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def slurm_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """The cluster. SLURM_CONF is set in the tests that ask for it, and in no others."""
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    # a time-out of pytest's ends it without another word: then somebody else has to end the cluster
    when_it_has_ended = ["sh", "-c", 'read -r _; exec "$1" down "$2"', "sh", str(SCRIPT), str(cluster.folder)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(when_it_has_ended, stdin=subprocess.PIPE, start_new_session=True, **quiet):
        cluster.up()
        yield cluster


@pytest.fixture(autouse=True)
def tidy_cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if "slurm_cluster" not in request.fixturenames:
        yield
        return
    cluster = request.getfixturevalue("slurm_cluster")
    monkeypatch.setenv("SLURM_CONF", str(cluster.configuration))
    yield
    cluster.tidy()


@pytest.fixture
def slurm_script() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`slurm_script("up", folder)`: scripts/slurm-cluster itself."""
    return script
