"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.listing import find, find_sweep
from yoloscale.runs.sweep_directory import SweepDirectory


def plain_parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser of a command that is not about runs."""
    return argparse.ArgumentParser(prog=f"yoloscale {command}", description=description, allow_abbrev=False)


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser with `--runs DIR`."""
    made = plain_parser(command, description)
    made.add_argument("--runs", metavar="DIR", type=Path, default=Path("runs"), help="folder of the runs (./runs)")
    return made


def add_run(made: argparse.ArgumentParser) -> None:
    """The run that a command is about."""
    made.add_argument("run", metavar="RUN", help="its name, the path of its folder, or its SLURM job")


def add_output(made: argparse.ArgumentParser) -> None:
    """`-o json` for scripts."""
    made.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="text for people, json for scripts"
    )


def chosen_sweep(parsed: argparse.Namespace) -> SweepDirectory | None:
    """The sweep that was named; None if it is not the name of one."""
    return find_sweep(str(parsed.run), Path(parsed.runs))


def chosen_run(parsed: argparse.Namespace) -> RunDirectory:
    """The run that was named. Raises ConfigError with near names."""
    return find(str(parsed.run), Path(parsed.runs))
