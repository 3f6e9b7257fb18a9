"""`yoloscale wandb sync [RUN …]`: send what was logged offline. `yoloscale wandb sweep …`: write a sweep of W&B's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from yoloscale.backends.status import statuses
from yoloscale.cli import arguments
from yoloscale.cli.show.ending import shown
from yoloscale.cli.show.watch import say
from yoloscale.cli.wandb_sync import server_of_run, sync, unsent
from yoloscale.config.check import wandb_access
from yoloscale.config.freeze import dump
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import FAILED, FINISHED
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.listing import all_runs, all_sweeps, find, find_sweep
from yoloscale.system.formatting import counted

_USAGE = """
yoloscale wandb sync [RUN|SWEEP …] [--dry-run]     send what was logged offline to W&B
yoloscale wandb sweep key=a,b key=interval(a,b) …  print a sweep for `wandb sweep FILE` and `wandb agent`
"""
_SYNC = """
Send what runs have logged offline, or could not send in time, to W&B: of all runs, or of those named. All starts of a
run become one W&B run. What is sent already is left out.
"""
_SWEEP = """
Print a W&B sweep of what `yoloscale train -m` takes: lists of values, range(a,b), interval(a,b), tag(log,interval(…)).
Save it (> sweep.yaml), make it known with `wandb sweep sweep.yaml`, and start `wandb agent` wherever runs shall train.
"""
_LAST_LINES = 15


def main(typed: list[str]) -> int:
    """Run one of the two; 0 all sent or printed, 1 something could not be sent, 2 usage."""
    commands = {"sync": _sync, "sweep": _sweep}
    if not typed or typed[0] in ("-h", "--help"):
        print(_USAGE.strip())
        return FINISHED
    if typed[0] not in commands:
        raise ConfigError(Problem("wandb", f"there is no command {typed[0]!r}", _USAGE.strip()))
    return commands[typed[0]](typed[1:])


def _sync(typed: list[str]) -> int:
    parser = arguments.parser("wandb sync", _SYNC)
    parser.add_argument("run", metavar="RUN", nargs="*", help="runs or sweeps: name, path, or SLURM job; none: all")
    parser.add_argument("--dry-run", action="store_true", help="list what would be sent")
    parsed = parser.parse_args(typed)
    runs = list(_chosen(parsed.run, Path(parsed.runs)))
    waiting = {run: files for run in runs if (files := unsent(run))}
    if not waiting:
        print(f"nothing to send: {counted(len(runs), 'run')}, none with files that were not sent")
        return FINISHED
    if parsed.dry_run:
        for files in waiting.values():
            print("\n".join(shown(file) for file in files))
        return FINISHED
    servers = {run: server_of_run(run) for run in waiting}
    answers = [_answers(server) for server in dict.fromkeys(servers.values())]  # all of them say why not
    if not all(answers):
        print("nothing was sent")
        return FAILED
    code = 0
    for (run, files), state in zip(waiting.items(), statuses(list(waiting)), strict=True):
        if state.state in ("running", "restarting"):  # its newest file is still written to
            print(f"{shown(run.path)}: it is {state.state}; left for later")
        else:
            code = max(code, _send(run, files, servers[run]))
    return code


def _answers(server: str | None) -> bool:
    """Whether a server answers; None is that of this environment. Raises ConfigError where there is no key for it."""
    environ = wandb_access.environment_with(server)
    address = wandb_access.server_of(environ)
    if not wandb_access.has_key(environ):
        found = wandb_access.key_problem(environ).found.partition("but ")[2]
        host = f" --host {address}" if server is not None else ""
        raise ConfigError(Problem("wandb", found, f"type `wandb login{host}`"))
    if (reason := wandb_access.silence(address)) is not None:
        print(reason)
    return reason is None


def _send(run: RunDirectory, files: Sequence[Path], server: str | None) -> int:
    """Send one run's files, say how it went; the exit code."""
    print(f"{shown(run.path)}: {counted(len(files), 'start')} to send", flush=True)
    done = sync(files, server=server)
    if not done.left:
        print(f"{shown(run.path)}: sent")
        return FINISHED
    print("\n".join(f"  {line}" for line in done.said.splitlines()[-_LAST_LINES:]))
    print(f"{shown(run.path)}: {len(done.left)} of {counted(len(files), 'start')} not sent; they stay for another try")
    return FAILED


def _chosen(names: Sequence[str], folder: Path) -> Iterable[RunDirectory]:
    """The runs that were named, points of sweeps included; all if none was. Raises ConfigError for an unknown one."""
    if not names:
        yield from all_runs(folder)
        for sweep in all_sweeps(folder):
            yield from all_runs(sweep.path)
    for name in names:
        named = find_sweep(name, folder)
        yield from all_runs(named.path) if named is not None else [find(name, folder)]


def _sweep(typed: list[str]) -> int:
    from yoloscale.sweep.grammar.wandb_sweep import METHODS, wandb_sweep

    parser = arguments.plain_parser("wandb sweep", _SWEEP)
    parser.add_argument("--method", choices=METHODS, help="how W&B picks points (grid for lists, else bayes)")
    parser.add_argument("--metric", default="fitness", help="what is maximised, like metrics/mAP50(B) (fitness)")
    parsed, tokens = parser.parse_known_args(typed)
    print(dump(wandb_sweep(tokens, parsed.method, parsed.metric, say)), end="")
    return FINISHED
