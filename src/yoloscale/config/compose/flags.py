"""Hydra's flags, told from the overrides beside them. Nothing of Hydra is imported for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yoloscale.config.compose.refusals import FOREIGN_FLAGS, advice
from yoloscale.config.compose.sbatch_options import instead_of
from yoloscale.config.compose.words import arguments_of_yolo, is_flat, places_of, switches, words
from yoloscale.config.keys import known, nearest
from yoloscale.config.locations import configs_folder
from yoloscale.errors import ConfigError, Problem

_WITH_VALUE = {
    "--cfg": "cfg",
    "-c": "cfg",
    "--package": "package",
    "-p": "package",
    "--config-name": "config-name",
    "-cn": "config-name",
    "--config-dir": "config-dir",
    "-cd": "config-dir",
    "--info": "info",
    "-i": "info",
}
_SWITCHES = {
    "--help": "help",
    "-h": "help",
    "--hydra-help": "hydra-help",
    "--resolve": "resolve",
    "--multirun": "multirun",
    "-m": "multirun",
    "--run": "run",
    "-r": "run",
}
_VALUE_IS_OPTIONAL = {"info": {"all", "config", "defaults", "defaults-tree", "plugins", "searchpath"}}
_PRINTED = {"job", "hydra", "all"}  # what Hydra's --cfg prints
_NUMBER = re.compile(r"-\d.*")
_PRINTING = ("cfg", "info", "hydra-help")


@dataclass(frozen=True)
class Flags:
    """The flags given, by long name without dashes, and the arguments beside them, as `words` returns them."""

    given: dict[str, str] = field(default_factory=dict)
    tokens: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()  # the same before that
    argv: tuple[str, ...] = ()  # all of it, as typed

    @property
    def prints_and_exits(self) -> bool:
        """Whether Hydra is asked to print something instead of starting a run."""
        return any(flag in self.given for flag in _PRINTING)

    @property
    def is_sweep(self) -> bool:
        """Whether commas between values mean a run for each (`-m`)."""
        return "multirun" in self.given


def split(argv: Iterable[str], is_flat: Callable[[Path], bool] = is_flat) -> Flags:
    """Tell flags from arguments; files of arguments (`cfg=FILE`) are read. Raises ConfigError for all unknown flags.

    `is_flat`: as of `words`.
    """
    argv = tuple(argv)
    waiting, given, tokens, problems = list(argv), dict[str, str](), list[str](), list[Problem]()
    while waiting:
        token = waiting.pop(0)
        if not token.startswith("-") or _NUMBER.fullmatch(token):
            tokens.append(token)
            continue
        word, equals, value = token.partition("=")
        if word == "--cfg" and _is_file(value if equals else next(iter(waiting), "")):
            tokens.append(f"cfg={value if equals else waiting.pop(0)}")  # `yolo`'s, not Hydra's
        elif word in _SWITCHES and not equals:
            given[_SWITCHES[word]] = ""
        elif word in _WITH_VALUE:
            name = _WITH_VALUE[word]
            if equals:
                given[name] = value
            elif name in _VALUE_IS_OPTIONAL and (not waiting or waiting[0] not in _VALUE_IS_OPTIONAL[name]):
                given[name] = "all"
            elif waiting:
                given[name] = waiting.pop(0)
            else:
                problems.append(Problem(word, "needs a value", f"write {word} VALUE"))
        elif word.startswith("--") and _is_argument(word.lstrip("-"), has_value=bool(equals)):
            tokens.append(token.lstrip("-"))  # `--epochs=5`, which `yolo` takes too
        else:
            problems.append(_unknown(word))
            if not equals and waiting and "=" not in waiting[0] and not waiting[0].startswith("-"):
                waiting.pop(0)  # its value
    problems += _not_of_hydra(given)
    if problems:
        raise ConfigError(problems)
    return Flags(given, tuple(words(tokens, _folders(given), is_flat)), tuple(tokens), argv)


def parsed(typed: Sequence[str] | Flags) -> Flags:
    """A command line as `split` returns it, which it may be already."""
    return typed if isinstance(typed, Flags) else split(typed)


def placed(problems: Iterable[Problem], line: Flags) -> list[Problem]:
    """Problems of arguments that come from a file (`cfg=FILE`) told with file and line."""
    places = places_of(line.typed, _folders(line.given))
    return [
        Problem(places[problem.key], f"{problem.key}: {problem.found}", problem.instead)
        if problem.key in places
        else problem
        for problem in problems
    ]


def _folders(given: Mapping[str, str]) -> list[Path]:
    """Where recipes lie."""
    return [configs_folder(), *(Path(given[name]) for name in ("config-dir",) if name in given)]


def _is_argument(name: str, *, has_value: bool) -> bool:
    return name in arguments_of_yolo() | known().keys() | {"experiment"} if has_value else name in switches()


def _is_file(value: str) -> bool:
    return value not in _PRINTED and value.lower().endswith((".yaml", ".yml"))


def _not_of_hydra(given: Mapping[str, str]) -> list[Problem]:
    """Letters of sbatch that are Hydra's, too: it would end with a usage of its own, or ignore them."""
    problems = []
    if given.get("cfg", "job") not in _PRINTED:
        found = f"{given['cfg']!r}, which it does not print"
        problems.append(Problem("--cfg", found, f"write --cfg job; for CPUs in a job of SLURM {instead_of('c')}"))
    if "package" in given and "cfg" not in given:
        found = f"{given['package']!r}, which only --cfg job looks at"
        problems.append(Problem("--package", found, f"leave it out; for a partition of SLURM {instead_of('p')}"))
    return problems


def _unknown(word: str) -> Problem:
    key = word.lstrip("-").replace("-", "_")
    of_sbatch = instead_of(key)
    if key in FOREIGN_FLAGS:
        on_slurm = f"; in a job of SLURM: {of_sbatch}" if of_sbatch else ""
        return Problem(word, "no flag of this command", f"write {FOREIGN_FLAGS[key]}=…{on_slurm}")
    if key == "dry_run":
        return Problem(word, "no flag of this command", "leave it out; `yoloscale train … --dry-run` shows a start")
    if key in ("config_path", "cp"):
        instead = "write --config-dir FOLDER: its files are read beside those here"
        return Problem(word, "no flag of this command", instead)
    if hint := advice(key) or of_sbatch:
        return Problem(word, "no flag of this command", hint)
    if keys := nearest(key, known()):
        return Problem(word, "no flag of this command; arguments have no dashes", f"write {keys[0]}=…")
    flags = nearest(word, [*_WITH_VALUE, *_SWITCHES])
    return Problem(
        word, "no flag of this command", f"did you mean {flags[0]}?" if flags else "see yoloscale train --help"
    )
