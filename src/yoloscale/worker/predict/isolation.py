"""A unit that has ended its process twice, or raised an exception, image by image in a process of its own.

| what an image does to the child that is at it | what follows |
| --- | --- |
| its row comes | the child goes on with the next image |
| the child dies, hangs or raises an exception | the child is ended, a new one has the image once more |
| the same end a second time | a `failed` row that names it; a new child does the rest |
| the device or the machine has no memory, the disk is full | the error is the rank's: no row says so |

A first end may be somebody else's doing: a killer of processes that use much memory, a device in a bad state. The rows
of the other images are those that they would have had anywhere else.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from yoloscale.config.schema import PredictConfig
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.failures import is_out_of_memory
from yoloscale.distributed.group import SETUP_TIMEOUT_S
from yoloscale.distributed.heartbeat import HEARTBEAT, Phase
from yoloscale.manifest.table import Item
from yoloscale.predictions.rows import Row
from yoloscale.predictions.schema import Status
from yoloscale.system.signals import CHECKPOINT_SIGNAL, STOP_SIGNALS
from yoloscale.worker.predict.units import Place, lost_row

ISOLATING = Phase("predicting images in a process of their own", is_long=True)
LOOK_S = 0.2
END_S = 10.0  # for a process that has been killed to be gone
MOST_TRIES = 4  # of an image that ends each child otherwise
PROBES = 8  # images from all over the unit that come first: none can be done where the model is what is broken


class IsolationFailed(RuntimeError):  # noqa: N818  # reads as what happened
    """No image of the unit can be predicted, or one ends differently each time: that is not the images' doing."""


@dataclass(frozen=True)
class _End:
    """What became of a child amid an image. `kind` is alike whenever the same befalls; `text` has the details."""

    kind: str
    text: str


@dataclass(frozen=True)
class Isolation:
    """How the rank works, for the children that it starts.

    Args:
        timeout_s: after so long an image is given up, as one that never ends.
    """

    config: PredictConfig
    ranks: Ranks
    timeout_s: float

    def rows(self, items: Sequence[Item], place: Place, moved_on: Callable[[int], None]) -> list[Row]:
        """The rows of a unit. `moved_on` is called all the while, and may raise Stopped; then the child is ended.

        Raises IsolationFailed where the child does not get as far as an image, or no image survives, and OSError or
        MemoryError, torch's OutOfMemoryError among these, for what is wrong with this machine.
        """
        probes = list(items[:: max(1, len(items) // PROBES)])[:PROBES]
        chosen = {item.index for item in probes}
        with closing(_Children(self, place, moved_on)) as children:
            rows = self._through(probes, children, moved_on)
            _check(rows, place)
            rows += self._through([item for item in items if item.index not in chosen], children, moved_on)
        _check(rows, place)
        return sorted(rows, key=lambda row: row.index)

    def _through(self, items: Sequence[Item], children: _Children, moved_on: Callable[[int], None]) -> list[Row]:
        rows: list[Row] = []
        for item in items:
            rows.append(children.row(item))
            moved_on(1)
        return rows


def _check(rows: Sequence[Row], place: Place) -> None:
    """Raise IsolationFailed where every image that can be read has failed, unless it is a single one."""
    readable = [row for row in rows if row.status is not Status.unreadable]
    if len(readable) > 1 and all(row.status is Status.failed for row in readable):
        count = f"none of {len(readable)} images of unit {place.unit} survives"
        raise IsolationFailed(f"{count}: {readable[0].error}")


class _Children:
    """One child after another: the next one begins where the one before has come to its end."""

    def __init__(self, isolation: Isolation, place: Place, moved_on: Callable[[int], None]) -> None:
        self._isolation, self._place, self._moved_on = isolation, place, lambda: moved_on(0)
        self._child: _Child | None = None

    def row(self, item: Item) -> Row:
        """The image's row; a `failed` one after two ends of one kind. Raises IsolationFailed where each is another."""
        ends: list[_End] = []
        while len(ends) < MOST_TRIES:
            if self._child is None:
                self._child = _Child(self._isolation, self._place, self._moved_on)
            answer = self._child.row(item, self._isolation.timeout_s, self._moved_on)
            if isinstance(answer, Row):
                return answer
            self.close()
            if any(end.kind == answer.kind for end in ends):
                return lost_row(item, Status.failed, answer.text)
            ends.append(answer)
        told = "; ".join(end.text for end in ends)
        raise IsolationFailed(f"image {item.index} of unit {self._place.unit} ends differently each time: {told}")

    def close(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """A process that predicts what it is handed."""

    def __init__(self, isolation: Isolation, place: Place, moved_on: Callable[[], None]) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        arguments = (theirs, isolation.config, isolation.ranks, place)
        self._process: BaseProcess = context.Process(target=_serve, args=arguments, name="isolated", daemon=True)
        self._process.start()
        theirs.close()
        answer = self._answer(max(isolation.timeout_s, SETUP_TIMEOUT_S), moved_on)
        if isinstance(answer, _End):
            self.end()
            raise IsolationFailed(f"a process of its own for unit {place.unit} does not begin: {answer.text}")

    def row(self, item: Item, timeout_s: float, moved_on: Callable[[], None]) -> Row | _End:
        """The image's row, or what it did to the process. Raises what the child says of the machine."""
        with suppress(BrokenPipeError):
            self._ours.send(item)
        answer: Row | _End | Exception = self._answer(timeout_s, moved_on)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.join(END_S)
        self._ours.close()

    def _answer(self, timeout_s: float, moved_on: Callable[[], None]) -> Any:
        began = time.monotonic()
        while not self._ours.poll(LOOK_S):
            HEARTBEAT.at(ISOLATING)
            moved_on()
            if time.monotonic() - began >= timeout_s:
                return _End("hang", f"took longer than {timeout_s:g} s")
        try:
            return self._ours.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(END_S)
            return _ended(self._process.exitcode)


def _ended(exit_code: int | None) -> _End:
    how = f"with exit code {exit_code}"
    if exit_code is not None and exit_code < 0:
        try:
            how = f"by {signal.Signals(-exit_code).name}"
        except ValueError:
            how = f"by signal {-exit_code}"
    return _End(how, f"ended the process that was at it, {how}")


def _serve(parent: Connection, config: PredictConfig, ranks: Ranks, place: Place) -> None:
    """The child: answers True once its model is open, then a row for each item, until the parent is gone."""
    for number in (*STOP_SIGNALS, CHECKPOINT_SIGNAL):  # they are the parent's, which ends this process
        signal.signal(number, signal.SIG_IGN)
    from yoloscale.yolo import runtime

    runtime.prepare(ranks.world_size, config.model.allow_pickle)
    from yoloscale.manifest.content import Reader
    from yoloscale.worker.predict.model import open_predictor
    from yoloscale.worker.train.parts import choose_device

    runtime.keep_offline()
    predictor = open_predictor(config, choose_device(config, ranks))
    with Reader() as reader, suppress(EOFError, BrokenPipeError):
        parent.send(True)
        while True:
            item = parent.recv()
            parent.send(_row(item, reader, predictor, place))
    os._exit(0)


def _row(item: Item, reader: Any, predictor: Any, place: Place) -> Row | _End | Exception:
    """The row of one image, or the end of this child. What is wrong with the machine is handed on as it is."""
    from yoloscale.worker.predict.read_ahead import Lost, load
    from yoloscale.worker.predict.units import row_of

    try:
        image = load(item, reader, predictor)
        if isinstance(image, Lost):
            return lost_row(item, Status.unreadable, image.reason)
        return row_of(item, predictor.predict([image])[0], place)
    except Exception as error:
        if is_machine_fault(error):
            return error
        return _End(type(error).__name__, f"{type(error).__name__}: {error}".splitlines()[0])


def is_machine_fault(error: Exception) -> bool:
    """Whether an exception says nothing of the image: a disk, or memory, this machine's or a device's."""
    return isinstance(error, (OSError, MemoryError)) or is_out_of_memory(error)
