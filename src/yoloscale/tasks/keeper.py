"""Stores and restores a run's state, and publishes its weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yoloscale.checkpoint import state, store
from yoloscale.checkpoint.state import Progress
from yoloscale.dist import group
from yoloscale.dist.environment import Ranks
from yoloscale.engine.step import Stepper
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory

WriteWeights = Callable[[Path, dict[str, float], int], None]


class RunKeeper:
    """`engine.loop.Keeper` over the run directory's checkpoints/ and weights/.

    Args:
        write_weights: writes a `.pt` of the averaged model: path, metrics, epoch (from 1).
        save_period: every so many epochs weights/epoch<N>.pt is kept too, N from 0; below 1 never.
    """

    def __init__(
        self,
        run: RunDirectory,
        stepper: Stepper,
        ranks: Ranks,
        write_weights: WriteWeights,
        *,
        keep: int,
        save_period: int,
    ) -> None:
        self._run, self._stepper, self._ranks = run, stepper, ranks
        self._write_weights, self._save_period = write_weights, save_period
        self._store = store.CheckpointStore(run.checkpoints, keep)

    def save(self, progress: Progress, reason: str) -> None:
        """Collective. Every rank returns when the checkpoint is on disk, or its failure is on record."""
        if self._ranks.is_first:
            started = time.monotonic()
            position = progress.position
            fields = {"step": position.total, "epoch": position.epoch, "epoch_step": position.step}
            try:
                self._store.save(state.pack(self._stepper.state(), progress), fields)
                seconds = round(time.monotonic() - started, 4)
                events.record(self._run, events.CHECKPOINT_SAVED, **fields, seconds=seconds, reason=reason)
            except OSError as error:
                events.warn(self._run, f"checkpoint of step {position.total} not saved: {error}")
        group.barrier()

    def publish(self, epoch: int, metrics: dict[str, float], best: bool) -> None:
        """Collective. Rank 0 writes; the others do not wait: the next collective meets them.

        A full disk is a warning, and the weights published before stay.
        """
        if not self._ranks.is_first:
            return
        names = ["last.pt"] + ["best.pt"] * best
        if self._save_period > 0 and (epoch - 1) % self._save_period == 0:
            names.append(f"epoch{epoch - 1}.pt")  # Ultralytics counts these from 0
        for name in names:
            try:
                self._write_weights(self._run.weights / name, metrics, epoch)
            except OSError as error:
                events.warn(self._run, f"weights of epoch {epoch} not published: {error}")

    def restore(self) -> Progress | None:
        """Collective. Rank 0 chooses the newest valid checkpoint; all load that one.

        Raises:
            ValueError: the checkpoint is of another version or lacks something.
        """
        chosen: str | None = None
        if self._ranks.is_first:
            found, complaints = self._store.newest()
            for complaint in complaints:
                events.warn(self._run, complaint)
            self._store.set_aside_newer_than(found)
            chosen = found.path.name if found else None
        chosen = group.broadcast_object(chosen)
        if chosen is None:
            return None
        loaded: dict[str, Any] = store.load(store.Stored(self._run.checkpoints / chosen, {}))
        tensors, progress = state.unpack(loaded)
        self._stepper.load_state(tensors)
        return progress
