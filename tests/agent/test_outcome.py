from __future__ import annotations

import signal
from typing import Any

import pytest

from yoloscale.agent.outcome import AgentEnd, outcome_of
from yoloscale.agent.restarts import cause
from yoloscale.runs.events import Failed, LostRank, Preempted
from yoloscale.runs.progress import Progress

REPORT = """
Failures:
[1]:
  time      : 2026-01-01_00:00:00
  host      : node7
  rank      : {rank} (local_rank: 1)
  exitcode  : {code} (pid: {pid})
  error_file: <N/A>
  traceback : none
Root Cause (first observed failure):
[0]:
  time      : 2026-01-01_00:00:00
  host      : node7
  rank      : 0 (local_rank: 0)
  exitcode  : 1 (pid: 100)
  error_file: <N/A>
"""


def end(log: str = "", **fields: Any) -> AgentEnd:
    return AgentEnd(**{"exit_code": 1, "log": log, "host": "here", "stop": None, **fields})


def failed(rank: int, error: str, *, collateral: bool = False, **fields: Any) -> Failed:
    return Failed(attempt=1, rank=rank, error=error, collateral=collateral, **fields)


def stopped(signal: str | None, outcome: str = "preempted") -> Preempted:
    return Preempted(attempt=1, step=3, epoch=1, signal=signal, outcome=outcome)


def test_a_rank_killed_from_outside_is_to_blame_for_the_lost_connections() -> None:
    progress = Progress(failures=[failed(rank=0, host="node7", time=1.0, error="Connection closed by peer")])
    outcome = outcome_of(progress, end(REPORT.format(rank=5, code=-9, pid=105)))
    assert outcome.exit_code == 1
    assert outcome.failure is not None
    assert (outcome.failure.rank, outcome.failure.exit_code, outcome.failure.host) == (5, -9, "here")
    assert "SIGKILL" in outcome.failure.error


def test_a_rank_killed_by_the_launcher_is_not_to_blame() -> None:
    progress = Progress(failures=[failed(rank=0, host="node7", time=1.0, error="out of memory")])
    outcome = outcome_of(progress, end(REPORT.format(rank=5, code=-9, pid=105), killed=[105]))
    assert outcome.failure is not None
    assert (outcome.failure.rank, outcome.failure.error) == (0, "out of memory")


def test_the_first_report_of_a_rank_counts() -> None:
    failures = [failed(rank=3, time=2.0, error="lost"), failed(rank=1, time=1.0, error="cause")]
    outcome = outcome_of(Progress(failures=failures), end())
    assert outcome.failure is not None
    assert (outcome.failure.rank, outcome.failure.error) == (1, "cause")


def test_a_report_of_a_lost_connection_is_not_the_cause() -> None:
    lost = failed(rank=0, time=1.0, error="Connection closed by peer", collateral=True)
    outcome = outcome_of(Progress(failures=[lost, failed(rank=1, time=2.0, error="cause")]), end())
    assert outcome.failure is not None
    assert outcome.failure.error == "cause"


def test_a_rank_that_aborted_itself_after_another_said_why_is_not_the_cause() -> None:
    """A library that finds the others gone calls abort(); so does a heap that is corrupt, which nobody explains."""
    full = failed(rank=3, host="node0", time=1.0, error="OutOfMemoryError: full", traceback="Traceback …")
    aborted = end(REPORT.format(rank=9, code=-6, pid=101))
    outcome = outcome_of(Progress(failures=[full]), aborted)
    assert outcome.failure is not None
    assert (outcome.failure.rank, outcome.failure.host) == (3, "node0")
    lost = failed(rank=0, time=1.0, error="Connection closed by peer", collateral=True)
    by_itself = outcome_of(Progress(failures=[lost]), aborted).failure
    assert by_itself is not None
    assert "killed by SIGABRT" in by_itself.error


def test_a_rank_killed_on_another_node_comes_before_what_others_made_of_it() -> None:
    raised = failed(rank=0, host="node0", time=1.0, error="RuntimeError: odd", traceback="Traceback …")
    killed = failed(rank=3, host="node1", time=2.0, error="was killed by SIGKILL", exit_code=-9)
    failure = outcome_of(Progress(failures=[raised, killed]), end()).failure
    assert failure is not None
    assert failure.rank == 3


def test_the_lost_rank_is_named_where_only_others_could_tell() -> None:
    told = LostRank(2, "node1", "its process has ended without a word")
    lost = failed(rank=4, host="node2", time=1.0, error="PeerLost: …", collateral=True, lost=told)
    failure = outcome_of(Progress(failures=[lost]), end()).failure
    assert failure is not None
    assert cause(failure) == "rank 2 on node1: its process has ended without a word"


def test_a_rank_that_dies_makes_others_save_but_that_is_a_failure() -> None:
    progress = Progress(stopped=stopped(signal="SIGTERM"))
    assert outcome_of(progress, end(REPORT.format(rank=1, code=-9, pid=101))).exit_code == 1


def test_an_agent_that_the_launcher_killed_itself_is_not_the_cause() -> None:
    """A rank of another node was lost, and those here hung: no word of the out-of-memory killer."""
    lost = failed(rank=0, host="node0", time=1.0, error="Connection closed by peer", collateral=True)
    outcome = outcome_of(Progress(failures=[lost]), end(exit_code=-9, is_own_doing=True))
    assert outcome.failure is not None
    assert outcome.failure.collateral
    killed = outcome_of(Progress(failures=[lost]), end(exit_code=-9)).failure
    assert killed is not None
    assert "agent was killed by SIGKILL" in killed.error


def test_bad_config_found_by_a_rank_is_exit_2() -> None:
    assert (
        outcome_of(
            Progress(), end(REPORT.replace("exitcode  : 1 ", "exitcode  : 2 ").format(rank=1, code=2, pid=1))
        ).exit_code
        == 2
    )


@pytest.mark.parametrize(
    ("progress", "stop", "exit_code"),
    [
        (Progress(finished=True), signal.SIGTERM, 0),
        (Progress(stopped=stopped(signal="SIGTERM")), signal.SIGTERM, 75),
        (Progress(stopped=stopped(signal="SIGUSR1")), None, 75),
        (Progress(stopped=stopped(signal="SIGINT")), None, 130),
        (Progress(stopped=stopped(signal=None, outcome="interrupted")), None, 130),
        (Progress(stopped=stopped(signal=None, outcome="preempted")), None, 75),
        (Progress(stopped=stopped(signal="SIGTERM")), signal.SIGINT, 130),
        (Progress(stopped=stopped(signal="SIGTERM"), cancelled=True), signal.SIGTERM, 130),
        (Progress(), signal.SIGTERM, 75),
        (Progress(failures=[failed(rank=0, error="disk full")]), signal.SIGTERM, 1),
        (Progress(), None, 1),
    ],
)
def test_exit_codes(progress: Progress, stop: signal.Signals | None, exit_code: int) -> None:
    assert outcome_of(progress, end(stop=stop)).exit_code == exit_code


def test_nodes_that_do_not_meet_are_told_where() -> None:
    log = "torch.distributed.elastic.rendezvous.api.RendezvousConnectionError: The connection …"
    outcome = outcome_of(Progress(), end(log, rdzv_endpoint="host0:29500"))
    assert outcome.failure is not None
    assert "host0:29500" in outcome.failure.error
