"""The report of `yoloscale bench predict` for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yoloscale.cli.show.bench import Row, machine_remarks, print_table, row
from yoloscale.system.formatting import counted

NAMES = {
    "ours": "yoloscale predict",
    "yolo": "yolo predict",
    "tuned": "yolo predict, tuned by hand",
    "alone": "yoloscale predict, single ranks side by side",
    "decode only": "all ranks decode only",
    "forward only": "all ranks compute only",
}


def print_report(report: Mapping[str, Any]) -> None:
    """A table of the figures, then what they were taken on and with."""
    print_table(rows(report), remarks(report))


def rows(report: Mapping[str, Any]) -> list[list[Row]]:
    """Sections of rows: name, median, spread, target."""
    images = [row(f"{NAMES[name]}, images/s", value, 1) for name, value in report["images_per_s"].items()]
    ratios = [row(f"ratio {name}", value, 2, target=_target(value)) for name, value in report["ratios"].items()]
    totals = [row(f"{NAMES[name]}, s from start to end", value, 1) for name, value in report["total_s"].items()]
    return [images, ratios, totals]


def _target(ratio: Mapping[str, Any]) -> str:
    return "" if ratio["target"] is None else f"≥ {ratio['target']}"


def remarks(report: Mapping[str, Any]) -> list[str]:
    """What was measured and how, settings of each side, machine, commands."""
    settings = report["settings"]
    images = f"{settings['images']} images from {settings['source']}" if settings["images"] else settings["source"]
    batches = ", ".join(f"{batch}: {speed:.1f}" for batch, speed in report["tuned_by_batch"].items())
    return [
        f"{settings['model']} ({settings['weights']} weights) at {settings['imgsz']} px on {images}, {report['plan']}; "
        f"{counted(len(report['images_per_s']['ours']['values']), 'repeat')}, in turn",
        f"pace     while all processes of a side are at it: after the first {settings['unit']} images of each, until "
        "the first of them has no more; start-up, loading and the first calls are in `s from start to end` alone",
        *(f"{name:<8} {_side(side)}" for name, side in report["sides"].items()),
        f"tuned    images/s by batch, in the first repeat: {batches}",
        f"limit    {report['limit']}; {counted(report['loaders'], 'thread')} of a rank to decode",
        *machine_remarks(report["machine"]),
        *(f"command  {command}" for command in report["commands"].values()),
        f"folder   {report['folder']}",
    ]


def _side(side: Mapping[str, Any]) -> str:
    batch = "" if side["batch"] is None else f", batch {side['batch']}"
    processes = counted(side["processes"], "process", "processes")
    return f"{side['precision']}, {processes} of {counted(side['threads'], 'thread')}{batch}"
