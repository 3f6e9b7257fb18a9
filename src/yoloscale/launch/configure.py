"""From what was typed to a config that can be run on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from yoloscale.backends import registry
from yoloscale.backends.check import validate
from yoloscale.config import node_paths
from yoloscale.config.check.effects import remarks
from yoloscale.config.check.service_variables import unread, with_variables
from yoloscale.config.compose.flags import Flags, parsed, placed
from yoloscale.config.compose.hydra import compose_run, leaves_nodes_out
from yoloscale.config.resolve import adopt, resolve
from yoloscale.config.schema import (
    ClusterConfig,
    Config,
    Device,
    LoggerConfig,
    PredictConfig,
    RunConfig,
    Task,
    ValConfig,
)
from yoloscale.datasets import weights_file
from yoloscale.datasets.ultralytics_settings import unheld
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch.inference import another_kind, are_alike
from yoloscale.launch.run_folder import named_run
from yoloscale.runs.frozen_state import FrozenState
from yoloscale.system.remarks import Say, silent


@dataclass(frozen=True)
class Configured:
    """What a command line asks for: the config of a run, resolved and validated; the same before this machine and the
    run of that name decided what it leaves open; and what that run is frozen with, None where there is none.
    """

    config: RunConfig
    composed: RunConfig
    seen: FrozenState | None


def configure(typed: Sequence[str] | Flags, say: Say = silent, *, uses_own_job: bool = False) -> Config:
    """The config of a training run that `configured` makes of what was typed."""
    config = configured(typed, say, uses_own_job=uses_own_job).config
    assert isinstance(config, Config), "composed as one that trains"
    return config


def configured(typed: Sequence[str] | Flags, say: Say = silent, *, uses_own_job: bool = False) -> Configured:
    """Compose, resolve and validate a run of the kind that it is typed for. Raises ConfigError with every problem.

    What is left open is decided by this machine, or, if there is a run of that name, as it was when that was frozen.
    `uses_own_job`: typed in a scheduler's job, a run for that scheduler is one on the nodes of this job, and has what
    they have. `say` gets the remarks.
    """
    line = parsed(typed)
    config = composed = _without_loggers(compose_run(line, task_of, say), line, say)
    if problems := [*never_typed(config), *_sweep(config)]:
        raise ConfigError(problems)
    seen = FrozenState.now(named_run(config, config.name)) if config.name else None
    frozen = None if seen is None else seen.config
    if frozen is not None and not are_alike(frozen, config):
        raise ConfigError(another_kind(named_run(config, str(config.name)), frozen, config))
    backend, says_nodes = registry.of(config.cluster), True
    if uses_own_job and backend is not None and (job := backend.inside()) is not None:
        says_nodes = config.cluster.nodes != ClusterConfig.nodes or leaves_nodes_out(line) is False
        config = job.fit(config, say, says_nodes=says_nodes, frozen=frozen)
    config = config if backend is None else backend.complete(config)
    for text in unread(config):
        say(text)
    config = with_variables(config, frozen)
    config = resolve(config if frozen is None else adopt(config, frozen))
    problems = [*validate(config), *([] if backend is None else backend.check_site(config, say))]
    if problems:
        raise ConfigError(placed([p if says_nodes else or_fewer_nodes(p, config) for p in problems], line))
    for text in _remarks(config, line):
        say(text)
    return Configured(config, composed, seen)


def _remarks(config: RunConfig, line: Flags) -> list[str]:
    """What a person may not expect of a config, before anything is started."""
    lines, typed = [*unheld(config), *node_paths.remarks(config)], typed_keys(line.argv)
    if isinstance(config, Config):
        return [*lines, *remarks(config, typed)]
    from yoloscale.config.check import inference  # what trains does without it

    assert isinstance(config, (PredictConfig, ValConfig)), "all other kinds train"
    return [*lines, *inference.remarks(config, typed)]


def _without_loggers(config: RunConfig, line: Flags, say: Say) -> RunConfig:
    """A run that does not train, without the loggers that nobody typed for it: a machine's defaults are for training.

    One that is typed stays, and is refused.
    """
    if isinstance(config, Config) or any(key.partition(".")[0] == "logger" for key in typed_keys(line.argv)):
        return config
    logger = config.logger
    on = [name for name in ("tensorboard", "wandb", "mlflow") if getattr(logger, name) not in (False, None)]
    if on:
        say(f"logger: {' and '.join(on)} of this machine's defaults: no effect on {config.kind}, which has none")
    return replace(config, logger=LoggerConfig())


def remarks_if_prepared(made: Configured) -> list[str]:
    """A line where a run that is made in a job with GPUs, for tasks of one's own, has none of them by default."""
    backend = registry.of(made.config.cluster)
    job = None if backend is None else backend.inside()
    if job is None or not job.gpus or made.config.cluster.device is not Device.cpu:
        return []
    if made.composed.cluster.device is not Device.auto:
        return []
    more = f"for them write cluster.gpus_per_node={job.gpus}, else device=cpu"
    return [
        f"this run computes on CPUs, and job {job.name}, in which it is made, has {job.gpus} GPUs on a node: {more}"
    ]


def typed_keys(tokens: Sequence[str]) -> set[str]:
    """The keys of what was typed, without Hydra's marks and dashes; none of an args.yaml: its defaults nobody typed."""
    keys = {token.partition("=")[0].strip().lstrip("+-") for token in tokens}
    return set() if "save_dir" in keys else keys


def never_typed(config: RunConfig) -> list[Problem]:
    """The problems of a composed config that says what only a start may say."""
    own = {
        "cluster.planned_ranks": (config.cluster.planned_ranks, "the ranks of a run's first start are put down"),
        "id": (config.id, "every run gets one"),
        **{
            f"origin.{key}": (value, "what a run's first start found is put down")
            for key, value in vars(config.origin).items()
        },
    }
    return [
        Problem(key, f"{value}", f"leave it out: {why} by itself")
        for key, (value, why) in own.items()
        if value is not None
    ]


def _sweep(config: RunConfig) -> list[Problem]:
    """The problem of one run that is configured as many."""
    if not isinstance(config, Config):
        return []
    has = [name for name in ("params", "search") if getattr(config.sweep, name)]
    instead = "add -m: yoloscale train -m …; or leave sweep= out"
    return [Problem("sweep", f"{' and '.join(has)} of a sweep, without -m", instead)] if has else []


def task_of(weights: Path) -> Task | None:
    """The task of somebody's own `.pt` file, read without running any of it."""
    return weights_file.inspect(weights).task


def or_fewer_nodes(problem: Problem, config: RunConfig) -> Problem:
    """The problem of a batch that does not divide over all nodes of a job: fewer of them may do, too."""
    if problem.key != "batch" or not isinstance(config, Config):
        return problem
    batch, per_node = int(config.batch), config.cluster.procs_per_node or 1
    fewer = [nodes for nodes in range(1, config.cluster.nodes) if batch % (nodes * per_node) == 0]
    return replace(problem, instead=f"{problem.instead}, or cluster.nodes={fewer[-1]}") if fewer else problem
