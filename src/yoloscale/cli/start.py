"""A run that is asked for, started as a person sees it: here, in the background, in an allocation, or as a job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from yoloscale.cli.show.ending import print_ending, print_late_ending, shown
from yoloscale.cli.show.watch import announce, run_detached, run_watched, say
from yoloscale.exit_codes import FINISHED
from yoloscale.runs import events

if TYPE_CHECKING:
    from yoloscale.backends.base import Allocation
    from yoloscale.backends.run_lock import LockedRun
    from yoloscale.config.schema import RunConfig
    from yoloscale.launch.start import RunRequest
    from yoloscale.runs.directory import RunDirectory


def start(request: RunRequest, *, detach: bool) -> int:
    """Take what is asked for and start it, in the job around this command if there is one; its exit code."""
    from yoloscale.backends.run_lock import RunInUse
    from yoloscale.launch.late import late_request
    from yoloscale.launch.start import allocation

    job = allocation(request.config)
    if job is not None:
        request.refuse_if_taken()  # the reason that no larger job would mend
        job.refuse_too_small(request.config)
    try:
        taken = request.take(say)
    except RunInUse:
        if detach or (late := late_request(request, say)) is None:
            raise
        return _join(*late)
    if taken.config.cluster.is_here:
        return run_detached(taken) if detach else run_watched(taken)
    return _submit(request, taken) if job is None else _run_inside(request, taken, job)


def _join(run: RunDirectory, config: RunConfig) -> int:
    """Have ranks of this machine take part in a run that goes on; the exit code."""
    from yoloscale.agent.attempt import Observer
    from yoloscale.agent.late_ranks import run_late
    from yoloscale.backends import registry
    from yoloscale.backends.status import status
    from yoloscale.cli.show.display import Display

    attempt = events.last_attempt(events.history(run))
    announce(config, run, attempt)
    print(f"run {run.name!r} goes on already: the ranks here take part in it until it ends", flush=True)
    with Display(run, since_attempt=attempt) as display:
        observer = Observer(display.watch, display.say)
        outcome = run_late(run, config, observer, left_s=registry.job_time_left())
    print_late_ending(run, outcome, status(run))
    return outcome.exit_code


def print_script(request: RunRequest) -> int:
    """Print the bytes that would be submitted, and nothing else to standard output."""
    from yoloscale.backends import registry
    from yoloscale.backends.base import job_for
    from yoloscale.config.plan import describe

    config, run = request.config, request.run
    script = registry.required(config.cluster).render(job_for(config, run.path, request.words(run.name)))
    print(f"run   {shown(run.path)}\nplan  {describe(config)}", file=sys.stderr)
    write_out(script)
    return FINISHED


def write_out(script: bytes) -> None:
    """To standard output, byte for byte in any locale."""
    sys.stdout.flush()
    sys.stdout.buffer.write(script)
    sys.stdout.buffer.flush()


def _submit(request: RunRequest, taken: LockedRun) -> int:
    from yoloscale.backends import registry
    from yoloscale.config.plan import describe
    from yoloscale.launch.submit import submit

    job = submit(request, taken)
    path = shown(taken.run.path)
    print(f"run   {path}\nplan  {describe(taken.config)}")
    backend = registry.required(taken.config.cluster)
    print(f"job   {job} submitted\nlogs  {shown(backend.output(taken.run.job, job))}")
    print(f"  yoloscale logs {path} -f\n  yoloscale status {path}\n  yoloscale cancel {path}")
    print(f"  {backend.watch_command([job])}")
    return FINISHED


def _run_inside(request: RunRequest, taken: LockedRun, job: Allocation) -> int:
    from yoloscale.agent.attempt import Observer
    from yoloscale.cli.show.display import Display

    before = events.last_attempt(events.history(taken.run))
    announce(taken.config, taken.run, before + 1)
    print(f"job   {job.name}: on the nodes of this allocation", flush=True)
    with Display(taken.run, since_attempt=before) as display:
        observer = Observer(display.watch, display.say)
        outcome = job.run(taken, taken.config, request.words(taken.run.name), observer)
    print_ending(taken.run, outcome)
    return outcome.exit_code
