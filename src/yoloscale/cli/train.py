"""`yoloscale train [key=value …]`: compose, check, and run it here, in the background, or as one node of several."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass

from yoloscale.cli.ending import print_ending, shown
from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.schema import Config
from yoloscale.launch.claim import Claim
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory

MAX_DRY_RUN_NODES = 8


@dataclass(frozen=True)
class OwnFlags:
    """The launcher's own flags; everything else belongs to the config."""

    dry_run: bool
    detach: bool
    node_rank: int | None
    rest: list[str]


def main(arguments: list[str]) -> int:
    """Train; 0 finished, 1 failed, 2 bad config, 75 stopped on request, 130 interrupted."""
    from yoloscale.config.compose import run_hydra_flags
    from yoloscale.launch.configure import configure

    flags = own_flags(arguments)
    answered = run_hydra_flags(flags.rest)
    if answered is not None:
        return answered
    config = configure(flags.rest)
    refuse_bad_combination(config, flags)
    if flags.dry_run:
        return _dry_run(config, flags)
    if config.cluster.nodes > 1 and flags.node_rank is None:
        return _print_node_commands(config, flags)
    if flags.node_rank:
        return _join(config, flags.node_rank)
    return _start(config, flags)


def own_flags(arguments: list[str]) -> OwnFlags:
    """Take --dry-run, --detach and --node-rank K out of what was typed."""
    rest: list[str] = []
    node_rank: str | None = None
    tokens = iter(arguments)
    for token in tokens:
        if token == "--node-rank":
            node_rank = next(tokens, "")
        elif token.startswith("--node-rank="):
            node_rank = token.partition("=")[2]
        elif token not in ("--dry-run", "--detach"):
            rest.append(token)
    if node_rank is not None and not node_rank.isdigit():
        raise ConfigError(Problem("--node-rank", f"{node_rank!r}", "write a whole number: 0 for the first node"))
    number = int(node_rank) if node_rank is not None else None
    return OwnFlags("--dry-run" in arguments, "--detach" in arguments, number, rest)


def refuse_bad_combination(config: Config, flags: OwnFlags) -> None:
    """Flags that do not go with each other or with the topology."""
    nodes = config.cluster.nodes
    problems = []
    if flags.node_rank is not None and flags.node_rank >= nodes:
        problems.append(
            Problem("--node-rank", f"{flags.node_rank} of {nodes} nodes", f"0 to {nodes - 1}; cluster.nodes=N")
        )
    if flags.node_rank is not None and flags.detach:
        problems.append(
            Problem("--detach", "together with --node-rank", "start each node in its own terminal, or nohup")
        )
    if flags.node_rank and config.name is None:
        problems.append(
            Problem("name", "none given", "give every node the same name=…, which is how they find the run")
        )
    if problems:
        raise ConfigError(problems)


def announce(config: Config, run: RunDirectory, attempt: int) -> None:
    """The plan and where to look, before anything starts."""
    from yoloscale.config.plan import plan

    print(f"run   {shown(run.path)}")
    print(f"plan  {plan(config)}")
    print(f"logs  {shown(run.attempt_logs(attempt))}", flush=True)


def run_watched(taken: Claim, config: Config) -> int:
    """Run a claimed run here with a display; its exit code."""
    from yoloscale.cli.display import Display
    from yoloscale.launch.start import run_here

    before = events.last_attempt(events.history(taken.run))
    announce(config, taken.run, before + 1)
    with Display(taken.run, since_attempt=before) as display:
        outcome = run_here(taken, display.watch)
    print_ending(taken.run, outcome)
    return outcome.exit_code


def run_detached(taken: Claim, config: Config) -> int:
    """Hand a claimed run to a supervisor and say how to follow it."""
    from yoloscale.launch.start import run_in_background

    announce(config, taken.run, events.last_attempt(events.history(taken.run)) + 1)
    run_in_background(taken)
    path = shown(taken.run.path)
    print(f"runs in the background: {shlex.quote(taken.run.name)}")
    print(f"  yoloscale logs {path} -f\n  yoloscale status {path}\n  yoloscale cancel {path}")
    return 0


def say(line: str) -> None:
    """Progress of the preparation."""
    print(line, file=sys.stderr, flush=True)


def _start(config: Config, flags: OwnFlags) -> int:
    from yoloscale.config.freeze import load
    from yoloscale.launch.start import ready

    taken = ready(config, flags.rest, say)
    frozen = load(taken.run.config)
    return run_detached(taken, frozen) if flags.detach else run_watched(taken, frozen)


def _join(config: Config, node_rank: int) -> int:
    """Be one of the other nodes: wait for node 0's run, start this node's ranks, end as the run ends."""
    from yoloscale.cli.display import Display
    from yoloscale.launch.attempt import run_attempt
    from yoloscale.launch.claim import lock, named_run
    from yoloscale.launch.nodes import wait_for_first_node
    from yoloscale.launch.prepare import prepare
    from yoloscale.launch.start import joining_spec

    assert config.name is not None
    config = prepare(config, say)
    run = named_run(config, str(config.name))
    announced = wait_for_first_node(run, config, node_rank, say)
    taken = lock(run, node_rank=node_rank)
    announce(config, run, announced.attempt)
    with Display(run, since_attempt=announced.attempt - 1) as display:
        outcome = run_attempt(joining_spec(run, config, announced, node_rank), display.watch)
    taken.release()
    print_ending(run, outcome)
    return outcome.exit_code


def _print_node_commands(config: Config, flags: OwnFlags) -> int:
    from yoloscale.launch.claim import proposed_run
    from yoloscale.launch.nodes import commands

    typed = [*flags.rest, *(["--detach"] if flags.detach else [])]
    print(f"Type one of these on each of the {config.cluster.nodes} nodes; all of them must see the same paths.runs.")
    for command in commands(typed, proposed_run(config).name, config.cluster.nodes):
        print(f"  {command}")
    return 0


def _dry_run(config: Config, flags: OwnFlags) -> int:
    """Print what would be started; nothing is made, fetched or started."""
    from yoloscale.config.plan import plan
    from yoloscale.launch.attempt import command
    from yoloscale.launch.claim import proposed_run, refuse_if_taken
    from yoloscale.launch.spec import job_spec

    run = proposed_run(config)
    refuse_if_taken(run, config)
    attempt = events.last_attempt(events.history(run)) + 1
    print(f"run   {shown(run.path)}")
    print(f"plan  {plan(config)}")
    nodes = range(config.cluster.nodes) if flags.node_rank is None else [flags.node_rank]
    for node in nodes[:MAX_DRY_RUN_NODES]:
        spec = job_spec(config, run.path, attempt=attempt, job_id="JOB_ID", node_rank=node)
        argv, variables = command(spec)
        print(f"\n# node {node}" if config.cluster.nodes > 1 else "")
        print(
            " \\\n  ".join([*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), shlex.join(argv)])
        )
    if len(nodes) > MAX_DRY_RUN_NODES:
        print(f"\n# and {len(nodes) - MAX_DRY_RUN_NODES} more nodes")
    return 0
