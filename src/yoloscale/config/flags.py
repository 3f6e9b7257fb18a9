"""Hydra's flags, told from the overrides beside them. Nothing of Hydra is imported for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.keys import known, nearest
from yoloscale.config.refusals import FOREIGN_FLAGS, NOT_OURS

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
_PRINTING = ("cfg", "info", "hydra-help")


@dataclass(frozen=True)
class Flags:
    """The flags given, by long name without dashes, and the other tokens in their order."""

    given: dict[str, str] = field(default_factory=dict)
    tokens: tuple[str, ...] = ()

    @property
    def prints_and_exits(self) -> bool:
        """Whether Hydra is asked to print something instead of starting a run."""
        return any(flag in self.given for flag in _PRINTING)

    @property
    def is_sweep(self) -> bool:
        """Whether commas between values mean a run for each (`-m`)."""
        return "multirun" in self.given


def split(argv: Iterable[str]) -> Flags:
    """Tell flags from overrides. Raises ConfigError that lists the flags nobody knows."""
    waiting, given, tokens, problems = list(argv), dict[str, str](), list[str](), list[Problem]()
    while waiting:
        token = waiting.pop(0)
        if not token.startswith("-"):
            tokens.append(token)
            continue
        word, equals, value = token.partition("=")
        if word in _SWITCHES and not equals:
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
        elif equals and word.lstrip("-") in known():  # `--epochs=5`, which `yolo` takes too
            tokens.append(token.lstrip("-"))
        else:
            problems.append(_unknown(word))
            if not equals and waiting and "=" not in waiting[0] and not waiting[0].startswith("-"):
                waiting.pop(0)  # its value
    if problems:
        raise ConfigError(problems)
    return Flags(given, tuple(tokens))


def _unknown(word: str) -> Problem:
    key = word.lstrip("-").replace("-", "_")
    if key in FOREIGN_FLAGS:
        return Problem(word, "no flag of this command", f"write {FOREIGN_FLAGS[key]}=…")
    if key in NOT_OURS:
        return Problem(word, "no flag of this command", NOT_OURS[key])
    if keys := nearest(key, known()):
        return Problem(word, "no flag of this command; arguments have no dashes", f"write {keys[0]}=…")
    flags = nearest(word, [*_WITH_VALUE, *_SWITCHES])
    return Problem(
        word, "no flag of this command", f"did you mean {flags[0]}?" if flags else "see yoloscale train --help"
    )
