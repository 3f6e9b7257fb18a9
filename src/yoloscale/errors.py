"""What is wrong with a configuration, said to the person who wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing to mend: the key, what was found there, and what to write instead."""

    key: str
    found: str
    instead: str

    def __str__(self) -> str:
        return f"{self.key}: {self.found}\n    {self.instead}"


class ConfigError(Exception):
    """Every problem found in one go; the command line prints them and exits 2, without a traceback."""

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
