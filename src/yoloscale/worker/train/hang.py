"""What a hang leaves in the run directory."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from yoloscale.config.schema import RunConfig
from yoloscale.data.worker_deaths import describe_workers
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.hang.detect import Hang
from yoloscale.distributed.hang.state_store import connect
from yoloscale.distributed.hang.watchdog import Timing, Watchdog
from yoloscale.distributed.heartbeat import EVALUATING, HEARTBEAT, LOADING
from yoloscale.distributed.peers import PEERS, Loss
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory

SHOWN = 4  # logs
LOOK_S = 2.0  # between two looks at what the launchers have put on record


def watch(config: RunConfig, run: RunDirectory, ranks: Ranks, attempt: int) -> Watchdog:
    """Called by every rank before it joins the others. A watchdog that has begun to watch; close it at the end."""
    timing = Timing(config.cluster.timeout_s)
    watchdog = Watchdog(ranks, connect(ranks), timing, lambda hang: record(run, ranks, attempt, hang))
    watchdog.start()
    if ranks.is_first and ranks.world_size > 1:
        arguments = (run, ranks, attempt, time.time())
        threading.Thread(target=_hear_launchers, args=arguments, name="launchers", daemon=True).start()
    return watchdog


def _hear_launchers(run: RunDirectory, ranks: Ranks, attempt: int, since: float) -> None:
    """Tell the ranks of what a launcher has put on record: all ranks of its node may be gone, and nobody else knows.

    Rank 0 looks, and only while it waits; in a thread of its own, since a shared disk may not answer. On GPUs it waits
    through most of a step, so what was read before is not read again.
    """
    tail = events.EventTail(run)
    while PEERS.loss is None and not PEERS.are_leaving:
        time.sleep(LOOK_S)
        if HEARTBEAT.last.phase.waits:
            with suppress(OSError):
                loss = recorded_loss(tail.new(), ranks.rank, attempt, since)
                if loss is not None:
                    PEERS.announce(loss)


def recorded_loss(history: Sequence[events.Event], mine: int, attempt: int, since: float) -> Loss | None:
    """The first failure of another rank in this attempt since its start, as its launcher has put it on record."""
    for event in history:
        if not isinstance(event, events.Failed) or event.attempt != attempt or event.time < since:
            continue
        if event.rank is not None and event.rank != mine and not event.collateral and not event.hang:
            is_gone = event.exit_code is not None and event.exit_code < 0
            return Loss(event.rank, event.host or "?", event.error, is_gone=is_gone)
    return None


def record(run: RunDirectory, ranks: Ranks, attempt: int, hang: Hang) -> None:
    """Put on record who hangs, once per attempt: ranks that cannot ask each other may find the same."""
    this_attempt = events.of_attempt(events.history(run), attempt)
    if any(isinstance(event, events.Failed) and event.hang and event.attempt == attempt for event in this_attempt):
        return
    rank, host = hang.ranks[0] if hang.ranks else ranks.rank, hang.host or ranks.host
    parts = [hang.predicate if len(hang.ranks) == 1 else hang.message]
    if hang.ranks == (ranks.rank,) and HEARTBEAT.last.phase in (LOADING, EVALUATING):
        parts.append(describe_workers())
    numbers = hang.ranks[:SHOWN] if hang.answers else ()
    logs = [run.rank_log(attempt, number) for number in numbers] or [run.attempt_logs(attempt)]
    if paths := [str(log.relative_to(run.path)) for log in logs if log.exists()]:
        parts.append(f"stacks are in {', '.join(paths)}")
    error = "; ".join(filter(None, parts))
    events.append(run, events.Failed(attempt=attempt, rank=rank, host=host, error=error, collateral=False, hang=True))
