"""Stores and restores a run's state, and publishes its weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from yoloscale.checkpoint import state, store
from yoloscale.checkpoint.interval import SaveClock, When
from yoloscale.checkpoint.snapshot import HostCopies
from yoloscale.checkpoint.state import Progress
from yoloscale.checkpoint.transfer import share
from yoloscale.checkpoint.writer import BackgroundWriter
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT, PUBLISHING, SAVING, SETTING_UP
from yoloscale.distributed.peers import PEERS
from yoloscale.engine.step import Stepper
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory

Writing = Callable[[Path], None]  # writes a copy of the weights to a `.pt` file
CopyWeights = Callable[[dict[str, float], int], Writing]


class RunCheckpointer:
    """`engine.protocols.Checkpointer` over the run directory's checkpoints/ and weights/.

    Args:
        copy_weights: copies the averaged model, with metrics and epoch (from 1); what it returns writes the copy, and
            is called before the next copy is made.
        save_period: every so many epochs weights/epoch<N>.pt is kept too, N from 0; below 1 never.
    """

    def __init__(
        self,
        run: RunDirectory,
        stepper: Stepper,
        ranks: Ranks,
        copy_weights: CopyWeights,
        *,
        retention: store.Retention,
        when: When,
        save_period: int,
    ) -> None:
        self._run, self._stepper, self._ranks = run, stepper, ranks
        self._copy_weights, self._save_period = copy_weights, save_period
        self._unpublished: list[Callable[[], bool]] = []  # those that failed, too; the writer's while it runs
        self._copying_s = 0.0  # for weights that are not written yet
        self._store = store.CheckpointStore(run.checkpoints, retention, run_id=run.run_id, check=run.check)
        self._copies, self._writer = HostCopies(), BackgroundWriter()
        self._when = when
        self._clock = SaveClock(when, 0, time.monotonic())

    def is_due(self, step: int) -> bool:
        return self._ranks.is_first and self._clock.is_due(step, time.monotonic())

    def save(self, progress: Progress, reason: str) -> None:
        if self._ranks.is_first and self._run.loss() is None:
            self._save(progress, reason)

    def _save(self, progress: Progress, reason: str) -> None:
        HEARTBEAT.at(SAVING)
        started, taken_at = time.monotonic(), time.time()
        self._writer.wait()  # there is one copy of the state on the host, never two
        copy = self._copies.take(state.pack(self._stepper.state(), progress))
        now = time.monotonic()
        self._clock.saved(progress.position.total, now)
        blocked_s, self._copying_s = now - started + self._copying_s, 0.0
        about = {"taken": round(taken_at, 3), "blocked_s": round(blocked_s, 4), "reason": reason}
        best = progress.best.epoch > 0 and (progress.position.epoch, progress.position.step) == (progress.best.epoch, 0)
        publications, self._unpublished = self._unpublished, []
        self._writer.submit(lambda: self._write(copy, about, best, publications))

    def _write(
        self, copy: dict[str, Any], about: dict[str, Any], best: bool, publications: list[Callable[[], bool]]
    ) -> None:
        """In the background, weights first. What the disk says is put on record; the checkpoints before stay."""
        position, started = copy["position"], time.monotonic()
        self._unpublished = [publish for publish in publications if not publish()]
        fields = {"step": position["total"], "epoch": position["epoch"], "epoch_step": position["step"]}
        try:
            folder = self._store.save(copy, fields, best=best)
            size = sum(path.stat().st_size for path in folder.iterdir())
            seconds = time.monotonic() - started
            self._clock.measured(about["blocked_s"], seconds)
            saved = events.CheckpointSaved(**fields, **about, seconds=round(seconds, 4), bytes=size)
            events.append(self._run, saved)
        except OSError as error:
            events.warn(self._run, f"checkpoint of step {position['total']} not saved: {error}")

    def save_on_failure(self, progress: Progress) -> None:
        """Rank 0 does it; where its process is gone, one of the others, which hold the same state."""
        if self._run.loss() is not None or (not self._ranks.is_first and not self._stands_in(progress)):
            return
        events.note(self._run, events.Rescuing(step=progress.position.total))
        try:
            self._save(progress, "failure")
            self._writer.wait()
        except Exception as error:  # a broken device, say: the checkpoints on disk are what is left
            events.warn(self._run, f"the state of step {progress.position.total} could not be saved: {error}")

    def _stands_in(self, progress: Progress) -> bool:
        """Whether this rank is to save in the place of rank 0.

        Only once the checkpoint of the last whole epoch is there: weights are written before it, by rank 0 alone, and
        a run that went on from a later one would never have them.
        """
        if PEERS.loss is None or not PEERS.loss.is_gone or PEERS.loss.rank != 0:
            return False
        newest, _ = self._store.newest()
        epoch = int(newest.manifest["epoch"]) if newest is not None else 0
        return epoch == progress.position.epoch and PEERS.claim_rescue()

    def wait(self) -> None:
        HEARTBEAT.at(SAVING)
        self._writer.wait()
        self._publish_late()
        group.barrier()

    def close(self) -> None:
        self._writer.wait()

    def publish(self, epoch: int, metrics: dict[str, float], best: bool) -> None:
        if not self._ranks.is_first:
            return
        HEARTBEAT.at(PUBLISHING)
        started = time.monotonic()
        names = ["last.pt"] + ["best.pt"] * best
        if self._save_period > 0 and (epoch - 1) % self._save_period == 0:
            names.append(f"epoch{epoch - 1}.pt")  # Ultralytics counts these from 0
        self._writer.wait()  # there is one copy of the weights, too
        self._publish_late()
        write = self._copy_weights(metrics, epoch)
        self._unpublished = [partial(self._write_weights, write, name, epoch) for name in names]
        self._copying_s += time.monotonic() - started

    def _publish_late(self) -> None:
        """A last try for weights that the disk did not take. Nothing may be written meanwhile."""
        self._unpublished = [publish for publish in self._unpublished if not publish()]

    def _write_weights(self, write: Writing, name: str, epoch: int) -> bool:
        """Whether the disk took them. If not, those from before stay, and each save until the next copy tries again."""
        try:
            self._run.check()
            write(self._run.weights / name)
        except OSError as error:
            events.warn(self._run, f"weights of epoch {epoch} not published as {name}: {error}")
            return False
        return True

    def restore(self, before: int | None = None) -> Progress | None:
        """Collective. Rank 0 chooses the checkpoint, reads it once and hands the state to all.

        Raises ConfigError for a state of a version that this one cannot take up, and where there are checkpoints, but
        none is valid: a run does not silently start from scratch over them.
        """
        HEARTBEAT.at(SETTING_UP)
        self._writer.wait()
        of_first: list[dict[str, Any]] = []
        name = group.by_first(lambda: self._choose(before, of_first))
        if name is None:
            return None
        content = share(of_first[0] if of_first else None, self._ranks, self._stepper.device)
        try:
            tensors, progress = state.unpack(content)
        except state.StateError as error:
            instead = "go on with the yoloscale that wrote it, or start a new run from its weights/best.pt"
            raise ConfigError(Problem(f"checkpoints/{name}", str(error), instead)) from error
        self._stepper.load_state(tensors)
        self._clock = SaveClock(self._when, progress.position.total, time.monotonic())
        return progress

    def _choose(self, before: int | None, states: list[dict[str, Any]]) -> str | None:
        """Rank 0. The name of the checkpoint to go on from, whose state is put into `states`; None: from the start."""
        for warning in self._store.set_aside_others():
            events.warn(self._run, warning)
        newest, complaints = self._store.newest(before)
        if newest is None and before is not None:
            newest, complaints = self._store.newest()
        for complaint in complaints:
            events.warn(self._run, complaint)
        if newest is None and complaints:
            instead = "they stay as they are; to train from the start, move the folder checkpoints/ away"
            raise ConfigError(Problem("checkpoints", f"none of them is valid: {'; '.join(complaints)}", instead))
        self._store.set_aside_newer_than(newest)
        if newest is None:
            return None
        states.append(store.load(newest))
        return newest.path.name
