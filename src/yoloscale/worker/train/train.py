"""One rank of a training run, from the frozen config to its exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial

import yaml

from yoloscale.checkpoint.interval import When, mean_time_between_failures
from yoloscale.checkpoint.state import Progress
from yoloscale.checkpoint.store import Retention
from yoloscale.config.schema import Config, Interval
from yoloscale.data.loader import MicroBatchLoader
from yoloscale.data.worker_deaths import worker_deaths_named
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import FINISHING, HEARTBEAT
from yoloscale.engine.loop import Limits, Loop, Outcome
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.exit_codes import FINISHED, INTERRUPTED, STOPPED
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.system import memory
from yoloscale.system.formatting import rank_name
from yoloscale.track.background import BackgroundTrackers
from yoloscale.track.results_csv import ResultsCsv
from yoloscale.worker.common.attendance import announce, end_if_lost, leave, say_phase, watch_for_requests
from yoloscale.worker.train import remarks
from yoloscale.worker.train.checkpointer import RunCheckpointer
from yoloscale.worker.train.finish import finish, published_arguments, weights_copier
from yoloscale.worker.train.gpus import GpuWatch
from yoloscale.worker.train.hang import watch
from yoloscale.worker.train.micro_batches import MicroBatches
from yoloscale.worker.train.observer import RunObserver
from yoloscale.worker.train.parts import Parts, build, choose_device, stay_near
from yoloscale.worker.train.tracking import (
    FINISHED_TIMEOUT_S,
    STOPPED_TIMEOUT_S,
    close_failed,
    open_trackers,
    tell_stopped,
)
from yoloscale.worker.train.trial import Trial
from yoloscale.yolo.callbacks import CallbackError
from yoloscale.yolo.messages import listening
from yoloscale.yolo.trainer_view import TrainerView

EXIT_CODES = {Outcome.finished: FINISHED, Outcome.preempted: STOPPED, Outcome.interrupted: INTERRUPTED}


def train(config: Config, run: RunDirectory, ranks: Ranks, attempt: int, requests: StopRequests) -> int:
    """Collective. Train until the run is finished or asked to stop; returns the exit code of a worker."""
    device = choose_device(config, ranks)
    ranks = stay_near(device, ranks)
    watchdog = watch(config, run, ranks, attempt)
    steps = group.join(ranks, config.cluster.backend or "gloo", device, config.cluster.timeout_s)
    processes = announce(run, ranks, attempt, device)
    watchdog.meet([asdict(process) for process in processes])
    with listening() as messages:
        parts = build(config, run, ranks, device, steps, requests, partial(say_phase, run, ranks, attempt))
    remarks.tell(run, ranks, messages)
    checkpointer = make_checkpointer(
        config, run, ranks, parts, when=_when(config, run, attempt), save_period=config.save_period
    )
    progress = follow_length(config, checkpointer.restore() or _first_progress(config, run))
    watch_for_requests(run, ranks, requests)
    trackers = open_trackers(config, run, ranks, progress, attempt)
    observer = _observer(config, run, ranks, progress, trackers, attempt)
    trial = Trial(config, run, ranks)
    batches = _micro_batches(config, parts, ranks)
    gpus = GpuWatch(device)
    callbacks = _callbacks(config, ranks, parts)
    loop = Loop(
        parts.stepper,
        parts.order,
        parts.schedule,
        _limits(config),
        rank=ranks.rank,
        progress=progress,
        open_loader=batches.begin,
        evaluation=parts.evaluation,
        checkpointer=checkpointer,
        observer=observer,
        requests=requests,
        hosts=[process.host for process in processes],
        is_hopeless=trial.is_hopeless,
        machine=gpus.of_all,
        callbacks=callbacks,
    )
    _say_started(config, run, ranks, attempt, parts, progress)
    try:
        with closing(batches), closing(gpus), closing(checkpointer), worker_deaths_named():
            outcome = loop.run()
        HEARTBEAT.at(FINISHING)
        end_if_lost(run, ranks)
        if outcome is Outcome.finished:
            with worker_deaths_named():
                finish(config, run, ranks, parts, observer=observer, summary=loop.summary(), callbacks=callbacks)
            trial.tell()
        else:
            _say_stopped(run, ranks, attempt, requests, loop.progress, outcome, trackers)
        _tear_down(run, ranks, callbacks)
    except BaseException as error:
        close_failed(trackers, run, error)
        raise
    trackers.close(EXIT_CODES[outcome], FINISHED_TIMEOUT_S if outcome is Outcome.finished else STOPPED_TIMEOUT_S)
    leave(watchdog)
    return EXIT_CODES[outcome]


def _tear_down(run: RunDirectory, ranks: Ranks, callbacks: TrainerView | None) -> None:
    """Collective. Call `teardown` when every rank has done its part; an error in it is a warning: the rest is done."""
    if callbacks is None:
        return
    group.barrier()
    complaint = None
    try:
        callbacks.teardown()
    except CallbackError as error:
        complaint = f"{rank_name(ranks.rank, ranks.host)}: {error}"
    complaints = list(filter(None, group.gather_objects(complaint)))
    if complaints and ranks.is_first:
        more = f", and on {len(complaints) - 1} more" if len(complaints) > 1 else ""
        events.warn(run, complaints[0] + more)


def _callbacks(config: Config, ranks: Ranks, parts: Parts) -> TrainerView | None:
    """What the person's own functions are called with; None where there are none."""
    if not config.callbacks:
        return None
    return TrainerView(parts.trainer, parts.stepper, parts.order, parts.plan, is_first=ranks.is_first)


def make_checkpointer(
    config: Config, run: RunDirectory, ranks: Ranks, parts: Parts, *, when: When, save_period: int
) -> RunCheckpointer:
    """Not collective; every rank has one. `save_period`: as RunCheckpointer has it."""
    return RunCheckpointer(
        run,
        parts.stepper,
        ranks,
        weights_copier(parts, run),
        retention=Retention(config.checkpoint.keep, config.checkpoint.keep_every_steps, config.checkpoint.keep_best),
        when=when,
        save_period=save_period,
    )


def _say_stopped(
    run: RunDirectory,
    ranks: Ranks,
    attempt: int,
    requests: StopRequests,
    progress: Progress,
    outcome: Outcome,
    trackers: BackgroundTrackers,
) -> None:
    """Collective. Put on record where the run stopped, and what any of the ranks was asked with; tell the trackers."""
    tell_stopped(trackers, run, progress, outcome)
    reasons = group.gather_objects(requests.reason)
    if not ranks.is_first:
        return
    position = progress.position
    preempted = events.Preempted(
        attempt=attempt,
        step=position.total,
        epoch=position.epoch + 1,
        signal=next(filter(None, reasons), None),
        outcome=outcome.value,
    )
    events.note(run, preempted)
    if run.loss() is None:
        run.stop_request.unlink(missing_ok=True)  # it has been honoured


def _first_progress(config: Config, run: RunDirectory) -> Progress:
    progress = Progress(seed=config.seed, run_id=run.run_id)
    progress.position.epochs = config.epochs
    return progress


def follow_length(config: Config, progress: Progress) -> Progress:
    """The progress with the epochs of the config, which may have been changed since its checkpoint was written.

    With other `epochs` alone, the last of them have no mosaic, whichever had none by a plan of before.

    What has ended stays ended, unless `epochs` or `time` was changed after that. With `time=` the epochs follow from
    it, one more at first where some of it is left.
    """
    position, epochs_done = progress.position, config.origin.epochs_done
    has_ended = position.epoch >= position.epochs
    if config.time is None and position.epochs != config.epochs:
        progress.mosaic_off = {}
    may_go_on = not has_ended or (epochs_done is not None and position.epoch <= epochs_done)
    if config.time is None and may_go_on:
        position.epochs = config.epochs
    elif config.time is not None and has_ended and may_go_on and progress.clock < config.time * 3600:
        position.epochs = position.epoch + 1
    return progress


def _when(config: Config, run: RunDirectory, attempt: int) -> When:
    """When to save within an epoch; the expected time between interruptions is corrected by what the run has seen."""
    settings = config.checkpoint
    training_s, interruptions = _interruptions(events.history(run), attempt)
    return When(
        every_steps=settings.every_steps,
        every_s=settings.every_minutes * 60 if settings.every_minutes else None,
        automatic=settings.interval is Interval.auto,
        mtbf_s=mean_time_between_failures(settings.mtbf_hours * 3600, training_s, interruptions),
    )


def _interruptions(history: Sequence[events.Event], attempt: int) -> tuple[float, int]:
    """Seconds from first to last event in which earlier attempts trained, and how many ended without being asked to."""
    training_s, interruptions = 0.0, 0
    for number in range(1, attempt):
        part = events.of_attempt(history, number)
        starts = [event.time for event in part if isinstance(event, events.TrainingStarted)]
        if starts:
            training_s += part[-1].time - starts[0]
            interruptions += not any(isinstance(event, events.Preempted) for event in part)
    return training_s, interruptions


def _limits(config: Config) -> Limits:
    return Limits(
        hours=config.time,
        patience=config.patience,
        evaluate_every_epoch=config.val,
        save=config.save,
        trace=config.debug.trace,
    )


def _micro_batches(config: Config, parts: Parts, ranks: Ranks) -> MicroBatches:
    def make(start: tuple[int, int], mosaic_closed: Callable[[int], bool]) -> MicroBatchLoader:
        return MicroBatchLoader(
            parts.samples,
            parts.order,
            ranks.rank,
            start,
            mosaic_closed,
            workers=parts.loading.workers,
            prefetch=parts.loading.prefetch,
            pin_memory=parts.trainer.device.type == "cuda",
        )

    return MicroBatches(make, config.close_mosaic)


def _observer(
    config: Config, run: RunDirectory, ranks: Ranks, progress: Progress, trackers: BackgroundTrackers, attempt: int
) -> RunObserver:
    if ranks.is_first:
        run.check()
        jsonl.drop(run.trace, lambda line: line["step"] > progress.position.total)  # they are done again
    return RunObserver(
        run,
        ResultsCsv(run.results_csv, progress.position.epoch),
        trackers,
        writes=ranks.is_first,
        plots=config.plots,
        first_step=progress.position.total,
        attempt=attempt,
    )


def _say_started(
    config: Config, run: RunDirectory, ranks: Ranks, attempt: int, parts: Parts, progress: Progress
) -> None:
    """Write args.yaml and put on record that the set-up is over; on rank 0."""
    if not ranks.is_first:
        return
    run.check()
    run.arguments.write_text(yaml.safe_dump(published_arguments(parts), sort_keys=False))
    order, position, hours = parts.order, progress.position, config.time
    say_phase(run, ranks, attempt, "ready")
    started = events.TrainingStarted(
        attempt=attempt,
        epochs=0 if hours and position.epoch == 0 else position.epochs,  # after the first one it is known what fits
        hours=hours or None,
        clock_s=round(progress.clock, 1) if hours else 0.0,
        steps_per_epoch=order.steps,
        epoch=position.epoch + 1,
        step=position.total,
        images=order.samples,
        batch=parts.plan.global_batch,
        plan=str(parts.plan),
        precision=parts.precision.name,
        workers=parts.loading.workers,
        prefetch=parts.loading.prefetch,
        memory_bytes=memory.available().free_bytes,
    )
    events.append(run, started)
