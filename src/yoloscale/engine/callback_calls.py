"""A person's own functions in the loop, if there are any, and what they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from yoloscale.checkpoint.state import Progress
from yoloscale.distributed import group
from yoloscale.engine.protocols import Callbacks
from yoloscale.engine.step import StepOutcome, Stepper


class CallbackCalls:
    """Calls the callbacks; without any, nothing happens and nothing is collective. All ranks have some or none have."""

    def __init__(self, callbacks: Callbacks | None, stepper: Stepper) -> None:
        self._callbacks = callbacks
        if callbacks is not None:
            stepper.micro_batch_done = callbacks.batch_end

    @property
    def wants_end(self) -> bool:
        """Whether one of this rank has asked for the end of the run."""
        return self._callbacks is not None and self._callbacks.is_stopped

    def start(self, progress: Progress) -> None:
        """Training begins, or goes on."""
        if self._callbacks is not None:
            self._callbacks.train_start(progress)

    def epoch(self, progress: Progress) -> None:
        """An epoch begins, or what is left of one."""
        if self._callbacks is not None:
            self._callbacks.epoch_start(progress)

    def batch(self) -> None:
        """A micro-batch is about to be trained on."""
        if self._callbacks is not None:
            self._callbacks.batch_start()

    def batch_done(self, outcome: StepOutcome) -> None:
        """A step is done and counted: its last micro-batch is, too. One that fails finds the step saved."""
        if self._callbacks is not None and outcome.last is not None:
            self._callbacks.batch_end(*outcome.last)

    def trained(self, progress: Progress) -> bool:
        """Collective. An epoch is trained; whether one of any rank wants it to be the last."""
        if self._callbacks is None:
            return False
        self._callbacks.epoch_end(progress)
        return any(group.gather_objects(self._callbacks.is_stopped))

    def evaluated(self, metrics: Mapping[str, float], best: float | None) -> None:
        """An epoch is evaluated."""
        if self._callbacks is not None:
            self._callbacks.evaluated(metrics, best)

    def saved(self, is_published: bool, wait: Callable[[], None]) -> bool:
        """Collective. An epoch is over; whether one of any rank wants it to be the last.

        Args:
            is_published: weights are being written.
            wait: returns when they are on disk.
        """
        if self._callbacks is None:
            return False
        if is_published and self._callbacks.wants_files:
            wait()
            self._callbacks.saved()
        self._callbacks.fit_epoch_end()
        return any(group.gather_objects(self._callbacks.is_stopped))
