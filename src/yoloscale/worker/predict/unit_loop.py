"""The units of one rank, one after another, without a pause between them.

| while the model is at a unit | in which thread |
| --- | --- |
| the part of the unit before is written | the writer's |
| the outputs of the batch before become rows, on a GPU; a CPU has nothing to spare for it | one for it |
| the unit after is claimed and its images are read, once all of the present one are with the loaders | loaders' |

At most three claims are held. A stop gives back those of the present unit and the next one; a part that is being
written is written to its end.

| what ends a unit amid | what follows |
| --- | --- |
| a stop, a full disk, the loss of the run's folder, sources that are out of reach | its claim is given back |
| an exception in an image | the same process does it image by image in a process of its own (isolation.py) |
| the same, and the device is of no use since | so as well; the rank ends with the exception once the part is there |
| no memory, of the machine or a device; the death of the process | its claim stays: the second time is image by image |
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

from yoloscale.config.schema import Device, PredictConfig
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT, Phase
from yoloscale.engine.stop_requests import Stop, StopRequests
from yoloscale.manifest.table import Item, read
from yoloscale.predictions import parts
from yoloscale.predictions.claims import Claim, Claims
from yoloscale.predictions.rows import Row, as_frame
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.predict.isolation import Isolation, is_machine_fault
from yoloscale.worker.predict.missing import refuse_missing
from yoloscale.worker.predict.model import embeds
from yoloscale.worker.predict.part_writer import Part, PartWriter
from yoloscale.worker.predict.progress import Progress
from yoloscale.worker.predict.read_ahead import Loading, ReadAhead
from yoloscale.worker.predict.units import Place, Stopped, predict_unit
from yoloscale.yolo.inference.predictor import Predictor

IDLE = Phase("waiting for units that other ranks are at")
POLL_S = 0.5


def is_stopped(requests: StopRequests) -> bool:
    """Whether this rank has been asked to stop, by a signal or by what is watched; looks about once a second."""
    requests.numbers()
    return requests.stop is not Stop.none


def reads_beside(device: Device | None) -> bool:
    """Whether outputs become rows while the device is at the next batch."""
    return device is Device.cuda


@dataclass(frozen=True)
class _Unit:
    """A unit that is claimed. `loading`: None where it is done image by image."""

    claim: Claim
    items: Sequence[Item]
    loading: Loading | None

    def close(self) -> None:
        if self.loading is not None:
            self.loading.close()

    def give_back(self) -> None:
        self.close()
        self.claim.release()


class UnitLoop:
    """What a rank needs at each unit, and the unit that it has begun to read beside the present one."""

    def __init__(
        self,
        config: PredictConfig,
        run: RunDirectory,
        ranks: Ranks,
        requests: StopRequests,
        progress: Progress,
        predictor: Predictor,
        ahead: ReadAhead,
    ) -> None:
        self._run, self._requests, self._progress = run, requests, progress
        self._predictor, self._ahead = predictor, ahead
        self._isolation = Isolation(config, ranks, config.cluster.timeout_s)
        self._embeds = embeds(config)
        self._writer = PartWriter(self._write, progress.unit_done)
        self._next: _Unit | None = None
        is_beside = reads_beside(config.cluster.device)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="results") if is_beside else None
        self._broken: Exception | None = None  # what the device died of

    def work(self, claims: Claims) -> None:
        """Predict one unit after another until all are there, whoever made them. Raises Stopped."""
        self._progress.begin()
        with self._writer, self._reading or nullcontext():
            try:
                while self._step(claims):
                    continue
            finally:
                if self._next is not None:
                    self._next.give_back()

    def _step(self, claims: Claims) -> bool:
        """Do a unit, or wait for one; False where all are there."""
        self._look()
        unit, self._next = self._next or self._begin(claims), None
        if unit is not None:
            self._do(unit, claims)
        elif self._writer.is_busy:
            self._writer.finish()
        elif claims.are_over:
            return False
        else:
            HEARTBEAT.at(IDLE)
            time.sleep(POLL_S)
            self._progress.begin()
        return True

    def _look(self) -> None:
        """Raise Stopped if somebody has asked for it."""
        if is_stopped(self._requests):
            self._ahead.abandon()
            raise Stopped

    def _begin(self, claims: Claims) -> _Unit | None:
        """Claim a unit and let its images be read."""
        claim = claims.next()
        if claim is None:
            return None
        size = self._progress.extent.unit
        try:
            items = read(self._run.manifest, claim.unit * size, size)
            return _Unit(claim, items, None if claim.is_isolated else self._ahead.begin(items))
        except BaseException:
            claim.release()
            raise

    def _do(self, unit: _Unit, claims: Claims) -> None:
        """Predict a unit and hand its rows to the writer."""
        began, moved_on = time.monotonic(), self._moved_on(unit, claims)
        try:
            self._run.glance()
            rows = self._rows(unit, moved_on)
            refuse_missing(unit.items, rows)
            self._writer.put(Part(unit.claim, rows, began), lambda: moved_on(0))
        except (Stopped, OSError, KeyboardInterrupt):
            unit.claim.release()
            raise
        finally:
            unit.close()
        if self._broken is not None:
            self._writer.finish()
            raise self._broken

    def _rows(self, unit: _Unit, moved_on: Callable[[int], None]) -> list[Row]:
        number, place = unit.claim.unit, Place(self._run.path, unit.claim.unit)
        if unit.loading is None:
            reason = f"has ended {unit.claim.deaths} processes"
        else:
            try:
                images = unit.loading.images(moved_on)
                return predict_unit(images, self._predictor, place, moved_on, self._reading)
            except Stopped:
                raise
            except Exception as error:
                if is_machine_fault(error):
                    raise
                reason = f"has raised {type(error).__name__}: {error}".splitlines()[0]
                self._broken = error if _is_of_device(error) else None
            unit.close()
        events.warn(self._run, f"unit {number} {reason}: it is done image by image")
        return self._isolation.rows(unit.items, place, moved_on)

    def _moved_on(self, unit: _Unit, claims: Claims) -> Callable[[int], None]:
        has_asked = False

        def moved_on(images: int) -> None:
            nonlocal has_asked
            unit.claim.beat()
            self._writer.look()
            self._progress.add(images)
            self._look()
            if self._next is not None:
                self._next.claim.beat()
            elif not has_asked and unit.loading is not None and unit.loading.is_given:
                has_asked = True
                self._next = self._begin(claims)

        return moved_on

    def _write(self, unit: int, rows: Sequence[Row]) -> None:
        self._run.check()
        parts.write(self._run.path, unit, as_frame(rows, self._predictor.task, embeds=self._embeds))


def _is_of_device(error: Exception) -> bool:
    """Whether CUDA has failed within this process, which answers with the same error from then on."""
    return type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)
