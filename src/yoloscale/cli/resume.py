"""`yoloscale resume RUN [cluster.key=value …]`: go on with an unfinished run as configured, here or elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from yoloscale.cli import arguments, sweep
from yoloscale.cli.train import OwnFlags, refuse_bad_combination, refuse_for_sweeps
from yoloscale.cli.watch import run_detached, run_watched, say
from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.schema import Launcher
from yoloscale.runs.directory import RunDirectory

_DESCRIPTION = """
Go on with an unfinished run from its newest checkpoint, as it was configured. Where it runs may change, with the
arguments of `train`: cluster.procs_per_node=1, device=cpu, device=0,1, cluster.nodes=2 cluster.rdzv_endpoint=HOST:PORT,
cluster.time=… A run on SLURM is submitted again; cluster.launcher=local goes on with it here, cluster=slurm there.
The optimiser steps stay what they were planned as; what differs is said when it starts.
Of a sweep, all points that are unfinished and that nobody works on go on, those that failed with --failed only; with
sweep.parallel=N as many at a time on this machine.
"""


def main(typed: list[str]) -> int:
    """Start the next attempt; exit codes as `train`."""
    made = arguments.parser("resume", _DESCRIPTION)
    made.usage = "%(prog)s RUN [cluster.key=value …] [--detach] [--node-rank K] [--runs DIR]"
    arguments.add_run(made)
    made.add_argument("--detach", action="store_true", help="in the background")
    made.add_argument("--node-rank", type=int, metavar="K", help="be this node of a run over several")
    made.add_argument("--failed", action="store_true", help="of a sweep, only the points that failed")
    parsed, changes = made.parse_known_args(typed)
    flags = OwnFlags(False, parsed.detach, False, parsed.node_rank, [])
    if (chosen := arguments.chosen_sweep(parsed)) is not None:
        refuse_for_sweeps(flags)
        return sweep.resume(chosen, changes, failed_only=parsed.failed, detach=parsed.detach)
    from yoloscale.cli.nodes import join, print_commands
    from yoloscale.config.freeze import load
    from yoloscale.launch.start import asked, ready_again, wanted_again

    run = arguments.chosen_run(parsed)
    if parsed.failed:
        raise ConfigError(Problem("--failed", "beside the name of a run", "leave it out: it is for sweeps"))
    config = asked(run, changes)
    refuse_bad_combination(config, flags)
    if config.cluster.launcher is Launcher.slurm:
        return _submit(run, changes)
    if config.cluster.nodes > 1 and parsed.node_rank is None:
        return print_commands(["resume", str(run.path), *changes], config.cluster.nodes)
    if parsed.node_rank:
        return join(wanted_again(run, changes), run, parsed.node_rank)
    taken = ready_again(run, say, changes)
    frozen = load(run.config)
    return run_detached(taken, frozen) if parsed.detach else run_watched(taken, frozen)


def _submit(run: RunDirectory, changes: Sequence[str]) -> int:
    from yoloscale.cli.submit import start_on_slurm
    from yoloscale.config.freeze import load
    from yoloscale.launch.start import ready_again

    taken = ready_again(run, say, changes)
    return start_on_slurm(taken, load(run.config), ["resume", str(run.path), *changes], is_new=False)
