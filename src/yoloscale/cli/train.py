"""`yoloscale train [key=value …]`: compose, check, and run it here, in the background, or as one node of several."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

from yoloscale.cli.show.ending import shown
from yoloscale.cli.show.watch import run_detached, run_watched, say
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import FINISHED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory

MAX_DRY_RUN_NODES = 8
BUILT_IN = ("shapes", "trees")  # datasets that are made here


@dataclass(frozen=True)
class OwnFlags:
    """The launcher's own flags; everything else belongs to the config."""

    dry_run: bool
    detach: bool
    prepare: bool
    node_rank: int | None
    rest: list[str]


def main(arguments: list[str]) -> int:
    """Train; 0 finished, 1 failed, 2 bad config, 75 stopped on request, 130 interrupted."""
    from yoloscale.backends import registry
    from yoloscale.cli import resume
    from yoloscale.cli.nodes import join, print_commands
    from yoloscale.cli.sweep import verbs
    from yoloscale.cli.sweep.verbs import is_sweep
    from yoloscale.config.compose.each_dataset import with_each_dataset
    from yoloscale.config.compose.hydra import run_hydra_flags
    from yoloscale.launch.configure import configure, remarks_if_prepared
    from yoloscale.launch.prepare import refuse_weights
    from yoloscale.launch.run_folder import named_run

    if (words := resume.words_of(arguments)) is not None:
        return resume.main(words)
    flags = own_flags(arguments)
    answered = run_hydra_flags(flags.rest)
    if answered is not None:
        return answered
    flags = replace(flags, rest=with_each_dataset(flags.rest, say))
    if is_sweep(flags.rest):
        refuse_for_sweeps(flags)
        return verbs.train(flags.rest, dry_run=flags.dry_run, prepare=flags.prepare, detach=flags.detach)
    config = configure(flags.rest, say, uses_own_job=not (flags.prepare or flags.dry_run))
    refuse_bad_combination(config, flags)
    for line in remarks_if_prepared(config, flags.rest) if flags.prepare else registry.remarks(config):
        say(line)
    if flags.dry_run:
        refuse_weights(config)
        say_outlook([config])
    if not config.cluster.is_here:
        return _by_scheduler(config, flags)
    if flags.dry_run:
        return _dry_run(config, flags)
    if config.cluster.nodes > 1 and flags.node_rank is None:
        return print_commands(["train", *_named(flags.rest, config)], config.cluster.nodes)
    if flags.node_rank:
        return join(config, named_run(config, str(config.name)), flags.node_rank)
    return _start(config, flags)


def own_flags(arguments: list[str]) -> OwnFlags:
    """Take --dry-run, --detach, --prepare and --node-rank K out of what was typed."""
    rest: list[str] = []
    node_rank: str | None = None
    tokens = iter(arguments)
    for token in tokens:
        if token == "--node-rank":
            node_rank = next(tokens, "")
        elif token.startswith("--node-rank="):
            node_rank = token.partition("=")[2]
        elif token not in ("--dry-run", "--detach", "--prepare"):
            rest.append(token)
    if node_rank is not None and not node_rank.isdigit():
        raise ConfigError(Problem("--node-rank", f"{node_rank!r}", "write a whole number: 0 for the first node"))
    number = int(node_rank) if node_rank is not None else None
    return OwnFlags("--dry-run" in arguments, "--detach" in arguments, "--prepare" in arguments, number, rest)


def refuse_bad_combination(config: Config, flags: OwnFlags) -> None:
    """Flags that do not go with each other or with the topology."""
    nodes = config.cluster.nodes
    is_elsewhere = not config.cluster.is_here
    problems = []
    if flags.node_rank is not None and is_elsewhere:
        problems.append(
            Problem("--node-rank", "with cluster.launcher=slurm", "leave it out: srun starts a launcher on each node")
        )
    elif flags.node_rank is not None and not 0 <= flags.node_rank < nodes:
        problems.append(
            Problem("--node-rank", f"{flags.node_rank} of {nodes} nodes", f"0 to {nodes - 1}; cluster.nodes=N")
        )
    if flags.node_rank is not None and flags.detach:
        problems.append(
            Problem("--detach", "together with --node-rank", "start each node in its own terminal, or nohup")
        )
    if flags.prepare and not is_elsewhere:
        problems.append(Problem("--prepare", "without cluster=slurm", "leave it out: scripts of SLURM jobs use it"))
    if flags.node_rank and config.name is None:
        problems.append(
            Problem("name", "none given", "give every node the same name=…, which is how they find the run")
        )
    if problems:
        raise ConfigError(problems)


def refuse_for_sweeps(flags: OwnFlags) -> None:
    """Flags of a run over several nodes without a scheduler."""
    if flags.node_rank is not None:
        raise ConfigError(Problem("--node-rank", "for a sweep", "leave it out: a point has one node, or is a job"))


def _start(config: Config, flags: OwnFlags) -> int:
    from yoloscale.config.freeze import load
    from yoloscale.launch.start import ready

    taken = ready(config, flags.rest, say)
    frozen = load(taken.run.config)
    return run_detached(taken, frozen) if flags.detach else run_watched(taken, frozen)


def _by_scheduler(config: Config, flags: OwnFlags) -> int:
    from yoloscale.backends import registry
    from yoloscale.cli.submit import print_script, start
    from yoloscale.config.freeze import load
    from yoloscale.launch.run_folder import proposed_run, refuse_if_taken
    from yoloscale.launch.start import ready
    from yoloscale.runs.frozen_state import FrozenState

    words = ["train", *_named(flags.rest, config)]
    run = proposed_run(config)
    refuse_if_taken(run, config)
    if flags.dry_run:
        _say_not_compared(run, config)
        return print_script(config, run, words)
    if not flags.prepare and (job := registry.required(config.cluster).inside()) is not None:
        job.refuse_too_small(config)
    before = FrozenState.of(run) if run.path.exists() else None
    taken = ready(config, flags.rest, say)
    if flags.prepare:
        taken.release()
        print(f"run   {shown(taken.run.path)}")
        return FINISHED
    return start(taken, load(taken.run.config), words, before)


def _named(tokens: list[str], config: Config) -> list[str]:
    """What was typed, with the name that all nodes are to share."""
    from yoloscale.launch.run_folder import proposed_run

    return tokens if config.name is not None else [*tokens, f"name={proposed_run(config).name}"]


def say_outlook(configs: Iterable[Config]) -> None:
    """Say which data would be converted, unpacked, fetched or split before a start; of each dataset once."""
    own = [config for config in configs if config.data.source not in BUILT_IN]
    if not own:
        return
    from yoloscale.config.locations import cache_folder
    from yoloscale.datasets import sources

    different = {repr((config.data, config.model.task, config.paths.cache)): config for config in own}
    for config in different.values():
        for line in sources.outlook(config.data, config.model.task, cache_folder(config.paths)):
            say(line)


def _say_not_compared(run: RunDirectory, config: Config) -> None:
    from yoloscale.config.freeze import load
    from yoloscale.launch.move import not_compared

    if run.config.exists() and (line := not_compared(load(run.config), config, of=f"run {run.name!r}")) is not None:
        say(line)


def _dry_run(config: Config, flags: OwnFlags) -> int:
    """Print what would be started; nothing is made, fetched or started."""
    from yoloscale.agent.attempt import command
    from yoloscale.agent.spec import node_spec
    from yoloscale.config.plan import describe
    from yoloscale.launch.run_folder import proposed_run, refuse_if_taken

    run = proposed_run(config)
    refuse_if_taken(run, config)
    _say_not_compared(run, config)
    attempt = events.last_attempt(events.history(run)) + 1
    print(f"run   {shown(run.path)}")
    print(f"plan  {describe(config)}")
    nodes = range(config.cluster.nodes) if flags.node_rank is None else [flags.node_rank]
    for node in nodes[:MAX_DRY_RUN_NODES]:
        spec = node_spec(config, run.path, attempt=attempt, job_id="JOB_ID", node_rank=node)
        argv, variables = command(spec)
        print(f"\n# node {node}" if config.cluster.nodes > 1 else "")
        print(
            " \\\n  ".join([*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), shlex.join(argv)])
        )
    if len(nodes) > MAX_DRY_RUN_NODES:
        print(f"\n# and {len(nodes) - MAX_DRY_RUN_NODES} more nodes")
    return FINISHED
