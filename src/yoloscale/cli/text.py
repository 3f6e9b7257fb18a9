"""Records of events and metrics as people read them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yoloscale.runs.goodput import SHARES
from yoloscale.system.formatting import counted, metric_name, percent

SHOWN_METRICS = 4


def losses(record: Mapping[str, Any]) -> str:
    """`box 1.234 cls 0.9`."""
    named = {
        key: value for key, value in record.items() if key.startswith("train/") and isinstance(value, (int, float))
    }
    return "  ".join(f"{key[6:].removesuffix('_loss')} {value:.3f}" for key, value in named.items())


def metric(name: str, value: float) -> str:
    """`mAP50 0.412`."""
    return f"{metric_name(name)} {value:.3f}"


def metrics(record: Mapping[str, Any]) -> str:
    """`mAP50 0.412  mAP50-95 0.287`: the strict metrics; precision and recall are in metrics.jsonl."""
    named = {
        metric_name(key): value
        for key, value in record.items()
        if key.startswith("metrics/") and isinstance(value, (int, float))
    }
    wanted = {name: value for name, value in named.items() if not name.startswith(("precision", "recall"))}
    return "  ".join(f"{name} {value:.3f}" for name, value in list((wanted or named).items())[:SHOWN_METRICS])


def shares(time_s: Mapping[str, float], work: str = "training") -> str:
    """`training 81 %  setup 9 %  saving 0.2 %`: where the time went, training first; nothing if there was none.

    `work`: what training is called, of a run of another kind.
    """
    total = time_s.get("total", 0.0)
    named = {name: time_s[name] / total for name in ("training", *SHARES) if time_s.get(name)} if total else {}
    return "  ".join(f"{work if name == 'training' else name} {percent(share)}" for name, share in named.items())


def images(done: int, total: int) -> str:
    """`120/400 images`."""
    return f"{done}/{total} image{'' if total == 1 else 's'}"


def predicted(result: Mapping[str, Any], failures: str) -> str:
    """`128 images, 2 unreadable (failures.csv), 81.3 images/s`: a finished prediction in one line."""
    counts = [f"{result[status]} {status}" for status in ("unreadable", "failed") if result.get(status)]
    listed = [", ".join(counts) + f" ({failures})"] if counts else []
    return ", ".join([counted(int(result.get("images", 0)), "image"), *listed, *_speed(result)])


def _speed(result: Mapping[str, Any]) -> list[str]:
    return [speed] if (speed := images_per_s(result.get("images_per_s"))) else []


def images_per_s(value: float | None) -> str:
    """`88.1 images/s`, or nothing."""
    return f"{value:.1f} images/s" if value else ""


def gpus(record: Mapping[str, Any]) -> str:
    """`GPU 12.3 GiB 87 %`: the most that torch has held on one GPU, and the use of all; nothing on CPUs."""
    memory, use = record.get("gpu/memory_gib"), record.get("gpu/use")
    parts = [f"{memory:.1f} GiB" if memory is not None else "", percent(use) if use is not None else ""]
    said = " ".join(part for part in parts if part)
    return f"GPU {said}" if said else ""
