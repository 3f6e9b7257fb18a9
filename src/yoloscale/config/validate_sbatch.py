"""What can be wrong with `cluster.sbatch`, the options that are passed through to sbatch. Pure."""

from __future__ import annotations

import re
from typing import Any

from yoloscale.config.errors import Problem
from yoloscale.config.slurm import OPTIONS, SlurmConfig

UNWRITABLE = re.compile(r"[\n\r\0]")  # sbatch reads a line behind #SBATCH, and has no way to write these
ONE_LINE = "write it on one line; sbatch takes no line breaks"
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9-]+")

_FILES = "leave it out: what the job says goes to job/ in the run's folder"
_SHAPE = "write cluster.nodes=N cluster.procs_per_node=N: the one task on each node is the launcher of its ranks"
_GPUS = "write cluster.gpus_per_node=N: every node has the same number of ranks"
_NOT_HERE = "leave it out: it would change what sbatch does with the script, or says of it"
_COMMANDS = ("parsable", "wait", "wrap", "test-only", "quiet", "help", "usage", "version", "clusters")
_REFUSED = {
    **{option.replace("_", "-"): f"write cluster.{option}=…" for option in OPTIONS},
    **dict.fromkeys(("output", "error", "input", "chdir", "open-mode"), _FILES),
    **dict.fromkeys(("ntasks", "ntasks-per-node", "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-socket"), _SHAPE),
    **dict.fromkeys(("tasks-per-node", "nodes"), _SHAPE),
    **dict.fromkeys(("gpus", "gpus-per-task", "gpus-per-socket"), _GPUS),
    **dict.fromkeys(_COMMANDS, _NOT_HERE),
    **dict.fromkeys(("requeue", "no-requeue"), "write cluster.max_requeues=N; with 0 the job is not requeued"),
    "array": "leave it out: `yoloscale train -m …` submits a sweep as an array; cluster.array_parallelism=N",
    "job-name": "write name=…; the job has the name of the run",
    "signal": "write cluster.stop_before_s=SECONDS",
    "no-kill": "write cluster.min_nodes=N",
    "export": "write cluster.export=NAME,NAME",
    "export-file": "write cluster.env.NAME=VALUE, or cluster.export=NAME,NAME",
}


def sbatch_problems(cluster: SlurmConfig) -> list[Problem]:
    """Problems of the options that are passed through."""
    problems, seen = list[Problem](), set[str]()
    for written, value in cluster.sbatch.items():
        name = written.replace("_", "-")
        problem = _name_problem(name, name in seen) or _value_problem(value)
        if problem is not None:
            found, instead = problem
            problems.append(Problem(f"cluster.sbatch.{written}", found, instead))
        seen.add(name)
    return problems


def _name_problem(name: str, is_second: bool) -> tuple[str, str] | None:
    if not _OPTION.fullmatch(name):
        return "no long option", "write the name without dashes before it, as in cluster.sbatch.nodelist=node1"
    if is_second:
        return "given twice, with `_` and with `-`", "write it once"
    if name in _REFUSED:
        return "set by yoloscale itself, or by a key of its own", _REFUSED[name]
    short_for = [option for option in _REFUSED if option.startswith(name)]
    if short_for:  # getopt takes a beginning for the whole
        return f"sbatch reads it as --{short_for[0]}", f"write the whole name, or: {_REFUSED[short_for[0]]}"
    return None


def _value_problem(value: Any) -> tuple[str, str] | None:
    if not isinstance(value, (str, int, float, bool, type(None))):
        return f"{value!r}", "write one value: text, a number, or true for an option that has none"
    if isinstance(value, str) and UNWRITABLE.search(value):
        return f"{value!r}", ONE_LINE
    return None
