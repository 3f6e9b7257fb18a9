"""Whole scripts, byte for byte. A golden is written by a person: render the case, read what it says, keep it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yoloscale.backends.base import JobRequest
from yoloscale.backends.slurm.render import script_of
from yoloscale.config.quoting import quote
from yoloscale.config.schema.slurm import OPTIONS

GOLDENS = Path(__file__).parent / "goldens"
NASTY = 'it\'s "$(touch x)" `touch y` $HOME # süß'

BACKSLASH = " \\"
VALUE = NASTY + " \\ \tand\r\nmore"


def quoted(key: str, value: str) -> str:
    """An assignment as a person's shell takes it, in Hydra's quotes."""
    return shlex.quote(f"{key}={quote(value)}")


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("cluster=slurm device=cpu name=plain", {}),
    "cpu": ("cluster=slurm_cpu cluster.partition=cpu cluster.time=4:00:00", {}),
    "1x8": ("cluster=slurm_1x8 cluster.gpus_per_node=a100:8 cluster.account=vision batch=128", {}),
    "4x8_infiniband": ("cluster=slurm_4x8_infiniband cluster.partition=gpu batch=512", {}),
    "preemptible": ("cluster=slurm_preemptible batch=128", {}),
    "pyxis": ("cluster=slurm_container cluster.export=WANDB_API_KEY cluster.env.NCCL_DEBUG=WARN batch=128", {}),
    "apptainer": (
        "cluster=slurm_container cluster.container_runtime=apptainer cluster.container_image='/images/a b.sif' "
        "cluster.container_python=/opt/venv/bin/python cluster.env.NCCL_DEBUG=WARN batch=128",
        {},
    ),
    "apptainer_cpu": (
        "cluster=slurm_cpu cluster.container_runtime=apptainer cluster.container_image=docker://x/y:1",
        {},
    ),
    "fewer_nodes": ("cluster=slurm_cpu cluster.nodes=3 cluster.min_nodes=2 cluster.max_requeues=0 batch=48", {}),
    "array": (
        "cluster=slurm_cpu cluster.array_parallelism=4",
        {"name": "lr0", "folder": Path("/home/ada/parts/runs/lr0"), "array": "0-7"},
    ),
    "all_options": (
        "cluster=slurm name=all cluster.partition=gpu,long cluster.account=vision cluster.qos=high "
        "cluster.constraint='a100&ib' cluster.exclude='node[1-3,7]' cluster.reservation=maint "
        "cluster.dependency=afterok:12:13 cluster.gpus_per_node=2 cluster.cpus_per_task=32 cluster.mem=128G "
        "cluster.exclusive=user cluster.comment='first try' cluster.mail_type=END,FAIL cluster.mail_user=a@b.org "
        "cluster.time=1-12:00:00 cluster.stop_before_s=300 cluster.export=WANDB_API_KEY,HF_HOME "
        "cluster.python=/opt/python/bin/python3 cluster.setup=['module load cuda','conda activate yolo'] "
        "cluster.sbatch.mem_bind=local cluster.sbatch.nice=100 cluster.sbatch.kill-on-invalid-dep=yes "
        "cluster.sbatch.hold=true cluster.sbatch.contiguous=false",
        {},
    ),
    "nasty": (
        f"cluster=slurm device=cpu {quoted('cluster.env.NASTY', VALUE)} {quoted('cluster.comment', NASTY + BACKSLASH)}",
        {
            "name": NASTY,
            "folder": Path(f"/data/{NASTY}\nline two/runs") / NASTY,
            "cache": Path("/data/tab\there\r\n"),
            "working_folder": Path(f"/data/{NASTY}\nline two"),
            "typed": ("train", f"name={NASTY}", "two\nlines", ""),
            "launcher_python": "/opt/my python/bin/python",
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_script_is_as_a_person_wrote_it_down(case: str, job: Callable[..., JobRequest]) -> None:
    command, fields = CASES[case]
    golden = GOLDENS / f"{case}.sbatch"
    assert script_of(job(command, **fields)).decode() == golden.read_bytes().decode()


def test_every_golden_is_compared_and_every_option_is_in_one() -> None:
    assert {golden.stem for golden in GOLDENS.iterdir()} == set(CASES)
    every = (GOLDENS / "all_options.sbatch").read_text(encoding="utf-8")
    assert [option for option in OPTIONS if f"#SBATCH --{option.replace('_', '-')}=" not in every] == []


@pytest.mark.parametrize("case", CASES)
def test_bash_reads_it(case: str) -> None:
    _passes(["bash", "-n", str(GOLDENS / f"{case}.sbatch")])


@pytest.mark.parametrize("case", CASES)
def test_shellcheck_finds_nothing(case: str) -> None:
    if shutil.which("shellcheck") is None:
        missing = "shellcheck is not installed (apt-get install shellcheck)"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    _passes(["shellcheck", str(GOLDENS / f"{case}.sbatch")])


def _passes(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
