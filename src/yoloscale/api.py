"""Training, predicting and evaluating from scripts and notebooks.

A run goes on in a process of its own, in the background: closing the notebook, restarting its kernel or logging out
does not end it, and nothing is lost by it. `yoloscale.runs()` finds it again; `run.cancel()` ends it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yoloscale.backends.registry import RateLimited
from yoloscale.backends.status import status, statuses
from yoloscale.config.addresses import hidden
from yoloscale.config.compose.words import from_values
from yoloscale.config.kinds import kind_of
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch.cancel import cancel
from yoloscale.launch.once import refuse_several
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import EventTail
from yoloscale.runs.listing import all_runs as listed_runs
from yoloscale.runs.status import Status, read_result
from yoloscale.runs.sweep_directory import SweepDirectory, read
from yoloscale.runs.tail import last_lines
from yoloscale.system.waiting import wait_until

if TYPE_CHECKING:
    from polars import LazyFrame
    from ultralytics.engine.results import Results

    from yoloscale.launch.start import RunRequest

POLL_S = 0.2
SWEEP_POLL_S = 1.0  # it reads the events of all points
SCHEDULER_POLL_S = 15.0
LOG_END_LINES = 20

__all__ = ["Run", "RunFailed", "Sweep", "all_runs", "predict", "sweep", "train", "val"]


class RunFailed(Exception):  # noqa: N818 - reads as what happened, as in `except RunFailed`
    """The run ended without finishing; the message names host and rank and holds the end of its log."""


class Run:
    """One run, by its directory; any number of these may look at the same run."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Raises ConfigError if there is no run at this path."""
        self._run = RunDirectory(Path(path).absolute())
        if not self._run.config.is_file():
            raise ConfigError(Problem("path", f"{path} is no run", "`yoloscale.runs()` lists the runs"))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self._run.name

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._run.path

    def status(self) -> Status:
        """State, progress, speed, as `yoloscale status -o json` prints them."""
        return status(self._run)

    def wait(self, timeout_s: float | None = None) -> Run:
        """Return this run once it has finished.

        Raises RunFailed if it ends in another way, TimeoutError if it still goes on after the time.
        """
        ask, tail = RateLimited(SCHEDULER_POLL_S), EventTail(self._run)
        newest = status(self._run, ask, tail)

        def has_ended() -> bool:
            nonlocal newest
            newest = status(self._run, ask, tail)
            return not newest.is_active

        if not wait_until(has_ended, math.inf if timeout_s is None else timeout_s, POLL_S):
            raise TimeoutError(f"run {self.name!r} is still {newest.state} after {timeout_s} s")
        if newest.state != "finished":
            raise RunFailed(self._why(newest))
        return self

    @property
    def metrics(self) -> dict[str, float]:
        """Final metrics of a finished run, those of the latest evaluation before; empty before the first."""
        return self.status().metrics

    @property
    def result(self) -> dict[str, Any] | None:
        """All of result.json, once the run has finished."""
        return read_result(self._run)

    @property
    def best(self) -> Path:
        """The best weights so far: `ultralytics.YOLO(run.best)`. Raises FileNotFoundError before there are any."""
        if not self._run.best_weights.exists():
            raise FileNotFoundError(f"run {self.name!r} has no {self._run.best_weights.name} yet")
        return self._run.best_weights

    def predictions(self) -> LazyFrame:
        """The rows of a run that predicts, of the units that are done, in the order of the manifest.

        A polars LazyFrame, read when it is collected: a row an image, also of those that could not be predicted
        (`status`, `error`); the columns are those of `predictions/schema.py`. Raises ConfigError before the first unit
        is done, and for a run that does not predict.
        """
        from yoloscale.predictions import parts

        self._refuse_unless_it_predicts()
        try:
            return parts.scan(self.path)
        except FileNotFoundError:
            instead = "wait for its first unit, or for all: run.wait()"
            raise ConfigError(Problem("run", f"{self.name} has no predictions yet", instead)) from None

    def results(self, index: int) -> Results:
        """What was found in one image, by its index, as Ultralytics' `Results`; the image is read again.

        Raises ConfigError if there is no such image, it was not predicted, or it is gone.
        """
        self._refuse_unless_it_predicts()
        # `Results` is an object of Ultralytics for the process that asks: so this imports torch, and a rank's module.
        from yoloscale.worker.predict.views.one_image import results_at

        return results_at(self._run, index)

    def logs(self, rank: int = 0, attempt: int | None = None) -> str:
        """What a rank has printed, in the newest attempt or another; empty if it has not started."""
        chosen = attempt or events.last_attempt(events.history(self._run))
        path = self._run.rank_log(chosen, rank)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def cancel(self, *, at_once: bool = False, timeout_s: float = 120.0) -> bool:
        """Stop it; its ranks save first, unless `at_once`. True once it has ended. ConfigError if it does not run."""
        return cancel(self._run, at_once=at_once, timeout_s=timeout_s)

    def resume(self, *overrides: str, **values: Any) -> Run:
        """Go on from the newest checkpoint, elsewhere if cluster settings are given as for `train`.

        In the background, or with launcher=slurm in a job of its own.

        Raises ConfigError if it is finished or running, or if more than where it runs is to change.
        """
        from yoloscale.launch.start import resume_request

        refuse_several(["resume"])
        _start(resume_request(self._run, hidden([*overrides, *from_values(values)])))
        return self

    def _refuse_unless_it_predicts(self) -> None:
        if self._run.kind != "predict":
            instead = "yoloscale.predict(...) returns a run that has predictions"
            raise ConfigError(Problem("run", f"{self.name} does not predict, it is a run of {self._run.kind}", instead))

    def _why(self, end: Status) -> str:
        lines = [f"run {self.name!r} is {end.state}" + (f": {end.error}" if end.error else "")]
        if end.failed_log is not None:
            lines += last_lines(self.path / end.failed_log, LOG_END_LINES)
        return "\n".join(lines)


def train(*overrides: str, **values: Any) -> Run:
    """Start a run in the background, or with cluster="slurm" submit it, and return it.

    `overrides` are written as on the command line: "cluster=local", "experiment=finetune". `values` are Python data
    and arrive as they are, whatever characters they hold; a nested key is given as {"cluster.nodes": 2} with `**`, or
    as a dict: cluster={"nodes": 2}. Weights and images are fetched and checked before this returns.
    Raises ConfigError, with all problems, before anything is started.
    """
    return _run("train", overrides, values)


def predict(source: str | PathLike[str] | Sequence[str | PathLike[str]], *overrides: str, **values: Any) -> Run:
    """Start a run in the background that predicts every image of `source` once, and return it.

    `source`: folders, patterns, lists, tar files, addresses, videos or images; one or several. `overrides` and `values`
    are as for `train`; model= is a run, a `.pt` file, a released name or an exported model. Weights are looked into,
    and all images listed, before this returns.
    Raises ConfigError, with all problems, before anything is started.
    """
    sources = [source] if isinstance(source, (str, PathLike)) else list(source)
    return _run("predict", overrides, {**values, "source": [str(each) for each in sources]})


def val(*overrides: str, **values: Any) -> Run:
    """Start a run in the background that evaluates weights (model=) on a dataset (data=, split=), and return it.

    `overrides` and `values` are as for `train`. `run.wait().metrics` has the metrics by Ultralytics' names.
    Raises ConfigError, with all problems, before anything is started.
    """
    return _run("val", overrides, values)


def _run(kind: str, overrides: Sequence[str], values: Mapping[str, Any]) -> Run:
    """Start a run of a kind in the background, or submit it. Raises ConfigError."""
    from yoloscale.backends import registry
    from yoloscale.launch.start import start_request

    verb = kind_of(kind).verb
    refuse_several([verb])
    request = start_request(hidden([*overrides, *from_values(values)]), print, kind=kind)
    cluster = request.config.cluster
    if cluster.nodes > 1 and cluster.is_here:
        instead = f"start several nodes with `yoloscale {verb} --node-rank K`"
        raise ConfigError(Problem("cluster.nodes", f"{cluster.nodes}", instead))
    for line in registry.remarks(request.config):
        print(line)
    return Run(_start(request).path)


class Sweep:
    """The runs of one `sweep(...)`, by its folder; any number of these may look at the same sweep."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Raises ConfigError if there is no sweep at this path."""
        self._sweep = SweepDirectory(Path(path).absolute())
        self._sweep.points()

    def __repr__(self) -> str:
        return f"Sweep({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The sweep's folder."""
        return self._sweep.path

    @property
    def points(self) -> list[Run]:
        """The runs, in the order of the points; of a search, those that there are so far."""
        return [Run(run.path) for run in self._sweep.runs()]

    def status(self) -> list[Status]:
        """State, progress and speed of each point."""
        return statuses(self._sweep.runs())

    def wait(self, timeout_s: float | None = None) -> Sweep:
        """Return this sweep once nothing of it is queued or trains.

        Points that failed do not make it raise: `status` tells of them. Raises TimeoutError if it still goes on after
        the time.
        """
        from yoloscale.sweep.launchers import alive

        asked = RateLimited(SCHEDULER_POLL_S)

        def is_over() -> bool:
            return not alive(self._sweep) and not any(each.is_taken for each in statuses(self._sweep.runs(), asked))

        if not wait_until(is_over, math.inf if timeout_s is None else timeout_s, SWEEP_POLL_S):
            raise TimeoutError(f"sweep {self._sweep.name!r} still goes on after {timeout_s} s")
        return self

    def cancel(self, *, at_once: bool = False, timeout_s: float = 120.0) -> bool:
        """Stop all points; those that train save first, unless `at_once`. True once they have ended."""
        from yoloscale.sweep.cancel import cancel_points

        return cancel_points(self._sweep, at_once=at_once, timeout_s=timeout_s)[1] == 0


def sweep(*overrides: str, **values: Any) -> Sweep:
    """Train several values of one key or more, as `yoloscale train -m` does, and return the sweep; in the background.

    `overrides` are written as on the command line: "imgsz=320,640", "seed=range(0,3)". `values` are as for `train`:
    data for all points, but for data=["a.yaml", "b.yaml"]: a run for each. With cluster="slurm" the points are
    submitted as one array. Raises ConfigError, with all problems, before anything is started.
    """
    from yoloscale.config.compose.each_dataset import with_each_dataset
    from yoloscale.sweep import local
    from yoloscale.sweep.start import submit_rest, sweep_request
    from yoloscale.sweep.unfinished import unfinished

    refuse_several(["train"])
    tokens = with_each_dataset(hidden([*overrides, *from_values(values)], is_swept=True))
    request = sweep_request(tokens, print)
    with request.take(print) as taken:
        made = taken.directory
        if not request.is_here:
            submit_rest(made, ["resume", str(made.path)], is_new=taken.is_new)
        is_search = read(made).settings.search is not None
    if request.is_here and (is_search or unfinished(made)):
        local.start_in_background(made)
    return Sweep(made.path)


def _start(request: RunRequest) -> RunDirectory:
    """Start what is asked for in the background, or submit it; the run's folder."""
    from yoloscale.launch.here import run_in_background
    from yoloscale.launch.submit import submit

    taken = request.take(print)
    if taken.config.cluster.is_here:
        run_in_background(taken)
    else:
        submit(request, taken)
    return taken.run


def all_runs(folder: str | PathLike[str] = "runs") -> list[Run]:
    """The runs in a folder, oldest first; called as `yoloscale.runs()`."""
    return [Run(run.path) for run in listed_runs(Path(folder))]
