"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from yoloscale.checkpoint.state import Progress, Recovery
from yoloscale.data.order import OptimiserStep, SampleOrder
from yoloscale.distributed import group
from yoloscale.distributed.heartbeat import HEARTBEAT
from yoloscale.engine.callback_calls import CallbackCalls
from yoloscale.engine.pace import Pace
from yoloscale.engine.protocols import Batch, Callbacks, Checkpointer, Evaluation, Observer
from yoloscale.engine.replicas import ReplicasDifferError, difference
from yoloscale.engine.schedule import Schedule
from yoloscale.engine.slow_ranks import Stragglers, describe
from yoloscale.engine.step import EXTRA, StepOutcome, Stepper
from yoloscale.engine.stop_requests import Stop, StopRequests
from yoloscale.engine.time_limit import Pending, Spent, spent
from yoloscale.engine.trace import trace_record

EVALUATION_WORTH_A_CHECKPOINT_S = 30.0  # what a kill during an evaluation would otherwise cost, beside the evaluation

T = TypeVar("T")


class Outcome(Enum):
    """How the loop ended."""

    finished = "finished"
    preempted = "preempted"
    interrupted = "interrupted"


@dataclass(frozen=True)
class Limits:
    """When a run ends, and how often it is evaluated.

    Args:
        hours: ends after this much training, whatever `epochs` says; the schedule follows its clock (`time=`).
        patience: epochs without a better fitness; 0 never stops early.
        evaluate_every_epoch: `val=`; the last epoch is always evaluated.
        save: `save=`; without it only the final weights are published.
        rollbacks: how often in a row, without a whole epoch between, a run may go back to its last checkpoint.
        skips: non-finite steps in a row before it does.
    """

    hours: float | None
    patience: int
    evaluate_every_epoch: bool
    save: bool
    trace: bool
    rollbacks: int = 3
    skips: int = 10


class Loop:
    """Trains until the last epoch, an early stop, a time limit or a request to stop. All ranks run it alike."""

    def __init__(
        self,
        stepper: Stepper,
        order: SampleOrder,
        schedule: Schedule,
        limits: Limits,
        *,
        rank: int,
        progress: Progress,
        open_loader: Callable[[Progress], Callable[[], Batch]],
        evaluation: Evaluation,
        checkpointer: Checkpointer,
        observer: Observer,
        requests: StopRequests,
        hosts: Sequence[str] = ("this host",),
        is_hopeless: Callable[[int, Mapping[str, float]], bool] = lambda epoch, metrics: False,
        machine: Callable[[], Mapping[str, float]] = dict,
        callbacks: Callbacks | None = None,
    ) -> None:
        """`hosts`: of every rank, in rank order. `callbacks`: on all ranks or on none.

        `machine`: collective; what an epoch's record says of the hardware.
        `is_hopeless`: collective; whether the run is to end after this epoch (from 1), whose metrics are these.
        """
        self._stepper, self._order, self._schedule, self._limits = stepper, order, schedule, limits
        self._rank, self.progress, self._open_loader = rank, progress, open_loader
        self._evaluation, self._checkpointer = evaluation, checkpointer
        self._observer, self._requests = observer, requests
        self._pace, self._stragglers, self._hosts = Pace(), Stragglers(), hosts
        self._is_hopeless, self._machine, self._calls = is_hopeless, machine, CallbackCalls(callbacks, stepper)
        self._load: Callable[[], Batch] | None = None
        self._limit_s = (limits.hours or math.inf) * 3600
        self._started = 0.0
        self._spent: Spent | None = None  # of the time limit, as all ranks have agreed
        self._evaluation_s: float | None = None  # of the last one
        self._epoch_began = 0.0
        self._went_back_to: int | None = None  # optimiser steps done, by the first of several roll-backs in a row
        self._went_back_from = 0
        self._agreed_at = progress.position.total  # optimiser steps done when the ranks last held the same state

    def run(self) -> Outcome:
        """Collective. Train, evaluate and save until there is a reason to end."""
        position = self.progress.position
        self._started = time.monotonic() - self.progress.clock
        if self._limits.hours:
            self._spent = Spent(min(self.progress.clock / self._limit_s, 1.0), 0.0)
        self._calls.each.train_start(self.progress)
        while position.epoch < position.epochs:
            stop = self._train_epoch()
            if stop is None:  # back at an earlier position
                position = self.progress.position
                continue
            if stop in (Stop.terminate, Stop.interrupt):
                self._checkpointer.save(self._now(), stop.name)
                self._checkpointer.wait()
                return Outcome.preempted if stop is Stop.terminate else Outcome.interrupted
            if self._end_epoch(over=stop is Stop.time_limit):
                break
            position = self.progress.position
        self._checkpointer.wait()
        return Outcome.finished

    def _train_epoch(self) -> Stop | None:
        """Train the rest of the epoch; returns the reason to stop that all ranks agreed on, None after a roll-back."""
        progress, position = self.progress, self.progress.position
        self._calls.each.epoch_start(progress)
        self._stepper.learner.start_epoch(position.epoch, position.epochs)
        self._stepper.learner.train_mode()
        self._pace.start_epoch()
        self._epoch_began = time.monotonic()
        while position.step < self._order.steps:
            outcome = self._train_step()
            if self.progress is not progress:
                return None
            if outcome.stop is not Stop.none:
                return outcome.stop
            self._save_within_epoch(outcome.save)
        return Stop.none

    def _save_within_epoch(self, is_asked: bool) -> None:
        """Store the state if it is time to, or a person wants it; not amid bad steps, which a roll-back must undo."""
        position = self.progress.position
        if is_asked:
            self._checkpointer.save(self._now(), "request")
        elif position.step < self._order.steps:
            if self.progress.recovery.skipped == 0 and self._checkpointer.is_due(position.total):
                self._checkpointer.save(self._now(), "interval")
        else:  # an evaluation follows: as long as the last one; the first one may at worst take as long as the epoch
            expected_s = time.monotonic() - self._epoch_began if self._evaluation_s is None else self._evaluation_s
            if expected_s > EVALUATION_WORTH_A_CHECKPOINT_S:
                self._checkpointer.save(self._now(), "trained")

    def _train_step(self) -> StepOutcome:
        position, recovery = self.progress.position, self.progress.recovery
        HEARTBEAT.step = position.total + 1
        step = self._order.step(position.epoch, position.step, self._rank)
        self._schedule.apply(
            self._stepper.optimizer,
            position.epoch,
            (step.start + step.total) / self._order.samples,
            self._spent.epochs or position.epochs if self._spent else position.epochs,
            recovery.scale,
            share=self._spent.share if self._spent else None,
        )
        if self._load is None:
            self._load = self._open_loader(self.progress)
        is_clock = bool(self._limits.hours) and self._rank == 0
        if is_clock and self._seconds() + self._pace.mean_step_s >= self._limit_s:  # over when this step ends
            self._requests.ask(Stop.time_limit)
        outcome = self._step_or_save(step, self._load)
        self._spent = Spent(*outcome.extra) if self._limits.hours else None
        position.step += 1
        position.total += 1
        if self._limits.trace:
            self._observer.trace(trace_record(position.total, outcome, self._stepper.learner.module))
        self._pace.step(step.total, outcome, self.progress.means)
        if self._rank == 0:
            self._tell(outcome)
        HEARTBEAT.is_settled = True  # the first step of a process may take long, in which it warms up
        self._recover(outcome)
        self._or_save(lambda: self._calls.batch_done(outcome), is_good=outcome.applied)
        if self._calls.each.is_stopped:
            self._requests.ask(Stop.time_limit, "a callback")  # with the next step, on all ranks alike
        return outcome

    def _tell(self, outcome: StepOutcome) -> None:
        """Rank 0 only: tell the observer of a step, and of ranks that hold up the others."""
        record = self._pace.record(self.progress.position, self._stepper.optimizer)
        self._observer.step({**record, **self._planned(self.progress.position.epoch)})
        if HEARTBEAT.is_settled and (stragglers := self._stragglers.add(outcome.times)):
            self._observer.warn(describe(stragglers, self._hosts))

    def _step_or_save(self, step: OptimiserStep, load: Callable[[], Batch]) -> StepOutcome:
        """The step; if it fails here or another rank is gone, what was done before it is saved where possible."""
        try:
            extra = self._measure(ahead=2) if self._limits.hours and self._rank == 0 else (0.0,) * EXTRA
            return self._stepper(step, load, self._show, extra)
        except Exception:
            # amid bad steps the weights may be what is bad: two such states would push the good ones out
            if self._stepper.break_off() and self.progress.recovery.skipped == 0:
                self._checkpointer.save_on_failure(self._now())
            raise

    def _show(self, batch: Batch) -> None:
        self._observer.batch(self.progress.position.total, batch)
        self._calls.each.batch_start()

    def _recover(self, outcome: StepOutcome) -> None:
        """Count steps that were not finite and left out; after too many in a row go back to the last checkpoint."""
        recovery = self.progress.recovery
        if outcome.applied:
            recovery.skipped = 0
            return
        is_scaling = self._stepper.scaler.is_enabled() and self._stepper.scaler.get_scale() > 1.0
        if is_scaling and math.isfinite(outcome.loss):
            return  # a gradient scaler that looks for its scale skips steps as a matter of course
        recovery.skipped += 1
        recovery.skipped_in_all += 1
        what = "loss" if math.isfinite(outcome.norm) else "gradient"
        self._observer.warn(f"step {self.progress.position.total}: non-finite {what}, skipped")
        if recovery.skipped >= self._limits.skips:
            self._roll_back(f"{recovery.skipped} steps in a row were not finite")

    def _roll_back(self, reason: str) -> None:
        """Collective. Go on from a checkpoint before this step; if the first try fails, from one before that.

        A checkpoint may hold what made the steps after it bad. Only one further: the next may be the best of long ago.
        """
        recovery, step = self.progress.recovery, self.progress.position.total
        rollbacks, scale = recovery.rollbacks + 1, recovery.scale / 2
        if rollbacks > self._limits.rollbacks:
            raise FloatingPointError(f"{reason}, after {recovery.rollbacks} roll-backs; lower lr0 or set amp=false")
        self._went_back_from = max(self._went_back_from, step)
        if rollbacks == 1 or self._went_back_to is None:
            restored = self._checkpointer.restore(before=step)
            self._went_back_to = restored.position.total if restored else None
        else:
            restored = self._checkpointer.restore(before=self._went_back_to)
        if restored is None:
            raise FloatingPointError(f"{reason}, and no checkpoint is left to go back to; lower lr0 or set amp=false")
        restored.recovery = Recovery(scale, rollbacks, skipped_in_all=recovery.skipped_in_all)
        restored.position.epochs = self.progress.position.epochs  # they may have been changed since
        restored.mosaic_off = self.progress.mosaic_off
        self.progress, self._agreed_at = restored, restored.position.total
        self._load = None  # the stream restarts at the restored position
        message = f"{reason}: back to step {restored.position.total}, step size × {scale}"
        self._observer.rolled_back(message, step_from=step, step_to=restored.position.total)

    def _end_epoch(self, over: bool) -> bool:
        """Evaluate, publish, save; returns whether the run ends here."""
        position, best = self.progress.position, self.progress.best
        epoch = position.epoch + 1
        metrics: dict[str, float] | None = {}
        last = self._or_save(lambda: self._calls.trained(self.progress)) or over
        last |= not self._limits.hours and epoch >= position.epochs  # with a time limit the plan may be of another one
        trained = self._pace.epoch_record(self.progress, self._stepper.optimizer)
        if self._limits.evaluate_every_epoch or last or self._may_stop_early(epoch):
            metrics = self._evaluate(epoch)
        last |= best.fitness is not None and self._may_stop_early(epoch)
        if self._limits.hours and metrics is not None:
            position.epochs, last = self._replan(epoch, last)
            if last and not metrics:  # the time ran out after its last step
                metrics = self._evaluate(epoch)
        if metrics is None:
            return False
        if metrics and self._is_hopeless(epoch, metrics) and not last:
            last = True
            self._observer.pruned(epoch)
        record = {**trained, **self._machine(), **self._planned(epoch), "epoch": epoch}
        self._observer.epoch({**record, **metrics, "time": self._seconds()})
        if is_published := self._limits.save or last:
            self._checkpointer.publish(epoch, metrics, best=best.epoch == epoch)
        position.epoch, position.step = epoch, 0
        if position.total >= self._went_back_from:
            self.progress.recovery.rollbacks = 0  # a whole epoch went well; the smaller step stays
        self.progress.means.clear()
        if last:
            position.epochs = epoch  # a start after this one has nothing left to train
        self._checkpointer.save(self._now(), "epoch")
        if self._calls.saved(is_published, self._checkpointer.close) and not last:
            return self._make_last(record, metrics, is_published)
        return last

    def _make_last(self, record: dict[str, float], metrics: dict[str, float], is_published: bool) -> bool:
        """An epoch that is saved was the last one, as a callback wants it: as such it is evaluated, and saved again.

        Returns False after a roll-back: the run ends later.
        """
        epoch, best = self.progress.position.epoch, self.progress.best
        if is_new := not metrics:
            if (measured := self._evaluate(epoch)) is None:
                return False
            metrics = measured
            self._observer.measured({**record, **metrics, "time": self._seconds()})
        self.progress.position.epochs = epoch
        if is_new or not is_published:
            self._checkpointer.publish(epoch, metrics, best=best.epoch == epoch)
        self._checkpointer.save(self._now(), "epoch")
        return True

    def _evaluate(self, epoch: int) -> dict[str, float] | None:
        """Collective. Metrics of a trained epoch (from 1), which may be the best by them; None after a roll-back."""
        self._compare_replicas()
        started, best = time.monotonic(), self.progress.best
        metrics = self._or_save(lambda: self._evaluation(self._stepper.average.module))
        self._evaluation_s = time.monotonic() - started
        self._observer.evaluated(epoch, metrics, self._evaluation_s)
        fitness = metrics.get("fitness", float("nan"))
        if not math.isfinite(fitness):
            self._roll_back(f"the fitness of epoch {epoch} is not finite")
            return None
        if best.fitness is None or fitness > best.fitness or best.fitness == 0:
            best.fitness, best.epoch = fitness, epoch
        self._calls.each.evaluated(metrics, best.fitness)
        return metrics

    def _compare_replicas(self) -> None:
        """Collective. Raise ReplicasDifferError on all ranks unless they hold the same state.

        That state is not saved: the checkpoint before may still be good, and all ranks go on from one file.
        """
        fingerprints = group.gather_objects(self._stepper.fingerprint())
        if complaint := difference(fingerprints, self._hosts, self._agreed_at):
            raise ReplicasDifferError(complaint)
        self._agreed_at = self.progress.position.total

    def _or_save(self, part: Callable[[], T], *, is_good: bool = True) -> T:
        """What `part` returns; if it fails here or another rank is gone, what is trained is saved, where it is good."""
        try:
            return part()
        except Exception:
            if is_good:
                self._checkpointer.save_on_failure(self._now())
            raise

    def _may_stop_early(self, epoch: int) -> bool:
        return bool(self._limits.patience) and epoch - self.progress.best.epoch >= self._limits.patience

    def _replan(self, epoch: int, last: bool) -> tuple[int, bool]:
        """Collective. With a time limit: how many epochs will fit, by rank 0's clock."""
        epochs = math.ceil(self._limit_s / (self._seconds() / epoch))
        over = self._seconds() >= self._limit_s
        epochs, over, self._spent = group.broadcast_object((epochs, over, self._measure(ahead=1)))
        return max(epochs, epoch), last or over or epochs <= epoch

    def _planned(self, epochs_done: int) -> dict[str, int]:
        """With a time limit: how many epochs will fit, by what is known when so many are done."""
        return {"epochs": self.progress.position.epochs} if self._limits.hours and epochs_done else {}

    def _measure(self, ahead: int) -> Spent:
        """How much of the time limit is over so many steps from now on, by the clock of this rank."""
        step, steps = self.progress.position.step, self._order.steps
        pending = Pending(steps - step or steps, steps, self.progress.position.epoch + step / steps)
        pace_s, evaluation_s = self._pace.mean_step_s, self._evaluation_s or 0.0
        return spent(self._seconds(), self._limit_s, pending, step_s=pace_s, evaluation_s=evaluation_s, ahead=ahead)

    def _seconds(self) -> float:
        """Seconds of this run's training, earlier starts included."""
        return time.monotonic() - self._started

    def _now(self) -> Progress:
        self.progress.clock = self._seconds()
        return self.progress

    def summary(self) -> dict[str, Any]:
        """Numbers of the whole run for result.json."""
        position = self.progress.position
        return {
            "epochs": position.epoch,
            "steps": position.total,
            "images_per_s": self._pace.images_per_s,
            "seconds": self._seconds(),
            "skipped_steps": self.progress.recovery.skipped_in_all,
        }
