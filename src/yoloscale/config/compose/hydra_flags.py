"""Hydra's flags that print and exit, answered by Hydra itself; `--help` is answered here, at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from yoloscale.config.compose.flags import Flags, parsed
from yoloscale.config.compose.help import help_of
from yoloscale.config.kinds import KINDS
from yoloscale.exit_codes import FINISHED


def run_hydra_flags(typed: Sequence[str] | Flags) -> int | None:
    """Print and return an exit code if such a flag is typed; None if there is a run to start. Raises ConfigError."""
    line = parsed(typed)
    if "help" in line.given:
        sys.stdout.write(help_of(line.kind))
        return FINISHED
    return _ask_hydra(line) if line.prints_and_exits else None


def _ask_hydra(line: Flags) -> int:
    from hydra import main as hydra_main

    from yoloscale.config.compose.hydra import hydra_arguments, register_schema
    from yoloscale.config.locations import configs_folder

    config_name, overrides = hydra_arguments(line)
    register_schema(line.kind)
    passed_on = {name: value for name, value in line.given.items() if name not in ("config-dir", "config-name", "run")}
    words = [f"--{name}={value}" if value else f"--{name}" for name, value in passed_on.items()]
    ask = hydra_main(version_base="1.3", config_path=str(configs_folder()), config_name=config_name)(_never_called)
    before, sys.argv = sys.argv, [f"yoloscale {KINDS[line.kind].verb}", *words, *overrides]
    try:
        ask()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    finally:
        sys.argv = before
    return FINISHED


def _never_called(_: object) -> None:
    raise AssertionError("Hydra started a job although it was asked to print")
