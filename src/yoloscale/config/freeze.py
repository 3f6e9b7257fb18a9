"""RUN/config.yaml: written complete by the launcher, read by every rank. OmegaConf only, no Hydra."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.schema import Config


def freeze(config: Config, path: Path) -> None:
    """Write the config as YAML, whole or not at all. `paths.runs` is left out: a run holds no path to itself."""
    tree = OmegaConf.structured(config)
    OmegaConf.set_struct(tree, False)
    container = OmegaConf.to_container(tree, enum_to_str=True)
    assert isinstance(container, dict)
    container["paths"].pop("runs")
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    with beside.open("w", encoding="utf-8") as file:
        file.write(OmegaConf.to_yaml(OmegaConf.create(container)))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def load(path: Path) -> Config:
    """Read a frozen config; `paths.runs` has its default. Raises ConfigError where the file is absent or damaged."""
    try:
        tree = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(path))
        return cast(Config, OmegaConf.to_object(tree))
    except FileNotFoundError:
        raise ConfigError(
            Problem(str(path), "there is no such file", "give the folder of a run, one that holds config.yaml")
        ) from None
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            Problem(str(path), f"not a config of this version: {reason}", "start the run again under a new name")
        ) from error
