"""Runs on SLURM: the script is printed, submitted, or its ranks started in an allocation that is there already."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from yoloscale.cli.ending import shown
from yoloscale.config.schema import Config
from yoloscale.launch.claim import Claim
from yoloscale.runs.directory import RunDirectory


def print_script(config: Config, run: RunDirectory, words: Sequence[str]) -> int:
    """Print the bytes that would be submitted, and nothing else to standard output."""
    from yoloscale.config.plan import describe
    from yoloscale.launch.slurm.job import job_for
    from yoloscale.launch.slurm.render import render

    print(f"run   {shown(run.path)}\nplan  {describe(config)}", file=sys.stderr)
    sys.stdout.write(render(job_for(config, run.path, tuple(words))))
    return 0


def submit_run(taken: Claim, config: Config, words: Sequence[str], *, is_new: bool) -> int:
    """Submit a claimed run, let go of it, and say how to follow it."""
    from yoloscale.config.plan import describe
    from yoloscale.launch.slurm.submit import submit_claimed

    job = submit_claimed(taken, config, tuple(words), is_new=is_new)
    path = shown(taken.run.path)
    print(f"run   {path}\nplan  {describe(config)}")
    print(f"job   {job} submitted\nlogs  {shown(taken.run.job / f'slurm-{job}.out')}")
    print(f"  yoloscale logs {path} -f\n  yoloscale status {path}\n  yoloscale cancel {path}")
    print(f"  squeue -j {shlex.quote(job)}")
    return 0
