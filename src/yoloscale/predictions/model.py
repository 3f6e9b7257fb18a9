"""model.json: what the rows of a prediction do not say of the model that made them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from yoloscale.config.tasks import Task
from yoloscale.system.files import write_whole

NAME = "model.json"


@dataclass(frozen=True)
class Model:
    """A model, and what it was asked with.

    Args:
        names: of the classes.
        imgsz: height and width that images are fitted into, in pixels.
        embeds: the rows hold features, and nothing of the task.
        keypoints: of an object, and numbers of each; None of tasks without.
        weights: SHA-256 of the file.
        versions: of the packages that the results depend on, by name.
        settings: whatever else decides the rows, by Ultralytics' names.
        machine: what decides their last bits, of the rank that began: device, instructions, precision, TF32.
    """

    task: Task
    names: Mapping[int, str]
    imgsz: tuple[int, int]
    embeds: bool = False
    keypoints: tuple[int, int] | None = None
    weights: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)


def write(run_path: Path, model: Model) -> None:
    """Write it, whole or not at all; any rank may, and writes the same. Raises OSError."""
    plain = asdict(model) | {"task": model.task.value, "names": {str(key): name for key, name in model.names.items()}}
    write_whole(run_path / NAME, json.dumps(plain, ensure_ascii=False, indent=1) + "\n")


def read(run_path: Path) -> Model:
    """The model of a prediction. Raises FileNotFoundError before a rank has opened it."""
    plain = json.loads((run_path / NAME).read_text(encoding="utf-8"))
    height, width = plain["imgsz"]
    keypoints = plain.get("keypoints")
    return Model(
        task=Task(plain["task"]),
        names={int(key): name for key, name in plain["names"].items()},
        imgsz=(int(height), int(width)),
        embeds=bool(plain.get("embeds")),
        keypoints=(int(keypoints[0]), int(keypoints[1])) if keypoints else None,
        weights=plain.get("weights"),
        versions=plain.get("versions") or {},
        settings=plain.get("settings") or {},
        machine=plain.get("machine") or {},
    )


def unlike(first: Model, opened: Model) -> list[str]:
    """How the machine of this rank differs from that of the rank that began, as `device: H100, was A100`.

    What the first one does not say is no difference.
    """
    keys = [key for key in first.machine if first.machine[key] != opened.machine.get(key)]
    return [f"{key}: {opened.machine.get(key)}, was {first.machine[key]}" for key in keys]
