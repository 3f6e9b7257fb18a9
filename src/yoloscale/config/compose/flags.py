"""Hydra's flags, told from the overrides beside them. Nothing of Hydra is imported for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from yoloscale.config.compose.refusals import FOREIGN_FLAGS, advice
from yoloscale.config.compose.sbatch_options import instead_of
from yoloscale.config.compose.words import arguments_of_yolo, is_flat, places_of, switches, words
from yoloscale.config.keys import known, nearest
from yoloscale.config.kinds import KINDS, TRAIN
from yoloscale.config.locations import configs_folder
from yoloscale.errors import ConfigError, Problem

_WITH_VALUE = ("--cfg", "--package", "--config-name", "--config-dir", "--info")
_SWITCHES = ("--help", "--hydra-help", "--resolve", "--multirun", "--run")
_SHORT = {
    **{"-c": "--cfg", "-p": "--package", "-cn": "--config-name", "-cd": "--config-dir", "-i": "--info"},
    **{"-h": "--help", "-m": "--multirun", "-r": "--run"},
}
_INFOS = {"all", "config", "defaults", "defaults-tree", "plugins", "searchpath"}  # of which all is taken where none is
_PRINTED = {"job", "hydra", "all"}  # what Hydra's --cfg prints
_NUMBER = re.compile(r"-\d.*")


@dataclass(frozen=True)
class Flags:
    """The flags given, by long name without dashes, and the arguments beside them, as `words` returns them."""

    given: dict[str, str] = field(default_factory=dict)
    tokens: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()  # the same before that
    argv: tuple[str, ...] = ()  # all of it, as typed
    kind: str = TRAIN  # of the run that it is typed for

    @property
    def prints_and_exits(self) -> bool:
        """Whether Hydra is asked to print something instead of starting a run."""
        return not self.given.keys().isdisjoint(("cfg", "info", "hydra-help"))

    @property
    def is_sweep(self) -> bool:
        """Whether commas between values mean a run for each (`-m`)."""
        return "multirun" in self.given


def split(argv: Iterable[str], is_flat: Callable[[Path], bool] = is_flat, kind: str = TRAIN) -> Flags:
    """Tell flags from arguments; files of arguments (`cfg=FILE`) are read. Raises ConfigError for all unknown flags.

    `is_flat`, `kind`: as of `words`.
    """
    argv = tuple(argv)
    waiting, values, tokens, problems = list(argv), dict[str, str](), list[str](), list[Problem]()
    while waiting:
        token = waiting.pop(0)
        if not token.startswith("-") or _NUMBER.fullmatch(token):
            tokens.append(token)
            continue
        word, equals, value = token.partition("=")
        flag = _SHORT.get(word, word)
        file = value if equals else next(iter(waiting), "")
        if word == "--cfg" and file not in _PRINTED and file.lower().endswith((".yaml", ".yml")):
            tokens.append(f"cfg={value if equals else waiting.pop(0)}")  # `yolo`'s, not Hydra's
        elif flag in _SWITCHES and not equals:
            values[flag[2:]] = ""
        elif flag in _WITH_VALUE:
            name = flag[2:]
            if equals:
                values[name] = value
            elif name == "info" and (not waiting or waiting[0] not in _INFOS):
                values[name] = "all"
            elif waiting:
                values[name] = waiting.pop(0)
            else:
                problems.append(Problem(word, "needs a value", f"write {word} VALUE"))
        elif word.startswith("--") and word.lstrip("-") in (_arguments(kind) if equals else switches(kind)):
            tokens.append(token.lstrip("-"))  # `--epochs=5`, which `yolo` takes too
        else:
            problems.append(_unknown(word, kind))
            if not equals and waiting and "=" not in waiting[0] and not waiting[0].startswith("-"):
                waiting.pop(0)  # its value
    problems += _not_of_hydra(values)
    if problems:
        raise ConfigError(problems)
    return Flags(values, tuple(words(tokens, _folders(values), is_flat, kind)), tuple(tokens), argv, kind)


def parsed(typed: Sequence[str] | Flags, kind: str = TRAIN) -> Flags:
    """A command line as `split` returns it, which it may be already: of its own kind then."""
    return typed if isinstance(typed, Flags) else split(typed, kind=kind)


def placed(problems: Iterable[Problem], line: Flags) -> list[Problem]:
    """Problems of arguments that come from a file (`cfg=FILE`) told with file and line."""
    places = places_of(line.typed, _folders(line.given), line.kind)
    result = []
    for problem in problems:
        if problem.key in places:
            problem = replace(problem, key=places[problem.key], found=f"{problem.key}: {problem.found}")
        result.append(problem)
    return result


def _folders(flags: Mapping[str, str]) -> list[Path]:
    """Where recipes lie."""
    return [configs_folder(), *([Path(flags["config-dir"])] if "config-dir" in flags else [])]


def _arguments(kind: str) -> frozenset[str]:
    return arguments_of_yolo(kind) | known(kind).keys() | {"experiment"}


def _not_of_hydra(flags: Mapping[str, str]) -> list[Problem]:
    """Letters of sbatch that are Hydra's, too: it would end with a usage of its own, or ignore them."""
    problems = []
    if flags.get("cfg", "job") not in _PRINTED:
        found = f"{flags['cfg']!r}, which it does not print"
        problems.append(Problem("--cfg", found, f"write --cfg job; for CPUs in a job of SLURM {instead_of('c')}"))
    if "package" in flags and "cfg" not in flags:
        found = f"{flags['package']!r}, which only --cfg job looks at"
        problems.append(Problem("--package", found, f"leave it out; for a partition of SLURM {instead_of('p')}"))
    return problems


def _unknown(word: str, kind: str) -> Problem:
    key = word.lstrip("-").replace("-", "_")
    found, of_sbatch = "no flag of this command", instead_of(key)
    if key in FOREIGN_FLAGS:
        instead = f"write {FOREIGN_FLAGS[key]}=…{f'; in a job of SLURM: {of_sbatch}' if of_sbatch else ''}"
    elif key == "dry_run":
        instead = f"leave it out; `yoloscale {KINDS[kind].verb} … --dry-run` shows a start"
    elif key in ("config_path", "cp"):
        instead = "write --config-dir FOLDER: its files are read beside those here"
    elif hint := advice(key, kind) or of_sbatch:
        instead = hint
    elif keys := nearest(key, known(kind)):
        found, instead = f"{found}; arguments have no dashes", f"write {keys[0]}=…"
    elif flags := nearest(word, [*_WITH_VALUE, *_SWITCHES, *_SHORT]):
        instead = f"did you mean {flags[0]}?"
    else:
        instead = f"see yoloscale {KINDS[kind].verb} --help"
    return Problem(word, found, instead)
