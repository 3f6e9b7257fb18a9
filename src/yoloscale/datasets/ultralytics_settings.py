"""Ultralytics' own settings (`yolo settings`), read without importing it: what holds here, and what does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from yoloscale.config.schema import PathsConfig, RunConfig
from yoloscale.datasets.ultralytics_paths import settings_file
from yoloscale.system.files import replacement


def kept_weights(name: str) -> Path | None:
    """A released file in the folder that `weights_dir` names, where Ultralytics looks before it downloads."""
    folder = _settings().get("weights_dir")
    if not isinstance(folder, str) or not folder or not (file := Path(folder).expanduser() / name).is_file():
        return None
    return file.absolute()


def into_cache(file: Path, folder: Path) -> Path:
    """A copy in the cache, whole or not at all: nodes have the cache, and may have other settings."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacement(folder / file.name) as part:
        shutil.copy2(file, part)
    return (folder / file.name).absolute()


def unheld(config: RunConfig) -> list[str]:
    """A line for each setting that a person has chosen and that a run here does not follow."""
    settings, lines = _settings(), list[str]()
    runs, weights = settings.get("runs_dir"), settings.get("weights_dir")
    # its defaults lie beside each other, wherever it was imported for the first time: these nobody has chosen
    is_chosen = isinstance(runs, str) and isinstance(weights, str) and Path(runs) != Path(weights).parent / "runs"
    if is_chosen and config.paths.runs == PathsConfig().runs:
        lines.append(f"Ultralytics' setting runs_dir={runs} does nothing here: write project={runs}")
    switched = {"wandb": config.logger.wandb is not None, "tensorboard": config.logger.tensorboard}
    for name, is_on in switched.items():  # off unless somebody types `yolo settings wandb=True`
        if settings.get(name) is True and not is_on:
            lines.append(f"Ultralytics' setting {name}=True does nothing here: write logger={name}")
    return lines


def _settings() -> dict[str, Any]:
    try:
        content = json.loads(settings_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
