"""Hydra's own settings, of which only those that compose a config are read: Hydra starts no job here.

They come typed, from a recipe, or from any other YAML; what is told is what differs from `configs/hydra/default.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from omegaconf import DictConfig, OmegaConf

from yoloscale.config.kinds import KINDS, TRAIN
from yoloscale.config.quoting import as_typed
from yoloscale.errors import ConfigError, Problem

_OURS: dict[str, Any] = {  # what a setting has where nobody sets it
    "run.dir": ".",
    "sweep.dir": "multirun/${now:%Y-%m-%d}/${now:%H-%M-%S}",
    "sweep.subdir": "${hydra.job.num}",
    "output_subdir": None,
    "job.name": "yoloscale",
    "job.chdir": None,
    "job.env_set": {},
    "job.env_copy": [],
    "job_logging": {"version": 1, "root": None, "disable_existing_loggers": False},
    "hydra_logging": {"version": 1, "root": None, "disable_existing_loggers": False},
    "verbose": False,
    "callbacks": {},
}
_INSTEAD = {
    "output_subdir": "the config lies in the run's folder as config.yaml",
    "job.chdir": "ranks start in the folder that you typed in, and relative paths hold there",
    "job.env_copy": "all of the environment that you type in goes to every rank; cluster.export=[NAME,…] names some",
    **dict.fromkeys(("job_logging", "hydra_logging", "verbose"), "`yoloscale logs RUN` shows what each rank has said"),
    "callbacks": "Hydra starts no job here that could call them",
}


def refuse_typed_sweep(overrides: Iterable[str], kind: str = TRAIN) -> None:
    """Raise ConfigError where values to sweep over are typed in Hydra's words, and one run is wanted."""
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key.startswith("hydra.sweeper.params"):
            raise ConfigError(Problem(key, f"{value!r}, without -m", _instead_of_sweep(kind)))


def refuse_sweep(hydra: DictConfig, kind: str = TRAIN) -> None:
    """Raise ConfigError where Hydra is told to start many runs, and one is wanted."""
    problems, plain, instead = [], _plain(hydra), _instead_of_sweep(kind)
    if str(_value(plain, "mode")).rpartition(".")[2] == "MULTIRUN":
        problems.append(Problem("hydra.mode", "MULTIRUN, without -m", instead))
    if params := _value(plain, "sweeper.params"):
        problems.append(Problem("hydra.sweeper.params", f"{', '.join(params)}, without -m", instead))
    if problems:
        raise ConfigError(problems)


def _instead_of_sweep(kind: str) -> str:
    return "write yoloscale train -m …" if kind == TRAIN else f"leave it out: {KINDS[kind].verb} has no sweeps"


def unread(hydra: DictConfig) -> list[str]:
    """A line for each setting that does nothing here, with what to write in its place."""
    plain, lines = _plain(hydra), []
    for key, ours in _OURS.items():
        value = _value(plain, key)
        if key == "job.env_set" and value:  # Hydra puts the variables of env_copy beside them
            value = {name: text for name, text in value.items() if name not in _value(plain, "job.env_copy")}
        if value != ours and (key, value) != ("job.chdir", False):  # ranks do not leave the folder anyway
            lines.append(f"hydra.{key}={_shown(value)} does nothing here: {_instead(key, value)}")
    return lines


def _plain(hydra: DictConfig) -> Any:
    """The settings as they were written, interpolations not resolved."""
    return OmegaConf.to_container(hydra, resolve=False)


def _value(plain: Any, key: str) -> Any:
    """The value of a dotted key; None where a part of the key is not there."""
    node = plain
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(map(str, value)) + "}"  # of variables the names only: values may be secrets
    return "none" if value is None else as_typed(value)


def _instead(key: str, value: Any) -> str:
    interpolates = "${" in str(value)
    if key in ("run.dir", "sweep.dir"):
        path, place = PurePath(str(value)), "PROJECT/NAME: write project=PROJECT name=NAME"
        if not interpolates and len(path.parts) > 1:
            place = f"PROJECT/NAME: write project={path.parent} name={path.name}"
        return f"{'the run' if key == 'run.dir' else 'the sweep'} lies in {place}"
    if key == "sweep.subdir":
        return "the folder of a point is called after what it varies"
    if key == "job.name":
        return f"write name={'NAME' if interpolates else value}"
    if key == "job.env_set":
        names = list(value) if isinstance(value, Mapping) else ["NAME"]
        typed = " ".join(f"{name}=…" for name in names)
        return f"write {typed} yoloscale train …, or cluster.env.{names[0]}=… with cluster=slurm"
    return _INSTEAD[key]
