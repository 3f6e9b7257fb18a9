"""Who is told how a run goes: from the config to trackers, under ids that outlive every start."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial

from yoloscale.checkpoint.state import Progress
from yoloscale.config.freeze import parse
from yoloscale.config.schema import Config
from yoloscale.data.seeds import derive
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.engine.loop import Outcome
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.goodput import starts_of, time_spent
from yoloscale.runs.sweep_directory import sweep_of
from yoloscale.system.files import write_whole
from yoloscale.system.secrets import without_logins
from yoloscale.track.background import BackgroundTrackers
from yoloscale.track.make import makers
from yoloscale.track.secrets import shown
from yoloscale.track.tracker import RunFacts, Tracker

IDENTITY = "wandb"  # in the checkpoint and in job/trackers.json; beside it what W&B's agent has set
AGENTS_VARIABLES = ("WANDB_SWEEP_ID", "WANDB_PROJECT", "WANDB_ENTITY")
FINISHED_TIMEOUT_S = 60.0  # for what trackers still have to send
STOPPED_TIMEOUT_S = 20.0  # somebody waits for the node
FAILED_TIMEOUT_S = 10.0


def open_trackers(
    config: Config, run: RunDirectory, ranks: Ranks, progress: Progress, attempt: int
) -> BackgroundTrackers:
    """Collective. The trackers of this rank: those of the run on rank 0; on other nodes who tells of the node.

    Returns at once: servers are spoken to in the background.
    """
    progress.tracker |= group.broadcast_object(_identity(run, progress) if ranks.is_first else {})
    facts = RunFacts(
        folder=run.path,
        name=run.name,
        identity=progress.tracker[IDENTITY],
        settings=shown(parse(run.config.read_text(encoding="utf-8"))) if ranks.is_first else {},
        group=sweep.name if (sweep := sweep_of(run)) is not None else None,
        from_agent={name: progress.tracker[name] for name in AGENTS_VARIABLES if name in progress.tracker},
        node=ranks.node,
        nodes=ranks.nodes,
        warn=partial(_warn, run),
        found_at=lambda tracker, where: events.note(run, events.Tracked(tracker=tracker, where=where)),
    )
    by_name = makers(config.logger, facts) if ranks.is_first_of_node else {}
    marks = run.tracked(ranks.node)
    trackers = BackgroundTrackers(by_name, marks, facts.warn, partial(_goodput, run), check=run.glance)
    if ranks.is_first and attempt > 1 and (reason := why_restarted(events.history(run), attempt)):
        trackers.tell(partial(_alert, title=f"{run.name}: restarted", text=f"Attempt {attempt} goes on after {reason}"))
    return trackers


def tell_stopped(trackers: BackgroundTrackers, run: RunDirectory, progress: Progress, outcome: Outcome) -> None:
    """A run that was asked to stop by its scheduler, not by a person, is worth an alert."""
    if outcome is Outcome.preempted:
        position = progress.position
        text = f"Stopped on request after step {position.total}, in epoch {position.epoch + 1}; a checkpoint is saved."
        trackers.tell(partial(_alert, title=f"{run.name}: preempted", text=text))


def close_failed(trackers: BackgroundTrackers, run: RunDirectory, error: BaseException) -> None:
    """Not collective. Say what has ended this rank, and end its trackers; does not take long.

    Trackers of a run that has lost its folder are left as they are: they would write into it.
    """
    if run.loss() is not None:
        return
    text = f"{type(error).__name__}: {error}"[:1000]
    trackers.tell(partial(_alert, title=f"{run.name}: failed", text=text))
    trackers.close(1, FAILED_TIMEOUT_S)


def why_restarted(history: Sequence[events.Event], attempt: int) -> str | None:
    """What ended the start before this one; None if it was asked to stop, or has told of its failure itself."""
    before = events.of_attempt(history, attempt - 1)
    failed = [event for event in before if isinstance(event, events.Failed)]
    has_told = any(event.rank == 0 and event.traceback is not None for event in failed)  # not its launcher for it
    if has_told or any(isinstance(event, events.Preempted) for event in before):
        return None
    own = next((event for event in failed if not event.collateral), None)
    return own.text if own else "the one before was killed"


def _identity(run: RunDirectory, progress: Progress) -> dict[str, str]:
    """Ids by which trackers know the run: the same at every start, also before the first checkpoint.

    A run that W&B's agent starts has the id that the agent has chosen. A sweep of our own has many runs, so that none
    of its points takes an id from the environment.
    """
    file = run.trackers
    if IDENTITY in progress.tracker:
        return dict(progress.tracker)
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        ids = {} if sweep_of(run) is not None else _of_agent(os.environ)
    ids.setdefault(IDENTITY, tracker_id(run))
    try:
        run.check()
        file.parent.mkdir(exist_ok=True)
        write_whole(file, json.dumps(ids) + "\n")
    except OSError as error:
        print(f"{file.name}: {error}", flush=True)
    return ids


def _of_agent(environ: Mapping[str, str]) -> dict[str, str]:
    own = {IDENTITY: environ["WANDB_RUN_ID"]} if environ.get("WANDB_RUN_ID") else {}
    if not environ.get("WANDB_SWEEP_ID"):
        return own
    return {**own, **{name: environ[name] for name in AGENTS_VARIABLES if environ.get(name)}}


def tracker_id(run: RunDirectory) -> str:
    """An id of the run's own, from its name and when it was first started."""
    first = next(iter(events.history(run)), None)
    started_at = first.time if first is not None else 0
    return f"{derive('tracker', run.name, str(started_at)):016x}"[-12:]


def _warn(run: RunDirectory, message: str) -> None:
    """Put a tracker's trouble on record; the address that does not answer may have a login in it."""
    events.warn(run, without_logins(message))


def _goodput(run: RunDirectory) -> dict[str, float]:
    spent = time_spent(starts_of(run, events.history(run)), time.time(), goes_on=True)
    return {"epoch/goodput": round(spent.goodput, 4)}


def _alert(tracker: Tracker, *, title: str, text: str) -> None:
    tracker.alert(title, text)
