"""One rank of a training run, from the frozen config to its exit code."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

import torch

from yoloscale.checkpoint.state import Progress
from yoloscale.config.schema import Config
from yoloscale.data.loader import MicroBatchLoader
from yoloscale.data.seeds import derive
from yoloscale.dist import group
from yoloscale.dist.environment import Ranks
from yoloscale.engine.loop import Limits, Loop, Outcome
from yoloscale.engine.votes import Ballot
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.tasks.finish import finish, published_arguments, write_arguments
from yoloscale.tasks.keeper import RunKeeper
from yoloscale.tasks.observer import RunObserver
from yoloscale.tasks.setup import Parts, build, choose_device
from yoloscale.track.results_csv import ResultsCsv
from yoloscale.track.tracker import Tracker, make_trackers
from yoloscale.yolo import weights

EXIT_CODES = {Outcome.finished: 0, Outcome.preempted: 75, Outcome.interrupted: 130}


def train(config: Config, run: RunDirectory, ranks: Ranks, attempt: int, ballot: Ballot) -> int:
    """Collective. Train until the run is finished or asked to stop; returns the exit code of a worker."""

    def say(phase: str) -> None:
        if ranks.is_first:
            events.record(run, events.SETUP, attempt=attempt, phase=phase)

    device = choose_device(config, ranks)
    steps = group.join(ranks, config.cluster.backend or "gloo", device, config.cluster.timeout_s)
    _announce(config, run, ranks, attempt, device)
    parts = build(config, run, ranks, device, steps, ballot, say)
    keeper = RunKeeper(
        run,
        parts.stepper,
        ranks,
        lambda path, metrics, epoch: _write_weights(parts, path, metrics, epoch),
        keep=config.checkpoint.keep,
        save_period=config.save_period,
    )
    progress = keeper.restore() or _first_progress(config)
    observer = _observer(config, run, ranks, progress)
    loaders: list[MicroBatchLoader] = []
    loop = Loop(
        parts.stepper,
        parts.order,
        parts.schedule,
        _limits(config),
        rank=ranks.rank,
        progress=progress,
        open_loader=lambda at: _open_loader(config, parts, ranks, at, loaders),
        evaluation=parts.evaluation,
        keeper=keeper,
        observer=observer,
        ballot=ballot,
    )
    if ranks.is_first:
        write_arguments(run.path / "args.yaml", parts)
    say("ready")
    _say_started(run, ranks, attempt, parts, progress)
    outcome = loop.run()
    _close(loaders)
    if outcome is Outcome.finished:
        finish(config, run, ranks, parts, observer, loop.summary())
    elif ranks.is_first:
        position = loop.progress.position
        fields = {"attempt": attempt, "step": position.total, "epoch": position.epoch + 1}
        events.record(run, events.PREEMPTED, **fields, signal=ballot.signal, outcome=outcome.value)
    observer.close(EXIT_CODES[outcome])
    group.barrier()
    return EXIT_CODES[outcome]


def _announce(config: Config, run: RunDirectory, ranks: Ranks, attempt: int, device: torch.device) -> None:
    """Collective. Put on record who takes part."""
    mine = {"rank": ranks.rank, "host": ranks.host, "pid": os.getpid(), "device": str(device)}
    processes = group.gather_objects(mine)
    if ranks.is_first:
        events.record(run, events.ATTEMPT_STARTED, attempt=attempt, world_size=ranks.world_size, processes=processes)


def _first_progress(config: Config) -> Progress:
    progress = Progress(seed=config.seed)
    progress.position.epochs = config.epochs
    return progress


def _limits(config: Config) -> Limits:
    return Limits(
        hours=config.time,
        patience=config.patience,
        evaluate_every_epoch=config.val,
        save=config.save,
        trace=config.debug.trace,
    )


def _open_loader(
    config: Config, parts: Parts, ranks: Ranks, at: Progress, opened: list[MicroBatchLoader]
) -> Callable[[], dict[str, Any]]:
    """A loader from the position on, in place of the one before."""
    _close(opened)
    closing = config.close_mosaic
    loader = MicroBatchLoader(
        parts.samples,
        parts.order,
        ranks.rank,
        (at.position.epoch, at.position.step),
        lambda epoch: bool(closing) and epoch >= at.position.epochs - closing,
        workers=parts.workers,
        pin_memory=parts.trainer.device.type == "cuda",
    )
    opened.append(loader)
    return loader.__next__


def _close(loaders: list[MicroBatchLoader]) -> None:
    while loaders:
        loaders.pop().close()


def _observer(config: Config, run: RunDirectory, ranks: Ranks, progress: Progress) -> RunObserver:
    if ranks.is_first:
        jsonl.drop(run.trace, lambda line: line["step"] > progress.position.total)  # they are done again
    progress.tracker.setdefault("wandb", _tracker_id(run))
    trackers: list[Tracker] = []
    if ranks.is_first:
        trackers = make_trackers(config.logger, run.path, run.name, _plain(asdict(config)), progress.tracker["wandb"])
    return RunObserver(
        run,
        ResultsCsv(run.path / "results.csv", progress.position.epoch),
        trackers,
        writes=ranks.is_first,
        plots=config.plots,
        first_step=progress.position.total,
    )


def _tracker_id(run: RunDirectory) -> str:
    """The id under which a tracker knows the run: the same at every start, also before the first checkpoint."""
    begun = next(iter(events.history(run)), {}).get("time", 0)
    return f"{derive('tracker', run.name, str(begun)):016x}"[-8:]


def _plain(value: Any) -> Any:
    """The config as trackers and YAML can show it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.value if isinstance(value, Enum) else value


def _say_started(run: RunDirectory, ranks: Ranks, attempt: int, parts: Parts, progress: Progress) -> None:
    if not ranks.is_first:
        return
    order = parts.order
    events.record(
        run,
        events.TRAINING_STARTED,
        attempt=attempt,
        epochs=progress.position.epochs,
        steps_per_epoch=order.steps,
        epoch=progress.position.epoch + 1,
        step=progress.position.total,
        images=order.samples,
        batch=parts.plan.global_batch,
        plan=str(parts.plan),
        precision=parts.precision.name,
        workers=parts.workers,
    )


def _write_weights(parts: Parts, path: Path, metrics: dict[str, float], epoch: int) -> None:
    weights.save(path, parts.stepper.average.module, published_arguments(parts), metrics, epoch)
