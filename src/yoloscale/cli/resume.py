"""`yoloscale resume RUN [cluster.key=value …]`: go on with an unfinished run as configured, here or elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yoloscale.cli import arguments
from yoloscale.cli.sweep import verbs
from yoloscale.cli.train import refuse_for_sweeps
from yoloscale.cli.verb import OwnFlags, refuse_bad_combination
from yoloscale.config.schema import Task
from yoloscale.errors import ConfigError, Problem

_ASKED = ("", "true", "1", "yes", "on")  # `resume` beside the model or the name that says of what
_NOT_ASKED = ("false", "none", "null", "0", "no", "off")
# a run knows these itself, or they have said which one it is
_OF_TRAIN = ("resume", "model", "name", "paths.runs", "project", "mode", "task", "train", *Task.__members__)

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
    if typed and typed[0].partition("=")[0] in ("resume", "model", "name") and "=" in typed[0]:  # as after `yolo train`
        typed = words_of(["resume", *typed]) or typed
    parsed, changes = made.parse_known_args(typed)
    flags = OwnFlags(False, parsed.detach, False, parsed.node_rank, [])
    if (chosen := arguments.chosen_sweep(parsed)) is not None:
        refuse_for_sweeps(flags)
        return verbs.resume(chosen, changes, failed_only=parsed.failed, detach=parsed.detach)
    from yoloscale.cli.nodes import join, print_commands
    from yoloscale.cli.start import start
    from yoloscale.launch.start import resume_request

    run = arguments.chosen_run(parsed)
    if parsed.failed:
        raise ConfigError(Problem("--failed", "beside the name of a run", "leave it out: it is for sweeps"))
    request = resume_request(run, changes)
    cluster = request.config.cluster
    refuse_bad_combination(request.config, flags)
    if cluster.is_here and cluster.nodes > 1 and parsed.node_rank is None:
        return print_commands(request.words(run.name), cluster.nodes)
    if parsed.node_rank:
        return join(request.checked(), run, parsed.node_rank)
    return start(request, detach=parsed.detach)


def words_of(typed: Sequence[str]) -> list[str] | None:
    """What to type after `resume` for what was typed after `train`, where that asks for it as `yolo train resume` does.

    None where it does not. Raises ConfigError where it does not say which run.
    """
    from yoloscale.config.compose.words import join_equals
    from yoloscale.config.quoting import unquote

    pairs = [(key.strip().lstrip("-+"), unquote(value.strip()), token) for token in join_equals(typed)
             for key, _, value in [token.partition("=")]]  # fmt: skip
    given = {key: value for key, value, token in pairs if "=" in token or key == "resume"}
    asked = given.get("resume")
    if asked is None or asked.lower() in _NOT_ASKED:
        return None
    named = [given[key] for key in ("model", "name") if given.get(key)]
    target = next(iter(named), None) if asked.lower() in _ASKED else asked
    runs = [f"--runs={given[key]}" for key in ("paths.runs", "project") if given.get(key)][:1]
    if target is None:
        raise ConfigError(_unnamed(Path(runs[0].partition("=")[2]) if runs else Path("runs")))
    rest = [token for key, _, token in pairs if key not in _OF_TRAIN]
    return [*runs, target, *rest]


def _unnamed(folder: Path) -> Problem:
    """The problem of a `resume` without a run; the newest that could be meant is named."""
    from yoloscale.runs.listing import all_runs
    from yoloscale.runs.status import is_finished

    open_runs = [run.name for run in all_runs(folder) if not is_finished(run)]
    newest = f", the newest that is unfinished: {open_runs[-1]}" if open_runs else ", and `yoloscale runs` lists them"
    return Problem("resume", "no run is named", f"write `yoloscale resume RUN`{newest}")
