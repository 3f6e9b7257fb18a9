"""One rank of a prediction, from the frozen config to its exit code.

| state of the run, as this rank sees it | what it does |
| --- | --- |
| a unit that nobody is at, or whose claimant is gone | claims it, predicts it, writes its part |
| such a unit, after two processes have died at it, or an exception | the same, image by image in a process of its own |
| all units that are left have a claimant at work | waits |
| all parts are there | makes the views, writes result.json unless it is there, ends with 0 |
| asked to stop | gives its units back as they were, ends with 75, or 130 |

There is no process group: ranks come, die and are preempted, each for itself.
"""

from __future__ import annotations

import os
from contextlib import closing

import torch

from yoloscale.config.schema import PredictConfig
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.hang.watchdog import Timing, Watchdog
from yoloscale.distributed.heartbeat import HEARTBEAT, Phase
from yoloscale.engine.stop_requests import Stop, StopRequests
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import FINISHED, INTERRUPTED, STOPPED
from yoloscale.manifest.content import Reader
from yoloscale.manifest.table import count
from yoloscale.predictions import model, parts
from yoloscale.predictions.claims import Claimant, Claims
from yoloscale.predictions.model import Model
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.variables import ATTEMPT
from yoloscale.worker.common.attendance import watch_here
from yoloscale.worker.common.inputs import refuse_other_versions
from yoloscale.worker.predict.end import end
from yoloscale.worker.predict.model import describe, open_predictor
from yoloscale.worker.predict.progress import Extent, Progress
from yoloscale.worker.predict.read_ahead import ReadAhead
from yoloscale.worker.predict.unit_loop import UnitLoop, is_stopped
from yoloscale.worker.predict.units import Stopped
from yoloscale.worker.predict.views.make import ViewsSummary, discard, make_views
from yoloscale.worker.predict.views.request import view_request
from yoloscale.worker.train.hang import record
from yoloscale.worker.train.parts import choose_device, stay_near

MAKING_VIEWS = Phase("making views of the rows")
UNITS = "units"  # what is claimed
STOP_FILE = "STOP"  # the reason of a request that came by it


def predict(config: PredictConfig, run: RunDirectory, ranks: Ranks, attempt: int, requests: StopRequests) -> int:
    """Not collective. Predict units until all are done or a stop is asked for; returns the exit code of a worker."""
    device = choose_device(config, ranks)
    ranks = stay_near(device, ranks)
    timing = Timing(config.cluster.timeout_s)
    watchdog = Watchdog(ranks, None, timing, lambda hang: record(run, ranks, attempt, hang))
    watchdog.start()
    with closing(watchdog):
        watch_here(run, requests)
        extent = _extent(config, run)
        progress = Progress(run, ranks, attempt, extent, lambda: parts.done(run.path))
        progress.say_joined(device)
        try:
            if len(parts.done(run.path)) < extent.units:
                _predict_units(config, run, ranks, requests, progress, device)
            views = _make_views(config, run, ranks, requests, progress)
            end(run, extent, views.as_json() if config.predict.save else None, views.remark)
            discard(run.path)
        except Stopped:
            return _stop(run, ranks, attempt, requests)
    return FINISHED


def _predict_units(
    config: PredictConfig,
    run: RunDirectory,
    ranks: Ranks,
    requests: StopRequests,
    progress: Progress,
    device: torch.device,
) -> None:
    """Open the model and work until all parts are there. Raises Stopped."""
    progress.say_phase("model")
    predictor = open_predictor(config, device)
    run.check()
    _keep(run, describe(config, predictor))
    loaders = config.predict.loaders or loaders_of(config, ranks)
    claimant = Claimant(ranks.rank, ranks.world_size)
    units, timeout_s = progress.extent.units, config.cluster.timeout_s
    claims = Claims(run.path, UNITS, units, lambda: parts.done(run.path), claimant, timeout_s)
    with Reader() as reader, ReadAhead(reader, predictor, loaders) as ahead:
        progress.say_started(predictor.precision, predictor.batch, loaders)
        UnitLoop(config, run, ranks, requests, progress, predictor, ahead).work(claims)


def _make_views(
    config: PredictConfig, run: RunDirectory, ranks: Ranks, requests: StopRequests, progress: Progress
) -> ViewsSummary:
    """Make what is asked for of the rows, with the other ranks. Raises Stopped."""
    if not config.predict.save:
        return ViewsSummary()

    def look() -> bool:
        HEARTBEAT.at(MAKING_VIEWS)
        return is_stopped(requests)

    progress.say_phase("views")
    request = view_request(config, model.read(run.path).names, progress.extent.units)
    claimant = Claimant(ranks.rank, ranks.world_size)
    views = make_views(request, run, claimant, config.cluster.timeout_s, look)
    if views is None:
        raise Stopped
    return views


def _extent(config: PredictConfig, run: RunDirectory) -> Extent:
    """Raises ConfigError for a folder without a manifest."""
    try:
        return Extent(count(run.manifest), config.images_of_unit)
    except FileNotFoundError:
        instead = "start the run by `yoloscale predict`, which writes it"
        raise ConfigError(Problem(str(run.manifest), "there is no such file", instead)) from None


def _keep(run: RunDirectory, opened: Model) -> None:
    """Write model.json once. Raises ConfigError where weights or packages are others than when the run began."""
    try:
        first = model.read(run.path)
    except FileNotFoundError:
        model.write(run.path, opened)
        return
    if (first.task, dict(first.names)) != (opened.task, dict(opened.names)):
        found = "another task or other classes than those of the model that the run began with"
        raise ConfigError(Problem("model", found, "start the run again under a new name"))
    refuse_other_versions(opened.versions, first.versions)
    if differences := model.unlike(first, opened):
        told = "; ".join(differences)
        events.warn(run, f"rows may differ in their last bits from those of the rank that began the run: {told}")


def loaders_of(config: PredictConfig, ranks: Ranks) -> int:
    """Threads that decode: what the forward pass leaves of the rank's CPUs, at least one."""
    return max(1, ranks.cpu_share - (1 if config.cluster.device.value == "cuda" else config.cluster.threads or 1))


def _stop(run: RunDirectory, ranks: Ranks, attempt: int, requests: StopRequests) -> int:
    """Put on record that the run stops here; the exit code.

    Rank 0 says it, or another one where all are asked by the STOP file and nobody has said it: rank 0 may be gone. The
    file stays for the others to see, and the launcher removes it; where there is none, a rank that is alone does.
    """
    is_interrupt = requests.stop is Stop.interrupt
    if ranks.is_first or (requests.reason == STOP_FILE and not _has_stopped(run, attempt)):
        preempted = events.Preempted(
            attempt=attempt,
            step=len(parts.done(run.path)),
            epoch=0,
            signal=requests.reason,
            outcome="interrupted" if is_interrupt else "preempted",
        )
        events.note(run, preempted)
    if ATTEMPT not in os.environ and ranks.world_size == 1 and run.loss() is None:
        run.stop_request.unlink(missing_ok=True)
    return INTERRUPTED if is_interrupt else STOPPED


def _has_stopped(run: RunDirectory, attempt: int) -> bool:
    history = events.history(run)
    return any(isinstance(event, events.Preempted) and event.attempt == attempt for event in history)
