"""The micro-batches that a rank trains on, from any position on, and up to which epoch they have mosaic."""

from __future__ import annotations

from collections.abc import Callable

from yoloscale.checkpoint.state import Progress
from yoloscale.data.loader import MicroBatchLoader
from yoloscale.engine.protocols import Batch

Make = Callable[[tuple[int, int], Callable[[int], bool]], MicroBatchLoader]


class MicroBatches:
    """One loader after the other, as the position asks for it.

    With `time=` the plan of epochs follows the pace, and loaders are ahead of it. As in Ultralytics, mosaic ends with
    the first epoch at whose beginning no more than `close_mosaic` are left, and stays off: a loader that was told
    otherwise makes way for a new one. The epoch is kept in the progress: it is off after a restart, too, unless another
    `close_mosaic=` is asked for.

    Args:
        make: a loader from (epoch, optimiser step) on, both from 0, which asks for each epoch whether mosaic is off.
        closing: `close_mosaic=`.
    """

    def __init__(self, make: Make, closing: int) -> None:
        self._make, self._closing = make, closing
        self._loader: MicroBatchLoader | None = None
        self._answers = dict[int, bool]()  # to the loader, for each epoch

    def begin(self, at: Progress) -> Callable[[], Batch]:
        """What delivers the micro-batches from a position on, which moves with them."""
        self._at = at
        self._open()
        return self._next

    def close(self) -> None:
        if self._loader is not None:
            self._loader.close()
        self._loader = None

    def _open(self) -> None:
        self.close()
        self._answers.clear()
        self._epoch = self._at.position.epoch
        self._loader = self._make((self._at.position.epoch, self._at.position.step), self._ask)
        self._note()

    def _next(self) -> Batch:
        epoch = self._at.position.epoch
        if epoch != self._epoch:
            self._epoch = epoch
            if self._answers.get(epoch) not in (None, self._is_closed(epoch)):
                self._open()
            self._note()
        assert self._loader is not None, "it was begun"
        return next(self._loader)

    def _note(self) -> None:
        if self._is_closed(self._epoch):
            closed = {"epoch": self._epoch, "close_mosaic": self._closing}
            self._at.mosaic_off = min(closed, self._noted() or closed, key=lambda note: note["epoch"])

    def _ask(self, epoch: int) -> bool:
        self._answers[epoch] = self._is_closed(epoch)
        return self._answers[epoch]

    def _is_closed(self, epoch: int) -> bool:
        planned, note = self._at.position.epochs - self._closing, self._noted()
        return bool(self._closing) and epoch >= (min(planned, note["epoch"]) if note else planned)

    def _noted(self) -> dict[str, int]:
        """The first epoch that was begun without mosaic, by the progress; empty: none with this `close_mosaic=`."""
        note = self._at.mosaic_off
        return note if note.get("close_mosaic") == self._closing else {}
