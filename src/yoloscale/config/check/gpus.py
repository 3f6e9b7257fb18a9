"""What can be wrong with GPUs that are named by number. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from yoloscale.errors import Problem
from yoloscale.system.formatting import counted


def number_problems(gpus: Sequence[int], count: int) -> list[Problem]:
    """Problems of `cluster.gpus` on a machine with `count` GPUs."""
    problems = []
    if missing := [gpu for gpu in gpus if not 0 <= gpu < count]:
        found = f"GPU {', '.join(map(str, missing))}; {counted(count, 'GPU')} visible here"
        problems.append(Problem("cluster.gpus", found, f"write numbers from 0 to {count - 1}"))
    return problems + repetition_problems("cluster.gpus", f"{list(gpus)}", gpus)


def repetition_problems(key: str, shown: str, gpus: Sequence[int] | Sequence[str]) -> list[Problem]:
    """A problem of `key`, whose value is `shown`, if a GPU stands in it twice."""
    if len(set(gpus)) == len(gpus):
        return []
    return [Problem(key, f"{shown} names a GPU twice", "give each rank a GPU of its own")]
