"""Several nodes: how they find each other's attempts, and, without a scheduler, the command for each of them.

Node 0 hosts the rendezvous and decides what is done: without it the run ends on the others, too. They follow it from
attempt to attempt by its events. Of a run that may go on with fewer nodes, each attempt has those that have answered
node 0 (members.py). One that is lost may come back at any time: the ranks save for it, and the next attempt has it.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from yoloscale.agent.looks import Looks
from yoloscale.agent.presence import Answer
from yoloscale.config.freeze import load
from yoloscale.config.schema import RunConfig
from yoloscale.config.topology import differences
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import nobody
from yoloscale.runs.status import Status, status

FIRST_NODE_TIMEOUT_S = 600.0
POLL_S = 0.2
LOOK_S = 2.0  # between two looks at how the run does


@dataclass(frozen=True)
class Announcement:
    """What the first node has started, for the others to join."""

    attempt: int
    job_id: str
    start: str | None = None  # of the job, where there is one
    members: tuple[int, ...] | None = None  # numbers of the nodes that take part; None: all of them


def commands(words: Sequence[str], nodes: int) -> list[str]:
    """The shell command for each node: what the person typed, and the node's number."""
    return [shlex.join(["yoloscale", *words, "--node-rank", str(node)]) for node in range(nodes)]


def wait_for_first_node(
    run: RunDirectory,
    config: RunConfig,
    node_rank: int,
    say: Callable[[str], None],
    *,
    start: str | None = None,
    timeout_s: float = FIRST_NODE_TIMEOUT_S,
) -> Announcement:
    """Wait until node 0 has started an attempt of this very config and job `start` that this node can still join.

    While the run goes on without this node, it waits for the next attempt. Raises ConfigError if the configs differ,
    naming the keys, if that run ends, or when the time is over.
    """
    say(f"waiting for node 0 to start run {run.name!r} in {run.path}")
    answer = Answer(run, config, node_rank, start)
    deadline, look_at = time.monotonic() + timeout_s, time.monotonic()
    tail, looks = events.EventTail(run), Looks(POLL_S)
    before: Status | None = None
    while time.monotonic() < deadline:
        answer.beat()
        if answer.is_refused:
            refuse_if_different(run, config)
        if not looks.is_due():
            time.sleep(POLL_S)
            continue
        announced = newest_announcement(run, node_rank, tail)
        if announced is not None and announced.start == start:
            refuse_if_different(run, config)
            return announced
        if time.monotonic() >= look_at:
            look_at, now = time.monotonic() + LOOK_S, status(run, nobody, tail)
            goes_on = now.is_active and now.attempt > 0
            if before is not None and not goes_on:
                raise ConfigError(Problem("RUN", f"{run.name!r} is {now.state}", "start it on node 0 to go on"))
            if goes_on and (before is None or now.updated_at != before.updated_at):  # not if its host is down
                before, deadline = now, time.monotonic() + timeout_s
    found = f"node 0 started nothing in {run.path} within {timeout_s:.0f} s"
    instead = "start the command of node 0, and give paths.runs on a file system that all nodes share"
    raise ConfigError(Problem("--node-rank", found, instead))


def newest_announcement(run: RunDirectory, node_rank: int, tail: events.EventTail) -> Announcement | None:
    """The newest attempt that node 0 launched for this node, unless it has ended, has its ranks, or had it already.

    `tail`: what this node has read of the events so far.
    """
    history = tail.history()
    attempt = events.last_attempt(history)
    if attempt == 0 or run.launch_record(attempt, node_rank).exists():
        return None
    kinds = {type(event) for event in events.of_attempt(history, attempt)}
    has_ranks = events.AttemptStarted in kinds or any(run.attempt_logs(attempt).glob("rank-*.log"))
    if events.Exited in kinds or has_ranks:
        return None
    try:
        record = json.loads(run.launch_record(attempt).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    members = tuple(record["members"]) if record.get("members") is not None else None
    if members is not None and node_rank not in members:
        return None
    return Announcement(attempt, str(record["job_id"]), record.get("start"), members)


def refuse_if_different(run: RunDirectory, config: RunConfig) -> None:
    """Raise ConfigError if node 0 froze another config than this node composed."""
    problems = [
        Problem(key, f"{first} on node 0, {here} here", "type the same command on every node")
        for key, first, here in differences(load(run.config, of=RunConfig), config)
    ]
    if problems:
        raise ConfigError(problems)
