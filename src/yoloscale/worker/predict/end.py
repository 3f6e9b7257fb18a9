"""The end of a prediction: whoever sees that all parts are there writes what they come to. Rank 0 may be long gone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from yoloscale.distributed.heartbeat import FINISHING, HEARTBEAT
from yoloscale.predictions import claims, maps, parts
from yoloscale.predictions.summary import summarise
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import write_whole
from yoloscale.system.locks import locked
from yoloscale.worker.predict.progress import Extent

LOCK = "end.lock"  # outside claims/, which the first one to end removes while others wait


def end(run: RunDirectory, extent: Extent, views: Mapping[str, Any] | None = None, warning: str | None = None) -> None:
    """Write failures.csv and result.json unless another rank has, say so, and clear up. Any rank, any number of them.

    All write the same, but for the pace, which is what the history said when they looked.

    Args:
        views: what was made of the rows, for result.json.
        warning: what a person should know of these; put on record once.

    Raises RunLost, OSError where the disk takes no more, and RuntimeError where the parts are not those of the
    manifest.
    """
    HEARTBEAT.at(FINISHING)
    run.check()
    lock = run.path / LOCK
    if not run.result.exists():
        with locked(lock):
            if not run.result.exists():
                _write(run, extent, views, warning)
    lock.unlink(missing_ok=True)  # whoever still waits for it, or makes another one, finds the result
    parts.drop_unfinished(run.path)
    maps.drop_unfinished(run.path, lambda: HEARTBEAT.at(FINISHING))
    claims.drop(run.path)


def _write(run: RunDirectory, extent: Extent, views: Mapping[str, Any] | None, warning: str | None) -> None:
    counts = summarise(run.path, range(extent.units), lambda: HEARTBEAT.at(FINISHING))
    if counts.images != extent.images:
        found = f"the parts hold {counts.images} images and the manifest {extent.images}"
        raise RuntimeError(f"{found}: one of them was changed after the run began; start the run under a new name")
    run.check()
    if warning is not None:
        events.warn(run, warning)
    pace = images_per_s(events.history(run))
    record: dict[str, Any] = {"metrics": {}, **counts.as_record(), "images_per_s": pace}
    record |= {} if views is None else {"views": dict(views)}
    write_whole(run.result, json.dumps(record, indent=1) + "\n", synced=True)
    events.append(run, events.Finished(epochs=0, steps=extent.units, images=extent.images))


def images_per_s(history: Sequence[events.Event]) -> float | None:
    """Images a second of all ranks together, in the time in which any of them was at a unit; None without a unit."""
    spans = sorted(
        (event.time - event.seconds, event.time, event.images)
        for event in history
        if isinstance(event, events.UnitDone)
    )
    busy_s, until = 0.0, float("-inf")
    for begin, end, _ in spans:
        busy_s += max(0.0, end - max(begin, until))
        until = max(until, end)
    return round(sum(images for _, _, images in spans) / busy_s, 3) if busy_s > 0 else None
