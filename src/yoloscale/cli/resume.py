"""`yoloscale resume RUN`: go on with an unfinished run, exactly as it was configured."""

from __future__ import annotations

from yoloscale.cli import arguments
from yoloscale.cli.train import OwnFlags, refuse_bad_combination
from yoloscale.cli.watch import run_detached, run_watched, say
from yoloscale.config.errors import ConfigError, Problem


def main(typed: list[str]) -> int:
    """Start the next attempt; exit codes as `train`."""
    made = arguments.parser("resume", "Go on with an unfinished run from its newest checkpoint, as it was configured.")
    arguments.add_run(made)
    made.add_argument("--detach", action="store_true", help="in the background")
    made.add_argument("--node-rank", type=int, metavar="K", help="be this node of a run over several")
    parsed, changes = made.parse_known_args(typed)
    if changes:
        instead = "a run goes on as it was configured; to train otherwise, give a new name="
        raise ConfigError(Problem("resume", " ".join(changes), instead))
    from yoloscale.cli.nodes import join, print_commands
    from yoloscale.config.freeze import load
    from yoloscale.launch.start import ready_again

    run = arguments.chosen_run(parsed)
    config = load(run.config)
    refuse_bad_combination(config, OwnFlags(False, parsed.detach, parsed.node_rank, []))
    if config.cluster.nodes > 1 and parsed.node_rank is None:
        return print_commands(["resume", str(run.path)], config.cluster.nodes)
    if parsed.node_rank:
        return join(config, run, parsed.node_rank)
    taken = ready_again(run, say)
    return run_detached(taken, config) if parsed.detach else run_watched(taken, config)
