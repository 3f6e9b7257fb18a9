"""The dataset of the run that weights lie in: what they are evaluated on where nothing else is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from yoloscale.config.freeze import parse

_FROZEN = {"model", "data", "cluster", "checkpoint"}  # keys of a config.yaml of a run of ours that trains


def data_of_model(weights: Path) -> dict[str, Any] | None:
    """Name, source and options of the dataset that a run of ours, or of Ultralytics, was trained on; None if unknown.

    `weights` is a file in the folder weights/ of the run. Of any other, what lies in the folder above is a stranger's.
    """
    if weights.absolute().parent.name != "weights":
        return None
    folder = weights.absolute().parent.parent
    ours, theirs = _content(folder / "config.yaml"), _content(folder / "args.yaml")
    if ours.keys() >= _FROZEN and isinstance(data := ours["data"], dict) and data.get("source"):
        shapes = data.get("shapes")
        return {"name": str(data.get("name") or data["source"]), "source": str(data["source"]), "shapes": shapes}
    if isinstance(source := theirs.get("data"), str) and source:
        return {"name": Path(source).stem, "source": source, "shapes": None}
    return None


def _content(file: Path) -> dict[str, Any]:
    try:
        content = parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}
