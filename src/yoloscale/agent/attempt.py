"""One attempt on one node: start the agent, watch it to its end, put on record how it ended."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from yoloscale.agent import environment, leftovers, torchrun
from yoloscale.agent.monitor import POLL_S, AgentMonitor
from yoloscale.agent.outcome import ABORTED, AgentEnd, Failure, Outcome, failed, failed_ranks, outcome_of
from yoloscale.agent.spec import NodeSpec
from yoloscale.agent.stop_signals import StopSignals
from yoloscale.config.schema import Device
from yoloscale.exit_codes import INTERRUPTED, STOPPED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.tail import last_lines
from yoloscale.system import network
from yoloscale.system.files import write_whole
from yoloscale.system.machine import show_instances
from yoloscale.system.processes import ChildProcess
from yoloscale.system.waiting import wait_until

LOG_END_LINES = 20
OTHER_NODES_WORD_S = 3.0  # until the launcher of the node where it began has written down the cause


@dataclass(frozen=True)
class Observer:
    """Who looks on: `watch` is called about ten times a second, `say` when the launcher itself does something."""

    watch: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Ended:
    """How an attempt ended on this node, and whether training had started."""

    outcome: Outcome
    was_training: bool


def run_attempt(spec: NodeSpec, observer: Observer, requests: StopSignals) -> Ended:
    """Start the ranks of this node and stay until all of them are gone. Main thread only.

    The first Ctrl-C or SIGTERM among `requests` lets the ranks save and stop, the second
    Ctrl-C kills them. However this ends, no process of the job is left on this machine.
    Whoever calls it for node 0 of an attempt with `members` has said that it is launched.
    The last word on the attempt, `exited`, is left to the caller, who knows whether another one follows. Raises RunLost
    when the folder of the run that `spec` names is not its any more: then nothing is written there.
    """
    run = RunDirectory(spec.run)
    if spec.run_id is not None:
        run = owned(run, spec.run_id)
    run.logs.mkdir(exist_ok=True)
    run.attempt_logs(spec.attempt).mkdir(exist_ok=True)
    argv, variables = command(spec)
    _write_launch_record(run, spec, argv, variables)
    if spec.node_rank == 0 and spec.members is None:
        say_launched(run, spec, argv)
    try:
        full_environment = environment.job_environment(variables | events.handed_on(run), os.environ)
        agent = ChildProcess(argv, full_environment, run.agent_log(spec.attempt, spec.node_rank))
        watched = AgentMonitor(spec, run, agent, requests, observer.say)
        exit_code = watched.until_end(observer.watch)
    finally:
        leftover_pids = leftovers.kill_all(spec.mark)
    run.check()
    end = AgentEnd(
        exit_code=exit_code,
        log=watched.log,
        host=socket.gethostname(),
        stop=watched.stop,
        killed={*watched.killed, *leftover_pids},
        is_own_doing=watched.has_killed_agent,
        rdzv_endpoint=spec.rdzv_endpoint,
        is_unmet=watched.is_unmet,
    )
    if all(rank_exit.exit_code >= 0 or rank_exit.exit_code == ABORTED for rank_exit in failed_ranks(end)):
        _hear_other_nodes(spec, watched)
    return Ended(_close(spec, run, watched, end), watched.progress.is_training)


def say_launched(run: RunDirectory, spec: NodeSpec, argv: Sequence[str] | None = None) -> None:
    """Put on record that this launcher looks after an attempt."""
    launched = events.AttemptLaunched(
        attempt=spec.attempt,
        host=socket.gethostname(),
        pid=os.getpid(),
        argv=None if argv is None else tuple(argv),
        start=spec.start,
    )
    events.append(run, launched)


def command(spec: NodeSpec) -> tuple[list[str], dict[str, str]]:
    """The agent's argv and the variables set for it, as they are on this machine."""
    address: str | None = "127.0.0.1"
    if spec.rdzv_endpoint is not None:
        address = network.address_towards(*network.split_endpoint(spec.rdzv_endpoint))
    interface = network.interface_of(address) if address else None
    argv = torchrun.render(spec, torchrun.installed_features())
    instances = show_instances(os.environ) if spec.device is Device.cuda else {}
    return argv, instances | environment.job_variables(spec, instances | dict(os.environ), interface=interface)


def _hear_other_nodes(spec: NodeSpec, watched: AgentMonitor) -> None:
    """Where the ranks here only lost others, give the node where one was killed the time to say so.

    A node that knows of such a rank of its own does not wait: it is the one the others wait for.
    """

    def is_told() -> bool:
        watched.read_events()
        failures = watched.progress.failures
        return not failures or not all(event.collateral for event in failures)

    if spec.nodes > 1:
        wait_until(is_told, OTHER_NODES_WORD_S, POLL_S)


def _close(spec: NodeSpec, run: RunDirectory, watched: AgentMonitor, end: AgentEnd) -> Outcome:
    """Decide how it ended and write what the ranks could not write themselves, if the disk takes it."""
    outcome = outcome_of(watched.progress, end)
    if outcome.exit_code == INTERRUPTED and not watched.progress.cancelled:
        events.note(run, events.Cancelled())
    if outcome.exit_code == STOPPED and watched.progress.stopped is None and not watched.is_over:
        preempted = events.Preempted(
            attempt=spec.attempt,
            step=watched.progress.step,
            epoch=watched.progress.epoch,
            signal=watched.stop.name if watched.stop else "SIGTERM",
            outcome=outcome.state,
            saved=False,
        )
        events.note(run, preempted)
    if outcome.failure is not None:
        failure = _with_log(run, spec, outcome.failure)
        outcome = replace(outcome, failure=failure)
        if not failure.is_recorded and not watched.is_over:
            events.note(run, failed(failure, spec.attempt))
    return outcome


def _with_log(run: RunDirectory, spec: NodeSpec, failure: Failure) -> Failure:
    """Add the end of the log of whoever failed."""
    log = run.agent_log(spec.attempt, spec.node_rank)
    if failure.rank is not None and run.rank_log(spec.attempt, failure.rank).exists():
        log = run.rank_log(spec.attempt, failure.rank)
    end = tuple(last_lines(log, LOG_END_LINES))
    return replace(failure, log=str(log.relative_to(run.path)), log_end=end)


def _write_launch_record(run: RunDirectory, spec: NodeSpec, argv: list[str], variables: dict[str, str]) -> None:
    """job/attempt-k.json: all that is needed to do the same by hand. Of inherited variables the names only."""
    record = {
        "attempt": spec.attempt,
        "job_id": spec.job_id,
        "run_id": spec.run_id,
        "start": spec.start,
        "members": spec.members,
        "host": socket.gethostname(),
        "time": round(time.time(), 3),
        "argv": argv,
        "environment": variables,
        "inherited": sorted(os.environ),
        "working_folder": str(Path.cwd()),
    }
    run.check()
    write_whole(run.launch_record(spec.attempt, spec.node_rank), json.dumps(record, indent=1))
