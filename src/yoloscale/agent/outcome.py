"""How an attempt ended, and why: decided from the events of the ranks first, then from the agent's report."""

from __future__ import annotations

import signal
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from yoloscale.agent import agent_report
from yoloscale.exit_codes import BAD_CONFIG, FAILED, FINISHED, INTERRUPTED, STOPPED
from yoloscale.runs.events import Failed
from yoloscale.runs.progress import Progress
from yoloscale.system.formatting import rank_name
from yoloscale.system.processes import describe_exit
from yoloscale.system.signals import STOP_SIGNALS

ABORTED = -signal.SIGABRT
ORDERLY_EXITS = (FINISHED, STOPPED, INTERRUPTED, *(-number for number in STOP_SIGNALS))  # of ranks told to stop


@dataclass(frozen=True)
class Failure:
    """The rank that failed first, as far as can be told; `rank` is None where it was the agent itself."""

    rank: int | None
    host: str
    exit_code: int | None
    error: str
    is_recorded: bool  # the rank put it on record itself
    traceback: str = ""
    collateral: bool = False  # all it says is that another rank is gone
    is_told: bool = False  # by another rank, which knows of it: `rank` and `error` are those of the one that is gone
    at_step: int | None = None  # the optimiser step it was at, from 1
    is_unmet: bool = False  # the nodes did not find each other
    log: str = ""  # path of the log below the run directory
    log_end: tuple[str, ...] = ()

    @property
    def who(self) -> str:
        """Whoever failed, as people are told."""
        return f"the launcher on {self.host}" if self.rank is None else rank_name(self.rank, self.host)


def failed(failure: Failure, attempt: int) -> Failed:
    """The event of a failure that the launcher puts on record."""
    return Failed(
        attempt=attempt,
        rank=failure.rank,
        host=failure.host,
        exit_code=failure.exit_code,
        error=failure.error,
        collateral=False,  # those that are, say so themselves
    )


@dataclass(frozen=True)
class Outcome:
    """The end of an attempt."""

    exit_code: int
    failure: Failure | None = None
    reason: str = ""  # why it was not tried again, where it was tried before

    @property
    def state(self) -> str:
        """In the words of `status`."""
        return {FINISHED: "finished", STOPPED: "preempted", INTERRUPTED: "cancelled"}.get(self.exit_code, "failed")


@dataclass(frozen=True)
class AgentEnd:
    """What the launcher saw of the agent."""

    exit_code: int
    log: str
    host: str
    stop: signal.Signals | None  # what launcher or agent were asked to stop with
    killed: Collection[int] = ()  # pids the launcher killed itself
    is_own_doing: bool = False  # the agent is among them
    rdzv_endpoint: str | None = None
    is_unmet: bool = False  # node 0 was not reached, and the launcher has ended the agent for it


def outcome_of(progress: Progress, end: AgentEnd) -> Outcome:
    """Decide from one attempt's folded events and the end of its agent."""
    if progress.finished:
        return Outcome(FINISHED)
    failure = root_cause(progress.failures, end)
    if progress.cancelled or end.stop is signal.SIGINT or _was_interrupted(progress):
        return Outcome(INTERRUPTED)
    was_asked = end.stop is not None  # a rank that dies makes the agent stop the others, which is no request
    if end.exit_code < 0 and end.exit_code not in ORDERLY_EXITS and not was_asked and not end.is_own_doing:
        # the kernel told the ranks, and they may have saved and stopped in order: that was no request either
        error = f"torchrun's agent {describe_exit(end.exit_code)}"
        killed = Failure(None, end.host, end.exit_code, error, is_recorded=False)
        return Outcome(FAILED, failure if failure.is_recorded and not failure.collateral else killed)
    has_reported = failure.is_recorded and not (was_asked and failure.collateral)  # nodes do not stop all at once
    has_broken = has_reported or (not was_asked and bool(failed_ranks(end)))
    if (progress.stopped is not None or was_asked) and not has_broken:
        return Outcome(STOPPED)
    return Outcome(BAD_CONFIG if failure.exit_code == BAD_CONFIG else FAILED, failure)


def root_cause(recorded: Sequence[Failed], end: AgentEnd) -> Failure:
    """The rank to blame.

    A rank killed by a signal that neither agent nor launcher sent comes first: what the others then report is the
    lost connection. Not so one that aborted itself: a library does that when others are lost, so it comes after those
    that said why. Then the first rank that reported an error, then the agent's own guess, then the agent.
    """
    exits, own = agent_report.rank_exits(end.log), failed_ranks(end)
    has_cause = any(not event.collateral for event in recorded)
    for rank_exit in own:
        if rank_exit.exit_code < 0 and not (rank_exit.exit_code == ABORTED and has_cause):
            return _died(rank_exit, end.host)
    if recorded:
        return _reported(min(recorded, key=blame), exits)
    if own or exits:
        return _died((own or exits)[-1], end.host)
    return _agent_failed(end)


def blame(event: Failed) -> tuple[bool, bool, float]:
    """Order among reports: those that say more than that another rank is gone, killed ranks before what they caused."""
    is_killed = event.exit_code is not None and event.exit_code < 0 and event.exit_code != ABORTED
    return event.collateral, not is_killed, event.time


def _was_interrupted(progress: Progress) -> bool:
    """Whether any rank was; the signal is that of the first rank, if it got one itself."""
    stopped = progress.stopped
    return stopped is not None and (stopped.outcome == "interrupted" or str(stopped.signal) in ("SIGINT", "2"))


def failed_ranks(end: AgentEnd) -> list[agent_report.RankExit]:
    """Ranks that ended in a way that being told to stop does not explain; the agent's own guess stays last."""
    ours = {*end.killed, *agent_report.forced_pids(end.log)}
    exits = agent_report.rank_exits(end.log)
    return [rank_exit for rank_exit in exits if rank_exit.exit_code not in ORDERLY_EXITS and rank_exit.pid not in ours]


def _died(rank_exit: agent_report.RankExit, host: str) -> Failure:
    """A rank that said nothing; agents report on ranks of their own host only, and may call it by its address."""
    code = rank_exit.exit_code
    return Failure(rank_exit.rank, host, code, describe_exit(code), is_recorded=False)


def _reported(event: Failed, exits: Sequence[agent_report.RankExit]) -> Failure:
    host = event.host or "?"
    if (lost := event.lost) is not None:
        return Failure(lost.rank, lost.host or host, None, lost.error, is_recorded=True, collateral=True, is_told=True)
    codes = [rank_exit.exit_code for rank_exit in exits if rank_exit.rank == event.rank]
    return Failure(
        rank=event.rank,
        host=host,
        exit_code=event.exit_code if event.exit_code is not None or not codes else codes[0],
        error=event.error,
        is_recorded=True,
        traceback=event.traceback or "",
        collateral=event.collateral,
        at_step=event.at_step,
    )


def _agent_failed(end: AgentEnd) -> Failure:
    is_unmet = end.rdzv_endpoint is not None and (end.is_unmet or agent_report.failed_to_meet(end.log))
    error = f"torchrun's agent ended with exit code {end.exit_code} before any rank said why"
    if is_unmet:
        error = (
            f"the nodes did not meet at {end.rdzv_endpoint}: is node 0 started, does the name resolve here, "
            "and does a firewall let the port through?"
        )
    return Failure(None, end.host, end.exit_code, error, is_recorded=False, is_unmet=is_unmet)
