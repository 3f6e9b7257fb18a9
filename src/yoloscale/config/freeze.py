"""RUN/config.yaml: written complete by the launcher, read by every rank. No Hydra."""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from omegaconf.errors import OmegaConfBaseException

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.schema import Config
from yoloscale.config.typed import from_plain, to_plain


def freeze(config: Config, path: Path) -> None:
    """Write the config as YAML, whole or not at all. `paths.runs` is left out: a run holds no path to itself."""
    plain = to_plain(config)
    del plain["paths"]["runs"]
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    with beside.open("w", encoding="utf-8") as file:
        yaml.safe_dump(plain, file, sort_keys=False, allow_unicode=True)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def load(path: Path) -> Config:
    """Read a frozen config; `paths.runs` has its default. Raises ConfigError where the file is absent or damaged."""
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(plain, dict):
            raise ValueError("it holds no keys")
        return from_plain(plain)
    except FileNotFoundError:
        raise ConfigError(
            Problem(str(path), "there is no such file", "give the folder of a run, one that holds config.yaml")
        ) from None
    except (OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            Problem(str(path), f"not a config of this version: {reason}", "start the run again under a new name")
        ) from error
