"""One launcher for a run, however it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from yoloscale.errors import ConfigError
from yoloscale.launch.once import refuse_several

SOURCE = Path(__file__).parents[2] / "src"
TASK = {
    "SLURM_JOB_ID": "42",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
    "SLURM_PROCID": "0",
    "SLURM_NODEID": "0",
    "SLURM_LOCALID": "0",
}
ALONE_IN_SLURM = {**TASK, "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_TASKS_PER_NODE": "1"}
BATCH = {"SLURM_JOB_ID": "42", "SLURM_NTASKS": "8"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}


@pytest.mark.parametrize(
    ("environ", "starter", "count", "instead"),
    [
        (TASK, "srun", 2, "yoloscale train … cluster=slurm"),
        (TASK, "srun", 2, "srun --ntasks=RANKS python -m yoloscale.worker RUN"),
        (TORCHRUN, "torchrun", 2, "without torchrun: yoloscale train …"),
        (TORCHRUN, "torchrun", 2, "torchrun --nproc-per-node=RANKS -m yoloscale.worker RUN"),
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"}, "mpirun", 4, "without mpirun"),
        ({"PMI_SIZE": "3", "PMI_RANK": "0"}, "mpirun", 3, "without mpirun"),
        ({"PMIX_RANK": "1"}, "mpirun", 2, "without mpirun"),
        ({"RANK": "0", "WORLD_SIZE": "8", "MASTER_ADDR": "pod-0"}, "RANK, WORLD_SIZE", 8, "--node-rank K"),
        ({**BATCH, **TORCHRUN}, "torchrun", 2, "without torchrun: yoloscale train … cluster=slurm"),
        ({**BATCH, "RANK": "0", "WORLD_SIZE": "8"}, "RANK, WORLD_SIZE", 8, "unset RANK WORLD_SIZE"),
        ({**BATCH, "RANK": "0", "WORLD_SIZE": "8"}, "RANK, WORLD_SIZE", 8, "yoloscale train … cluster=slurm"),
    ],
)
def test_several_launchers_are_told_what_to_type(
    environ: dict[str, str], starter: str, count: int, instead: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        refuse_several(["train", "model=yolo26n"], environ)
    (problem,) = raised.value.problems
    assert problem.key == starter
    assert f"in each of {count} processes" in problem.found
    assert instead in problem.instead


@pytest.mark.parametrize(
    "environ",
    [
        {},
        ALONE_IN_SLURM,
        {**TASK, "SLURM_STEP_ID": str(0xFFFFFFFA)},  # the shell of salloc
        BATCH,
        {"OMPI_COMM_WORLD_SIZE": "1", "PMI_SIZE": "1", "PMIX_RANK": "0"},
        {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"},
        {"RANK": "0"},
    ],
)
def test_one_launcher_starts(environ: dict[str, str]) -> None:
    refuse_several(["train"], environ)


@pytest.mark.parametrize("word", ["--help", "--dry-run", "--node-rank", "--node-rank=1", "--cfg"])
def test_what_starts_nothing_and_a_node_with_its_number_may_be_several(word: str) -> None:
    refuse_several(["train", word], TASK)


@pytest.mark.parametrize("verb", ["train", "resume", "bench"])
def test_every_verb_that_starts_ranks_refuses_before_anything_is_made(verb: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "yoloscale", verb, *(["train"] if verb == "bench" else ["name=x"])]
    environment = {**os.environ, **TASK, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 2
    assert f"srun: `yoloscale {verb}` in each of 2 processes" in done.stderr
    assert not list(tmp_path.iterdir())


def test_from_python_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import yoloscale

    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    for start in (yoloscale.train, yoloscale.sweep):
        with pytest.raises(ConfigError, match="in each of 2 processes"):
            start("weight_decay=0.1,0.2")


def test_torchrun_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "yoloscale", "train"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode != 0
    assert "torchrun: `yoloscale train` in each of 2 processes" in done.stderr
    assert not list(tmp_path.iterdir())
