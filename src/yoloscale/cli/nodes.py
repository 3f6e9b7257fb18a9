"""Several nodes without a scheduler: what to type on each, and being one of the others."""

from __future__ import annotations

from collections.abc import Sequence

from yoloscale.cli.show.watch import announce, say
from yoloscale.config.schema import RunConfig
from yoloscale.exit_codes import FINISHED
from yoloscale.runs.directory import RunDirectory


def print_commands(words: Sequence[str], nodes: int) -> int:
    """The command of each node; nothing is started."""
    from yoloscale.agent.nodes import commands

    print(f"Type one of these on each of the {nodes} nodes; all of them must see the same folder of runs.")
    print("\n".join(f"  {command}" for command in commands(words, nodes)))
    return FINISHED


def join(config: RunConfig, run: RunDirectory, node_rank: int) -> int:
    """Wait for node 0's attempt, start this node's ranks in it and in those after it; the run's exit code."""
    from yoloscale.agent.attempt import Observer
    from yoloscale.agent.joining import join_attempts
    from yoloscale.agent.nodes import wait_for_first_node
    from yoloscale.backends.run_lock import lock
    from yoloscale.cli.show.display import Display
    from yoloscale.cli.show.ending import print_ending
    from yoloscale.launch.prepare import prepared

    config = prepared(config, say)
    announced = wait_for_first_node(run, config, node_rank, say)
    taken = lock(run, node_rank=node_rank)
    announce(config, run, announced.attempt)
    with Display(run, since_attempt=announced.attempt - 1) as display:
        observer = Observer(display.watch, display.say)
        outcome = join_attempts(run, config, announced, observer, node_rank=node_rank)
    taken.release()
    print_ending(run, outcome)
    return outcome.exit_code
