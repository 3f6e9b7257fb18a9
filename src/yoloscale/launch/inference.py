"""A run that predicts or evaluates, taken up again: nothing that its rows or metrics depend on may be another."""

from __future__ import annotations

from yoloscale.config.schema import Config, PredictConfig, RunConfig, ValConfig
from yoloscale.config.schema.run import EvaluationOrigin, InferenceOrigin
from yoloscale.config.topology import differences, moved_inference
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch import anew
from yoloscale.launch.contents import refuse_lost_contents
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.formatting import another


def moved_run(run: RunDirectory, frozen: RunConfig, wanted: RunConfig) -> RunConfig:
    """What a run is to be frozen with when it goes on as wanted; the frozen config itself if nothing differs.

    What is not looked at yet, weights and dataset, is compared once it is. Raises ConfigError, with every key.
    """
    if frozen.kind != wanted.kind or not isinstance(frozen, (PredictConfig, ValConfig)):
        raise ConfigError(another_kind(run, frozen, wanted))
    refuse_lost_contents(frozen, run)
    config = moved_inference(frozen, wanted)
    problems = [another(*change, of=f"run {run.name!r}") for change in differences(config, wanted)]
    problems += _other_inputs(run, frozen.origin, wanted)
    if problems:
        raise ConfigError(problems)
    return config


def are_alike(frozen: RunConfig, wanted: RunConfig) -> bool:
    """Whether a run may go on as a command of another verb, or of its own, wants it: those that train may."""
    return frozen.kind == wanted.kind or (isinstance(frozen, Config) and isinstance(wanted, Config))


def another_kind(run: RunDirectory, frozen: RunConfig, wanted: RunConfig) -> Problem:
    """The problem of a name that a run of another kind has."""
    found = f"run {run.name!r} was started by `yoloscale {frozen.kind}`, and this is `yoloscale {wanted.kind}`"
    return Problem("name", found, "give another name=")


def _other_inputs(run: RunDirectory, before: InferenceOrigin, wanted: RunConfig) -> list[Problem]:
    """Weights, packages and data that are others by now."""
    now = wanted.origin
    assert isinstance(now, InferenceOrigin), "of the same kind"
    problems, again = [], anew.offer(run)
    if None not in (before.weights, now.weights) and before.weights != now.weights:
        found = f"{wanted.model.weights} holds other weights than when run {run.name!r} was started"
        problems.append(Problem("model", found, f"put the old file back, or {again}"))
    for name, version in (now.versions or {}).items():
        if (old := (before.versions or {}).get(name, version)) != version:
            found = f"{name} {version}, and run {run.name!r} was started with {old}, so its bits may differ"
            problems.append(Problem("origin.versions", found, f"pip install {name}=={old}, or {again}"))
    datasets = [origin.dataset for origin in (before, now) if isinstance(origin, EvaluationOrigin)]
    if None not in datasets and len(set(datasets)) > 1:
        found = f"the images or labels are others than when run {run.name!r} was started"
        problems.append(Problem("data", found, again))
    return problems
