"""A person's own functions in the loop, if there are any, and what they ask for."""

from __future__ import annotations

from collections.abc import Callable

from yoloscale.checkpoint.state import Progress
from yoloscale.distributed import group
from yoloscale.engine.protocols import Callbacks, NoCallbacks
from yoloscale.engine.step import StepOutcome, Stepper


class CallbackCalls:
    """Calls the callbacks. Without any, nothing happens and nothing is collective; all ranks have some or none have."""

    def __init__(self, callbacks: Callbacks | None, stepper: Stepper) -> None:
        self.each: Callbacks = callbacks or NoCallbacks()
        self._are_there = callbacks is not None
        stepper.micro_batch_done = callbacks.batch_end if callbacks is not None else None

    def batch_done(self, outcome: StepOutcome) -> None:
        """A step is done and counted: its last micro-batch is, too. One that fails finds the step saved."""
        if outcome.last is not None:
            self.each.batch_end(*outcome.last)

    def trained(self, progress: Progress) -> bool:
        """Collective. An epoch is trained; whether one of any rank wants it to be the last."""
        self.each.epoch_end(progress)
        return self._is_any_stopped()

    def saved(self, is_published: bool, wait: Callable[[], None]) -> bool:
        """Collective. An epoch is over; whether one of any rank wants it to be the last.

        Args:
            is_published: weights are being written.
            wait: returns when they are on disk.
        """
        if is_published and self.each.wants_files:
            wait()
            self.each.saved()
        self.each.fit_epoch_end()
        return self._is_any_stopped()

    def _is_any_stopped(self) -> bool:
        return self._are_there and any(group.gather_objects(self.each.is_stopped))
