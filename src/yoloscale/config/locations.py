"""Where the files that come with the package lie, and where fetched and rendered data goes."""

from __future__ import annotations

import os
from pathlib import Path

from yoloscale.config.schema import PathsConfig
from yoloscale.config.schema.run import RunOrigin
from yoloscale.system.variables import CACHE

_PACKAGE = Path(__file__).resolve().parent.parent


def _shipped(in_wheel: str, in_checkout: str) -> Path:
    """The folder inside the installed wheel, else the one at the root of the checkout."""
    wheel = _PACKAGE / in_wheel
    return wheel if wheel.is_dir() else _PACKAGE.parent.parent / in_checkout


def configs_folder() -> Path:
    """The Hydra configs."""
    return _shipped("_configs", "configs")


def templates_folder() -> Path:
    """The sbatch templates."""
    return _shipped("_slurm", "slurm")


def working_folder(origin: RunOrigin) -> Path:
    """The folder that a run was first started in, if it is there; else the one of now."""
    folder = Path(origin.folder) if origin.folder is not None else Path.cwd()
    return folder if folder.is_dir() else Path.cwd()


def cache_folder(paths: PathsConfig) -> Path:
    """`paths.cache`, else $YOLOSCALE_CACHE, else $XDG_CACHE_HOME/yoloscale, else ~/.cache/yoloscale; absolute."""
    chosen = paths.cache or os.environ.get(CACHE)
    if chosen is None:
        chosen = str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "yoloscale")
    return Path(chosen).expanduser().absolute()
