"""Handing a script to sbatch, with a copy of it in the folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from yoloscale.backends.base import JobRequest
from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.backends.slurm.render import options, script_of
from yoloscale.backends.slurm.sbatch_errors import problem_of
from yoloscale.errors import ConfigError

# where sbatch's variable is not called as the option
_VARIABLES = {"time": "SBATCH_TIMELIMIT", "mem": "SBATCH_MEM_PER_NODE", "switches": "SBATCH_REQ_SWITCH"}
# these would make another job of the script than it says
_NEVER = {f"SBATCH_{name}" for name in ("ARRAY_INX", "ERROR", "INPUT", "REQUEUE", "NO_REQUEUE", "NO_KILL", "WAIT")}
_OF_A_JOB = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_JOB_NODELIST")
_CLIENTS = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_TIME_FORMAT", "SLURM_DEBUG_FLAGS")


def submit(job: JobRequest, *arguments: str) -> str:
    """Submit a job whose folder is there, with arguments for its script; its id. Raises ConfigError as SLURM says."""
    script = next_script(job.folder / "job")
    script.write_bytes(script_of(job))
    try:
        environment = environment_for(job, os.environ)
        answer = call(["sbatch", "--parsable", script.name, *arguments], folder=script.parent, environment=environment)
    except SlurmError as error:
        script.unlink()
        raise ConfigError(problem_of(error.said)) from None
    return answer.split()[-1].partition(";")[0]  # what a site's own wrapper says comes before; a cluster's name behind


def environment_for(job: JobRequest, environ: Mapping[str, str]) -> dict[str, str]:
    """What sbatch inherits: a site's SBATCH_… stay where the script says nothing, since they win over its options.

    What an outer job left is taken away: srun would read its own options from there.
    """
    names = {_VARIABLES.get(name, f"SBATCH_{name.replace('-', '_').upper()}") for name, _ in options(job)}
    names |= _NEVER
    if not environ.keys().isdisjoint(_OF_A_JOB):
        names |= {name for name in environ if name.startswith("SLURM_") and name not in _CLIENTS}
    return {name: value for name, value in environ.items() if name not in names}


def next_script(folder: Path) -> Path:
    """The first free name for a script in the `job` folder of a run."""
    number = 1
    while (script := folder / f"submit-{number}.sbatch").exists():
        number += 1
    return script
