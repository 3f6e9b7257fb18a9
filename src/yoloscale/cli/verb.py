"""What the verbs that start a run share: flags of the launcher's own, a dry run, and the start in all its ways."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yoloscale.cli.show.ending import shown
from yoloscale.cli.show.watch import say
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import FINISHED
from yoloscale.runs import events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from yoloscale.config.compose.flags import Flags
    from yoloscale.config.schema.run import RunConfig
    from yoloscale.launch.start import StartRequest

MAX_DRY_RUN_NODES = 8


@dataclass(frozen=True)
class OwnFlags:
    """The launcher's own flags; everything else belongs to the config."""

    dry_run: bool
    detach: bool
    prepare: bool
    node_rank: int | None
    rest: list[str]


def main(kind: str, arguments: Sequence[str]) -> int:
    """Start a run of a kind that has no sweeps; 0 finished, 1 failed, 2 bad config, 75 stopped on request, 130.

    Raises ConfigError, with all problems, before anything is made.
    """
    from yoloscale.config.compose.flags import split
    from yoloscale.config.compose.hydra import run_hydra_flags

    flags = own_flags(arguments)
    line = split(flags.rest, kind=kind)
    if (answered := run_hydra_flags(line)) is not None:
        return answered
    if line.is_sweep:
        instead = f"leave it out, and type `yoloscale {kind}` once for each run, in a loop of the shell, say"
        raise ConfigError(Problem("-m", f"many runs of `yoloscale {kind}` at once", instead))
    return start(line, flags)


def start(line: Flags, flags: OwnFlags) -> int:
    """Start what is asked for: here, in the background, as one node of several, or as a job; the exit code."""
    from yoloscale.backends import registry
    from yoloscale.cli.nodes import join, print_commands
    from yoloscale.cli.start import start as start_request_of
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
        return _prepare(request)
    return start_request_of(request, detach=flags.detach)


def _prepare(request: StartRequest) -> int:
    """Make the run's folder, and start nothing."""
    from yoloscale.backends.run_lock import RunInUse
    from yoloscale.launch.late import is_made_by_another

    run = request.run
    try:
        taken = request.take(say)
        taken.release()
        run = taken.run
    except RunInUse:
        if not is_made_by_another(request, say):
            raise
    print(f"run   {shown(run.path)}")
    return FINISHED


def own_flags(arguments: Sequence[str]) -> OwnFlags:
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


def refuse_bad_combination(config: RunConfig, flags: OwnFlags) -> None:
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


def _dry_run(request: StartRequest, flags: OwnFlags) -> int:
    """Print what would be submitted or started; nothing is made, fetched or started."""
    from yoloscale.cli.start import print_script
    from yoloscale.launch.prepare import foresee

    foresee(request.config, say)
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
