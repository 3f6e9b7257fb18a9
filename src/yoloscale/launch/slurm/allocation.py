"""The job script, run inside an allocation that a person has already: `salloc`, or a batch script of their own."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.schema import Config
from yoloscale.config.slurm_step import job_of, step_of
from yoloscale.launch.attempt import LOG_END_LINES, Observer
from yoloscale.launch.claim import Claim
from yoloscale.launch.outcome import FAILED, Failure, Outcome
from yoloscale.launch.process import Agent
from yoloscale.launch.slurm.job import job_for
from yoloscale.launch.slurm.render import script_of
from yoloscale.launch.slurm.submit import next_script
from yoloscale.launch.stop import StopRequests
from yoloscale.launch.watched import POLL_S
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.status import status
from yoloscale.runs.tail import last_lines


def allocation_of(environ: Mapping[str, str] = os.environ) -> str | None:
    """The job whose nodes a command typed here would use; None outside of one, and in a task of an srun."""
    return None if step_of(environ) is not None else job_of(environ)


def refuse_too_small(config: Config, environ: Mapping[str, str] = os.environ) -> None:
    """Raise ConfigError if the allocation has fewer nodes than the run is to have."""
    there, wanted = int(environ["SLURM_JOB_NUM_NODES"]), config.cluster.nodes
    if wanted > there:
        found = f"{wanted}, but job {job_of(environ)}, which this is typed in, has {there}"
        instead = f"write cluster.nodes={there}; to submit a job from here: env -u SLURM_JOB_ID yoloscale …"
        raise ConfigError(Problem("cluster.nodes", found, instead))


def run_inside(taken: Claim, config: Config, typed: tuple[str, ...], observer: Observer) -> Outcome:
    """Run the job script of a claimed run here and stay until it ends; the launchers on the nodes take the lock over.

    A request to stop is passed on by the run's STOP file, which ranks and launchers look for wherever they are; a
    second Ctrl-C ends the ranks at once.
    """
    run = taken.run
    script = next_script(run.job)
    script.write_bytes(script_of(job_for(config, run.path, typed)))
    output = run.job / f"{script.stem}.out"
    before = len(events.history(run))
    taken.release()
    with StopRequests() as requests:
        agent = Agent([shutil.which("bash") or "/bin/bash", str(script), str(before)], os.environ, output)
        is_asked = False
        while (code := agent.wait(POLL_S)) is None:
            observer.watch()
            if requests.first is not None and not is_asked:
                is_asked = True
                _ask_to_stop(run, requests.first, observer)
            if requests.at_once:
                os.killpg(agent.pid, signal.SIGKILL)  # srun with it, and SLURM then ends its tasks
    observer.watch()
    return _outcome(run, code, output)


def _ask_to_stop(run: RunDirectory, number: signal.Signals, observer: Observer) -> None:
    observer.say("stopping: the ranks save a checkpoint first (Ctrl-C again ends them at once)")
    if number is signal.SIGINT:
        events.note(run, events.CANCELLED)
    run.stop_request.touch()


def _outcome(run: RunDirectory, code: int, output: Path) -> Outcome:
    """What the script's exit code says, and whom to blame where it is a failure."""
    if code not in (1, 2):
        return Outcome(code if code >= 0 else FAILED)
    found = status(run)
    log = run.path / found.failed_log if found.failed_log else output
    failure = Failure(
        rank=found.failed_rank,
        host=os.uname().nodename,
        exit_code=None,
        error=found.error or f"the script {shlex.quote(str(output))} ended with {code}",
        is_recorded=True,
        log=str(log.relative_to(run.path)),
        log_end=tuple(last_lines(log, LOG_END_LINES)),
    )
    return Outcome(code, failure)
