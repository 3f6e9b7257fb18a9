"""What can be wrong with `cluster.sbatch`, the options that are passed through to sbatch. Pure."""

from __future__ import annotations

import re
from typing import Any

from yoloscale.config.compose.sbatch_options import INSTEAD
from yoloscale.config.schema.slurm import SlurmConfig
from yoloscale.errors import Problem

UNWRITABLE = re.compile(r"[\n\r\0]")  # sbatch reads a line behind #SBATCH, and has no way to write these
ONE_LINE = "write it on one line; sbatch takes no line breaks"
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9-]+")


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
    if name in INSTEAD:
        return "set by yoloscale itself, or by a key of its own", INSTEAD[name]
    short_for = [option for option in INSTEAD if option.startswith(name)]
    if short_for:  # getopt takes a beginning for the whole
        return f"sbatch reads it as --{short_for[0]}", f"write the whole name, or: {INSTEAD[short_for[0]]}"
    return None


def _value_problem(value: Any) -> tuple[str, str] | None:
    if not isinstance(value, (str, int, float, bool, type(None))):
        return f"{value!r}", "write one value: text, a number, or true for an option that has none"
    if isinstance(value, str) and UNWRITABLE.search(value):
        return f"{value!r}", ONE_LINE
    return None
