"""Where Ultralytics keeps its dataset descriptions and its data, found without importing it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from yoloscale.config.compose.catalog import installed
from yoloscale.datasets.fetch import run_fetch

# what `download` of Ultralytics' classification data offers by name
CLASSIFICATION_NAMES = (
    *("caltech101", "caltech256", "cifar10", "cifar100", "fashion-mnist", "mnist", "mnist160"),
    *("imagenet", "imagenet10", "imagenet100", "imagenette", "imagenette160", "imagenette320"),
    *("imagewoof", "imagewoof160", "imagewoof320"),
)


def dataset_yamls() -> dict[str, Path]:
    """The dataset YAMLs that come with Ultralytics, by file name."""
    return {file.name: file for file in sorted(installed("datasets/*.yaml").values())}


def settings_file() -> Path:
    """Ultralytics' settings; absent until it was imported for the first time."""
    if chosen := os.environ.get("YOLO_CONFIG_DIR"):
        base = Path(chosen).expanduser()
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config"))
    return base / "Ultralytics" / "settings.json"


def datasets_folder() -> Path:
    """The folder that a relative `path:` of a dataset YAML refers to.

    Read from Ultralytics' settings; where there are none yet, a process that imports Ultralytics is asked (seconds),
    which writes them.
    """
    return known_datasets_folder() or Path(run_fetch(["datasets-folder"], lambda text: None))


def known_datasets_folder() -> Path | None:
    """The same from the settings alone; None where there are none yet."""
    try:
        return Path(json.loads(settings_file().read_text(encoding="utf-8"))["datasets_dir"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
