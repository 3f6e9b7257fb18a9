"""Handing a script to sbatch, with a copy of it in the folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.schema import Config
from yoloscale.launch.claim import Claim
from yoloscale.launch.slurm.job import SlurmJob, job_for
from yoloscale.launch.slurm.render import options, render
from yoloscale.runs import events
from yoloscale.runs.slurm_commands import SlurmError, call


def submit_claimed(taken: Claim, config: Config, typed: tuple[str, ...], *, is_new: bool) -> str:
    """Submit a claimed run and let go of it; the job's id. The run stays only if it was there before, or is submitted.

    Raises ConfigError with what SLURM said.
    """
    run = taken.run
    try:
        job = submit(job_for(config, run.path, typed))
        events.record(run, events.SUBMITTED, job=job)
    except ConfigError:
        if is_new:
            shutil.rmtree(run.path)
        raise
    finally:
        taken.release()
    return job


def submit(job: SlurmJob) -> str:
    """Submit a job whose folder is there; its id. Raises ConfigError with what SLURM said."""
    folder = job.folder / "job"
    script = next_script(folder)
    script.write_text(render(job), encoding="utf-8")
    given = {f"SBATCH_{name.replace('-', '_').upper()}" for name, _ in options(job)} | {"SBATCH_TIMELIMIT"}
    environment = {name: value for name, value in os.environ.items() if name not in given}
    try:
        answer = call(["sbatch", "--parsable", script.name], folder=folder, environment=environment)
    except SlurmError as error:
        script.unlink()
        raise ConfigError(Problem("sbatch", error.said, _instead(error.said))) from None
    return answer.strip().partition(";")[0]


def next_script(folder: Path) -> Path:
    """The first free name for a script in the `job` folder of a run."""
    number = 1
    while (script := folder / f"submit-{number}.sbatch").exists():
        number += 1
    return script


def _instead(said: str) -> str:
    if said.startswith("there is no sbatch"):
        return "type it where sbatch works, on a login node; --dry-run prints the script, cluster=local trains here"
    return "nothing was submitted: change the cluster.… settings, or try again"
