"""Runs that a scheduler starts: printed, submitted, or started in an allocation that is there already."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from yoloscale.backends.run_lock import RunLock
from yoloscale.cli.show.ending import print_ending, shown
from yoloscale.cli.show.watch import announce
from yoloscale.config.schema import Config
from yoloscale.exit_codes import FINISHED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory

if TYPE_CHECKING:
    from yoloscale.backends.base import Allocation
    from yoloscale.runs.frozen_state import FrozenState


def print_script(config: Config, run: RunDirectory, words: Sequence[str]) -> int:
    """Print the bytes that would be submitted, and nothing else to standard output."""
    from yoloscale.backends import registry
    from yoloscale.backends.base import job_for
    from yoloscale.config.plan import describe

    script = registry.required(config.cluster).render(job_for(config, run.path, words))
    print(f"run   {shown(run.path)}\nplan  {describe(config)}", file=sys.stderr)
    write_out(script)
    return FINISHED


def write_out(script: bytes) -> None:
    """To standard output, byte for byte in any locale."""
    sys.stdout.flush()
    sys.stdout.buffer.write(script)
    sys.stdout.buffer.flush()


def start(taken: RunLock, config: Config, words: Sequence[str], before: FrozenState | None) -> int:
    """Submit a locked run, which was so `before`, or run it here if this is an allocation; its exit code."""
    from yoloscale.backends import registry

    job = registry.required(config.cluster).inside()
    return _submit(taken, config, words, before) if job is None else _run_inside(taken, config, words, job)


def _submit(taken: RunLock, config: Config, words: Sequence[str], before: FrozenState | None) -> int:
    from yoloscale.backends import registry
    from yoloscale.config.plan import describe
    from yoloscale.launch.submit import submit

    job = submit(taken, config, words, before)
    path = shown(taken.run.path)
    print(f"run   {path}\nplan  {describe(config)}")
    backend = registry.required(config.cluster)
    print(f"job   {job} submitted\nlogs  {shown(backend.output(taken.run.job, job))}")
    print(f"  yoloscale logs {path} -f\n  yoloscale status {path}\n  yoloscale cancel {path}")
    print(f"  {backend.watch_command([job])}")
    return FINISHED


def _run_inside(taken: RunLock, config: Config, words: Sequence[str], job: Allocation) -> int:
    from yoloscale.agent.attempt import Observer
    from yoloscale.cli.show.display import Display

    before = events.last_attempt(events.history(taken.run))
    announce(config, taken.run, before + 1)
    print(f"job   {job.name}: on the nodes of this allocation", flush=True)
    with Display(taken.run, since_attempt=before) as display:
        outcome = job.run(taken, config, words, Observer(display.watch, display.say))
    print_ending(taken.run, outcome)
    return outcome.exit_code
