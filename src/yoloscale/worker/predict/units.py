"""One unit of the manifest: from its items to the rows of its part."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yoloscale.distributed.heartbeat import HEARTBEAT, Phase
from yoloscale.manifest.table import Item
from yoloscale.predictions import maps
from yoloscale.predictions.rows import Row
from yoloscale.predictions.schema import MAP, Status
from yoloscale.worker.predict.batches import batches
from yoloscale.worker.predict.read_ahead import Loaded, Lost
from yoloscale.yolo.inference.pending import Pending
from yoloscale.yolo.inference.prediction import Prediction
from yoloscale.yolo.inference.predictor import Predictor
from yoloscale.yolo.inference.prepare import Prepared

PREDICTING = Phase("predicting images")
MOST_UNREAD = 2  # batches whose outputs are held by the device
LOOK_S = 0.2
MOST_WAITING = 128  # prepared images that wait for others of their shape

_VALUES = ("boxes", "obb", "scores", "classes", "keypoints", "probs", "embedding")


class Stopped(Exception):  # noqa: N818  # no error
    """Somebody has asked this rank to stop: the unit that it is at is left as it was."""


@dataclass(frozen=True)
class Place:
    """Where the rows of a unit belong."""

    run_path: Path
    unit: int


def predict_unit(
    images: Iterator[Loaded],
    predictor: Predictor,
    place: Place,
    moved_on: Callable[[int], None],
    reading: Executor | None = None,
) -> list[Row]:
    """The rows of a unit, in any order; maps are written as they come, so that memory holds none of them.

    Args:
        images: all of the unit, in order.
        moved_on: called for each image that is taken, with 0, and for each batch with its images; it may raise Stopped.
        reading: a thread in which outputs become rows while the next batch goes through the model; None: this one.
    """
    rows: list[Row] = []
    unread: deque[Future[list[Row]]] = deque()
    limit = 1 if predictor.settings.slice is not None else predictor.batch

    def readable() -> Iterator[tuple[Item, Prepared]]:
        for item, image in images:
            moved_on(0)
            if isinstance(image, Lost):
                rows.append(lost_row(item, Status.unreadable, image.reason))
                moved_on(1)
            else:
                yield item, image

    for batch in batches(readable(), lambda pair: pair[1].shape, limit, MOST_WAITING):
        HEARTBEAT.at(PREDICTING)
        pending = predictor.forward([image for _, image in batch])
        HEARTBEAT.is_settled = True
        items = [item for item, _ in batch]
        if reading is not None:
            unread.append(reading.submit(_read, pending, items, place))
            while len(unread) > MOST_UNREAD:
                rows += _taken(unread.popleft(), moved_on)
        else:
            rows += _read(pending, items, place)
            moved_on(len(items))
    while unread:
        rows += _taken(unread.popleft(), moved_on)
    return rows


def _read(pending: Pending, items: Sequence[Item], place: Place) -> list[Row]:
    return [row_of(item, prediction, place) for item, prediction in zip(items, pending.results(), strict=True)]


def _taken(future: Future[list[Row]], moved_on: Callable[[int], None]) -> list[Row]:
    """The rows of a batch, waited for without a sign of life: a device that hangs is found so."""
    while not future.done():
        wait((future,), LOOK_S)
        moved_on(0)
    rows = future.result()
    moved_on(len(rows))
    return rows


def row_of(item: Item, prediction: Prediction, place: Place) -> Row:
    """The row of an image that was predicted. Raises PartNotWritten where the disk does not take its map."""
    status = Status.empty if prediction.is_empty else Status.ok
    values = _values(item, prediction, place)
    return Row(
        item.index,
        item.source,
        item.frame,
        item.time_s,
        status,
        height=prediction.height,
        width=prediction.width,
        values=values,
    )


def lost_row(item: Item, status: Status, reason: str) -> Row:
    """The row of an image that was not predicted, and why."""
    return Row(item.index, item.source, item.frame, item.time_s, status, reason)


def _values(item: Item, prediction: Prediction, place: Place) -> Mapping[str, Any]:
    values: dict[str, Any] = {name: getattr(prediction, name) for name in _VALUES}
    if prediction.masks is not None:
        values["masks"] = [mask["counts"] for mask in prediction.masks]
    if prediction.map is not None:
        values[MAP] = maps.write(place.run_path, place.unit, item.index, prediction.map)
    return values
