"""The job script, run inside an allocation that a person has already: `salloc`, or a batch script of their own."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from pathlib import Path

from yoloscale.agent.attempt import LOG_END_LINES, Observer
from yoloscale.agent.job_end import JobEnd
from yoloscale.agent.monitor import POLL_S
from yoloscale.agent.outcome import Failure, Outcome
from yoloscale.agent.stop_signals import StopSignals
from yoloscale.backends.base import job_for
from yoloscale.backends.run_lock import RunLock
from yoloscale.backends.slurm.own_job import OwnJob, environment_inside, left_s
from yoloscale.backends.slurm.render import script_of
from yoloscale.backends.slurm.submit import next_script
from yoloscale.backends.status import status
from yoloscale.config.schema import RunConfig
from yoloscale.exit_codes import BAD_CONFIG, FAILED, FINISHED, INTERRUPTED, STOPPED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.endings import record_cancel
from yoloscale.runs.events import EventTail
from yoloscale.runs.tail import last_lines
from yoloscale.system.processes import ChildProcess
from yoloscale.system.slurm_step import job_of


def run_inside(taken: RunLock, config: RunConfig, typed: tuple[str, ...], job: OwnJob, observer: Observer) -> Outcome:
    """Run the job script of a locked run on the nodes of this job and stay until it ends.

    The launchers on the nodes take the lock over. A request to stop is passed on by the run's STOP file, which ranks
    and launchers look for wherever they are; a second Ctrl-C ends the ranks at once, a third one waits for nobody. The
    end of the job is one, too, made `stop_before_s` before it. Raises RunLost if the folder is another run's at the
    end.
    """
    run = taken.run
    script = next_script(run.job)
    script.write_bytes(script_of(job_for(config, run.path, typed)))
    output = run.job / f"{script.stem}.out"
    before = events.last_attempt(events.history(run))
    end = JobEnd(config.cluster.stop_before_s, left_s)
    taken.release()
    with StopSignals() as requests:
        agent = ChildProcess(
            [shutil.which("bash") or "/bin/bash", str(script), run.run_id, str(before)],
            environment_inside(config.cluster, job, os.environ),
            output,
        )
        request = _Request(run, agent, before, observer)
        while (code := agent.wait(POLL_S)) is None:
            observer.watch()
            if requests.first is None and end.is_near():
                requests.received.append(signal.SIGTERM)
            request.pass_on(requests)
    if requests.first is signal.SIGINT and code not in (FINISHED, INTERRUPTED):  # nobody lived to say it
        record_cancel(run, str(job_of(os.environ)))
        code = INTERRUPTED
    run.check()
    observer.watch()
    return _outcome(run, code, output)


class _Request:
    """Passes on what this process is asked, to whoever can do it."""

    def __init__(self, run: RunDirectory, agent: ChildProcess, before: int, observer: Observer) -> None:
        self._run, self._agent, self._before, self._observer = run, agent, before, observer
        self._told = EventTail(run)
        self._is_heard = self._is_passed_on = self._is_ended = False

    def pass_on(self, requests: StopSignals) -> None:
        """To be called again and again."""
        if requests.first is None:
            return
        if not self._is_heard:
            self._is_heard = True
            self._observer.say("stopping: the ranks save a checkpoint first (Ctrl-C again ends them at once)")
        if not self._is_passed_on and self._has_launcher():
            self._is_passed_on = True
            if requests.first is signal.SIGINT:
                events.note(self._run, events.Cancelled())
            if self._run.loss() is None:
                self._run.stop_request.touch()
        if requests.at_once and not self._is_ended:
            self._is_ended = True
            os.killpg(self._agent.pid, signal.SIGTERM)  # srun ends its tasks; were it killed, they would live on
        if requests.received.count(signal.SIGINT) > 2:
            os.killpg(self._agent.pid, signal.SIGKILL)

    def _has_launcher(self) -> bool:
        """Whether the launcher has begun with its first attempt: before that, it forgets all earlier requests."""
        return bool(events.after_attempt(self._told.history(), self._before))


def _outcome(run: RunDirectory, code: int, output: Path) -> Outcome:
    """What the script's exit code says, and whom to blame where it is a failure."""
    if code in (FINISHED, STOPPED, INTERRUPTED):
        return Outcome(code)
    run_status = status(run)
    log = run.path / run_status.failed_log if run_status.failed_log else output
    failure = Failure(
        rank=run_status.failed_rank,
        host=os.uname().nodename,
        exit_code=None,
        error=run_status.error or f"the script {shlex.quote(str(output))} ended with {code}",
        is_recorded=True,
        log=str(log.relative_to(run.path)),
        log_end=tuple(last_lines(log, LOG_END_LINES)),
    )
    return Outcome(BAD_CONFIG if code == BAD_CONFIG else FAILED, failure)
