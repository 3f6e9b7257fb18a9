"""`yoloscale train [key=value …]`: compose, check, and run it here, in the background, or as one node of several."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yoloscale.cli.show.ending import shown
from yoloscale.cli.show.watch import say
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import FINISHED
from yoloscale.runs import events

if TYPE_CHECKING:
    from yoloscale.config.compose.flags import Flags
    from yoloscale.launch.start import StartRequest

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
    from yoloscale.cli import resume
    from yoloscale.cli.sweep import verbs
    from yoloscale.config.compose.each_dataset import with_each_dataset
    from yoloscale.config.compose.flags import split
    from yoloscale.config.compose.hydra import run_hydra_flags

    if (words := resume.words_of(arguments)) is not None:
        return resume.main(words)
    flags = own_flags(arguments)
    line = split(flags.rest)
    answered = run_hydra_flags(line)
    if answered is not None:
        return answered
    if (tokens := with_each_dataset(flags.rest, say)) != flags.rest:
        line = split(tokens)
    if line.is_sweep:
        refuse_for_sweeps(flags)
        return verbs.train(line, dry_run=flags.dry_run, prepare=flags.prepare, detach=flags.detach)
    return _train(line, flags)


def _train(line: Flags, flags: OwnFlags) -> int:
    from yoloscale.backends import registry
    from yoloscale.cli.nodes import join, print_commands
    from yoloscale.cli.start import start
    from yoloscale.launch.configure import remarks_if_prepared
    from yoloscale.launch.start import start_request

    request = start_request(line, say, uses_own_job=not (flags.prepare or flags.dry_run))
    config = request.config
    refuse_bad_combination(config, flags)
    for text in remarks_if_prepared(request.configured) if flags.prepare else registry.remarks(config):
        say(text)
    if flags.dry_run:
        return _dry_run(request, flags)
    if config.cluster.is_here and config.cluster.nodes > 1 and flags.node_rank is None:
        return print_commands(request.words(request.run.name), config.cluster.nodes)
    if flags.node_rank:
        return join(config, request.run, flags.node_rank)
    if flags.prepare:
        taken = request.take(say)
        taken.release()
        print(f"run   {shown(taken.run.path)}")
        return FINISHED
    return start(request, detach=flags.detach)


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


def _dry_run(request: StartRequest, flags: OwnFlags) -> int:
    """Print what would be submitted or started; nothing is made, fetched or started."""
    from yoloscale.cli.start import print_script
    from yoloscale.launch.prepare import refuse_weights

    refuse_weights(request.config)
    say_outlook([request.config])
    request.refuse_if_taken()
    for line in request.remarks():
        say(line)
    return _print_ranks(request, flags) if request.config.cluster.is_here else print_script(request)


def _print_ranks(request: StartRequest, flags: OwnFlags) -> int:
    """Print the command of each node's ranks."""
    from yoloscale.agent.attempt import command
    from yoloscale.agent.spec import node_spec
    from yoloscale.config.plan import describe

    config, run = request.config, request.run
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
