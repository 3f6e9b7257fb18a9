"""The report of `yoloscale bench checkpoint` for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yoloscale.cli.show.bench import Row, machine_remarks, print_table, row


def print_report(report: Mapping[str, Any]) -> None:
    """A table of the figures, then what they were taken on and with."""
    print_table(rows(report), remarks(report))


def rows(report: Mapping[str, Any]) -> list[list[Row]]:
    """Sections: the loop stands still, the loop is slowed down, resume."""
    ratio = report["resume_ratio"]
    resumed = [row(f"resume at step {step}, s to first step", v, 2) for step, v in report["resume_s"].items()]
    target = " – ".join(f"{limit}" for limit in ratio["target"])
    return [_standing(report), _slowed(report), [*resumed, row("ratio late / early", ratio, 2, target=target)]]


def _standing(report: Mapping[str, Any]) -> list[Row]:
    blocked, minute, ratio = report["blocked_s"], report["blocked_s_per_minute"], report["ours/yolo"]
    each, allowed_ms = f"{report['interval_s']['value']:.0f} s", f"≤ {1e3 * minute['target']:.0f}"
    return [
        row("yoloscale blocks the loop, ms", blocked["ours"], 1, 1e3),
        row("the same after an epoch, ms", blocked["ours after an epoch"], 1, 1e3),
        row("save_model (last.pt) blocks, ms", blocked["yolo"], 1, 1e3),
        row("save_model (and best.pt) blocks, ms", blocked["yolo with best.pt"], 1, 1e3),
        row("ratio to save_model (last.pt)", ratio, 3, target=f"≤ {ratio['target']}"),
        row("ratio after an epoch", report["ours after an epoch/yolo"], 3),
        (f"blocked a minute, one each {each}, ms", f"{1e3 * minute['value']:.1f}", "", allowed_ms),
    ]


def _slowed(report: Mapping[str, Any]) -> list[Row]:
    speeds = report["steps_per_s"]
    names = {"quiet": "steps/s, no write under way", "beside a write": "steps/s beside a write", "ratio": "ratio"}
    return [
        row("background write, ms", report["write_s"], 0, 1e3),
        *(row(name, speeds[key], 2) for key, name in names.items() if key in speeds),
        row("delay of the steps beside a write, ms", report["delay_s"], 0, 1e3),
        ("blocked and delayed a minute, ms", f"{1e3 * report['cost_s_per_minute']:.1f}", "", ""),
    ]


def remarks(report: Mapping[str, Any]) -> list[str]:
    """What was measured, on which machine."""
    settings, side, size = report["settings"], report["side"], report["bytes"]
    count = len(report["write_s"]["values"])
    mtbf_h = report["interval_s"]["mtbf_s"] / 3600
    return [
        f"training {settings['model']} on {settings['data']}, {settings['imgsz']} px, {report['plan']}, "
        f"{side['precision']}; {count} checkpoints of each kind, in turn, of one state in one process; "
        f"the first of ours, which reserves its memory, blocked {1e3 * report['first_blocked_s']:.1f} ms",
        "blocks   save_model is Ultralytics' own; after an epoch ours copies the weights for weights/last.pt, too",
        f"files    ours {size['ours'] / 1e6:.1f} MB (all state in fp32, synced to disk), "
        f"last.pt {size['yolo'] / 1e6:.1f} MB (averaged weights and optimiser in half precision, not synced)",
        f"interval √(2 × cost × {mtbf_h:g} h between interruptions)",
        f"resume   a process of `yoloscale resume` each time, {settings['resumed']}, small images; the states are that "
        "of step 1 with another position",
        *machine_remarks(report["machine"]),
        f"command  {report['command']}",
        f"folder   {report['folder']}",
    ]
