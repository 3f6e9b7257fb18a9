"""Taking an unfinished run to other ranks, devices or nodes: checked, frozen and put on record."""

from __future__ import annotations

import json
from dataclasses import replace

from yoloscale.config.errors import ConfigError
from yoloscale.config.freeze import freeze, load
from yoloscale.config.plan import describe, is_automatic, plan, world_size
from yoloscale.config.schema import Config
from yoloscale.config.topology import differences, moved
from yoloscale.config.wording import another
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory


def moved_run(run: RunDirectory, wanted: Config) -> Config:
    """What a run is to be frozen with when it goes on as wanted; the frozen config itself if nothing differs.

    Raises ConfigError, with every key, if more than where it runs is to change, or if its batch does not divide.
    """
    frozen, batch = load(run.config), _chosen_batch(run)
    found = moved(frozen, wanted)
    if problems := [another(*entry, of=f"run {run.name!r}") for entry in differences(found, wanted)]:
        raise ConfigError(problems)
    if not is_automatic(found.batch):
        plan(found)
    elif batch is not None:
        plan(found, batch=batch)
    else:  # sized at the first start, and there was none
        found = replace(found, cluster=replace(found.cluster, planned_ranks=world_size(found)))
    return found


def move(run: RunDirectory, wanted: Config) -> None:
    """Freeze what a run goes on with in place of what it was frozen with, if that differs; the caller has its lock.

    Raises ConfigError as `moved_run` does.
    """
    frozen, found = load(run.config), moved_run(run, wanted)
    changes = differences(frozen, found)
    if found == frozen:
        return
    run.check()
    freeze(found, run.config)
    before, now = ({key: json.loads(values[side]) for key, *values in changes} for side in (0, 1))
    batch = _chosen_batch(run)
    words = describe(found) if batch is None else str(plan(found, batch=batch))
    if changes:
        events.record(run, events.MOVED, **{"from": before, "to": now, "plan": words})


def _chosen_batch(run: RunDirectory) -> int | None:
    """The global batch that the first start trained with; None before there was one."""
    started = (record for record in events.history(run) if record["event"] == events.TRAINING_STARTED)
    return next((int(record["batch"]) for record in started), None)
