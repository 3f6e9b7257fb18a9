"""The report of `yoloscale bench train` for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from yoloscale.system.formatting import counted

Row = tuple[str, str, str, str]  # name, median, spread, target

NAMES = {
    "ours": "yoloscale train",
    "yolo": "yolo train",
    "bare ddp": "bare steps (torch DDP)",
    "bare flat": "bare steps (FlatGradients)",
}


def print_report(report: Mapping[str, Any]) -> None:
    """A table of the figures, then what they were taken on and with."""
    print_table(rows(report), remarks(report))


def print_table(sections: Sequence[Sequence[Row]], lines: Sequence[str]) -> None:
    """A table, and lines below it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for title in ("", "median", "min – max", "target"):
        table.add_column(title, justify="left" if not title else "right")
    for section in sections:
        for cells in section:
            table.add_row(*(Text(cell) for cell in cells))
        table.add_section()
    Console(highlight=False).print(table)
    for line in lines:
        print(line)


def rows(report: Mapping[str, Any]) -> list[list[Row]]:
    """Sections of rows: name, median, spread, target."""
    images = [row(f"{NAMES[name]}, images/s", value, 1) for name, value in report["images_per_s"].items()]
    ratios = [row(f"ratio {name}", value, 2, target=f"≥ {value['target']}") for name, value in report["ratios"].items()]
    first = [row(f"{NAMES[name]}, s to the first step", value, 1) for name, value in report["first_step_s"].items()]
    return [images, ratios, first]


def row(name: str, value: Mapping[str, Any], digits: int, factor: float = 1.0, target: str = "") -> Row:
    """A figure (bench/figures.py) times a factor, with so many digits behind the point."""
    median, low, high = (f"{factor * value[key]:.{digits}f}" for key in ("median", "low", "high"))
    return name, median, f"{low} – {high}", target


def remarks(report: Mapping[str, Any]) -> list[str]:
    """Machine, settings of each side, commands."""
    settings = report["settings"]
    cache = {"bare": "one fixed batch", **{name: f"cache={value}" for name, value in settings["cache"].items()}}
    sides = [f"{name:<8} {_side(side)}, {cache[name]}" for name, side in report["sides"].items()]
    return [
        f"training {settings['model']} on {settings['data']}, {settings['imgsz']} px, {settings['epochs']} epochs, "
        f"{report['plan']}; images/s without evaluation and without the first step; "
        f"{len(report['images_per_s']['ours']['values'])} repeats, in turn",
        *sides,
        *machine_remarks(report["machine"]),
        *(f"command  {command}" for command in report["commands"].values()),
        f"folder   {report['folder']}",
    ]


def machine_remarks(machine: Mapping[str, Any]) -> list[str]:
    """Processors and versions."""
    processors = [f"{machine['cpus']} CPUs of {machine['cpu']}", *machine["gpus"]]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("yoloscale", "ultralytics", "torch", "python"))
    return [f"machine  {'; '.join(processors)}; {machine['system']}", f"versions {versions}"]


def _side(side: Mapping[str, Any]) -> str:
    threads = f"{side['precision']}, {counted(side['threads'], 'thread')} a process"
    return threads if side["workers"] is None else f"{threads}, {side['workers']} loader processes"
