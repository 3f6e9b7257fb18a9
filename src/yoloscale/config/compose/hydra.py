"""From a command line to a typed config. Hydra composes; every problem that can be told is told at once."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from yoloscale.config.compose import command_line, recipes
from yoloscale.config.compose.catalog import read_catalog
from yoloscale.config.compose.finishing import TaskOf, finished, finished_inference
from yoloscale.config.compose.flags import Flags, parsed, placed
from yoloscale.config.compose.hydra_flags import run_hydra_flags
from yoloscale.config.compose.hydra_settings import refuse_sweep, refuse_typed_sweep, unread
from yoloscale.config.keys import describe, is_group, known, members, nullable_groups, switched_on, words_of
from yoloscale.config.kinds import KINDS, TRAIN
from yoloscale.config.locations import configs_folder
from yoloscale.config.schema import ClusterConfig, Config, RunConfig
from yoloscale.config.typed import build
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.remarks import Say, silent

__all__ = ["assignments", "compose", "compose_run", "hydra_arguments", "run_hydra_flags"]


_NO_VARIABLE = re.compile(r"Environment variable '(\w+)' not found")
_SEARCHED = re.compile(r"^hydra\.searchpath=\['file://(.+)'\]$")


def compose(
    typed: Sequence[str] | Flags, task_of: TaskOf | None = None, say: Say = silent, *, in_sweep: bool = False
) -> Config:
    """Compose the config of one run from what a person typed after `yoloscale train`. Raises ConfigError.

    `task_of` reads the task of a `.pt` file of one's own, where its name does not tell it. `say` gets the remarks. The
    result is typed but neither resolved nor validated. Hydra's word for many runs is a problem but for a point of them.
    """
    config = compose_run(parsed(typed), task_of, say, in_sweep=in_sweep)
    assert isinstance(config, Config), "compose_run composes the other kinds"
    return config


def compose_run(line: Flags, task_of: TaskOf | None = None, say: Say = silent, *, in_sweep: bool = False) -> RunConfig:
    """As `compose`, for a run of the kind that the line was typed for."""
    kind = line.kind
    config_name, overrides = hydra_arguments(line, say)
    if not in_sweep:
        refuse_typed_sweep(overrides, kind)
    try:
        tree = compose_tree(config_name, overrides, with_hydra=True, kind=kind)
        if not in_sweep:
            refuse_sweep(tree.hydra, kind)
        plain = cast("dict[str, Any]", OmegaConf.to_container(_without_hydra(tree, say), resolve=True))
    except OmegaConfBaseException as error:
        raise ConfigError(_from_hydra(error, kind)) from error
    if kind == TRAIN:
        return build(Config, finished(plain, overrides, task_of))
    return build(KINDS[kind].load_schema(), finished_inference(plain, kind, task_of, say))


def hydra_arguments(typed: Sequence[str] | Flags, say: Say = silent) -> tuple[str, list[str]]:
    """Config name and checked overrides, in Hydra's own grammar. Raises ConfigError."""
    line = parsed(typed)
    sources = config_sources(line)
    overrides, problems = command_line.rewrite(line.tokens, read_catalog(sources.folders, line.kind), say)
    if problems := problems + check(overrides, line.kind):
        raise ConfigError(placed(problems, line))
    return sources.config_name, sources.search_path + overrides


@dataclasses.dataclass(frozen=True)
class ConfigSources:
    """Where flags tell Hydra to read from: the primary config, folders of groups, and an override that names them."""

    config_name: str
    folders: list[Path]
    search_path: list[str]


def config_sources(line: Flags) -> ConfigSources:
    """What the flags say about where one config is read from. Raises ConfigError."""
    if line.is_sweep:
        verb = KINDS[line.kind].verb
        instead = "leave it out; `yoloscale train -m …` sweeps"
        if line.kind != TRAIN:
            instead = f"leave it out: {verb} has no sweeps; type a command for each"
        raise ConfigError(Problem("--multirun", "a sweep, where one config is wanted", instead))
    name = line.given.get("config-name", KINDS[line.kind].primary)
    if (folder := line.given.get("config-dir")) is None:
        return ConfigSources(name, [configs_folder()], [])
    path = Path(folder).absolute()
    if not path.is_dir():
        raise ConfigError(Problem("--config-dir", f"{folder!r} is no folder", "give a folder of Hydra configs"))
    return ConfigSources(name, [configs_folder(), path], [f"hydra.searchpath=['file://{path}']"])


def assignments(line: Flags) -> list[tuple[str, Any]]:
    """What a person typed about a config that is composed already: keys in their order, values of the schema's types.

    Flags are not taken. Groups and keys outside the schema come as they are. Raises ConfigError.
    """
    if line.given:
        found = "for a run that is configured already"
        raise ConfigError([Problem(f"--{flag}", found, "leave it out") for flag in line.given])
    parser, tree = OverridesParser.create(), OmegaConf.structured(KINDS[line.kind].load_schema())
    for group, schema in nullable_groups(line.kind).items():
        OmegaConf.update(tree, group, OmegaConf.structured(schema), merge=False)
    typed = list[tuple[str, Any]]()
    for override in parser.parse_overrides(hydra_arguments(line)[1]):
        key, value = override.key_or_group, None if override.is_delete() else override.value()
        if key in known(line.kind) and not is_group(key, line.kind):
            OmegaConf.update(tree, key, value)
            value = OmegaConf.select(tree, key)
        typed.append((key, OmegaConf.to_container(value) if OmegaConf.is_config(value) else value))
    return typed


def register_schema(kind: str = TRAIN) -> None:
    """Give Hydra the schema under the name that the kind's primary config lists.

    In train.yaml's `imgsz` is nullable: unset is told from 640.
    """
    store, name = ConfigStore.instance(), _schema_name(kind)
    if f"{name}.yaml" not in store.repo:
        store.store(name, _schema(kind), provider="yoloscale")


def _schema_name(kind: str) -> str:
    return "schema" if kind == TRAIN else f"{kind}_schema"


def _schema(kind: str = TRAIN) -> Any:
    if kind != TRAIN:
        return KINDS[kind].load_schema()
    return dataclasses.make_dataclass("Train", [("imgsz", "int | None", None)], bases=(Config,))


def compose_tree(
    config_name: str, overrides: list[str], *, with_hydra: bool = False, say: Say = silent, kind: str = TRAIN
) -> DictConfig:
    """What Hydra composes, interpolations not yet resolved; its own settings too, if wanted. Raises ConfigError.

    Where they are not, `say` gets a line for each of them that does nothing.
    """
    register_schema(kind)
    try:
        with initialize_config_dir(str(configs_folder()), job_name="yoloscale", version_base="1.3"):
            tree = hydra_compose(config_name, overrides, return_hydra_config=True)
        launcher = tree.cluster.launcher
        if not _does_take("cluster.launcher", launcher):
            unknown = Problem("cluster.launcher", repr(launcher), f"write {describe('cluster.launcher')}")
            raise ConfigError(_in_recipes(overrides, kind) or [unknown])
        return tree if with_hydra else _without_hydra(tree, say)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise ConfigError(_in_recipes(overrides, kind) or [_from_hydra(error, kind)]) from error
    except AssertionError as error:  # Hydra's answer to a key below a group that is null
        problems = [
            Problem(override.partition("=")[0], f"{group} is not switched on", switched_on(group))
            for group in nullable_groups(kind)
            for override in overrides
            if override.startswith(f"{group}.")
        ]
        assert problems, "Hydra failed on a key that is not below a nullable group"
        raise ConfigError(problems) from error


def leaves_nodes_out(line: Flags) -> bool:
    """Whether neither what was typed nor a recipe says cluster.nodes, which has its default value then."""
    config_name, overrides = hydra_arguments(line)
    register_schema(line.kind)
    store, name = ConfigStore.instance(), _schema_name(line.kind)
    schema = store.repo[f"{name}.yaml"]
    store.store(name, _schema(line.kind)(cluster=ClusterConfig(nodes=-1)), provider="yoloscale")
    try:
        return bool(compose_tree(config_name, overrides, kind=line.kind).cluster.nodes == -1)
    finally:
        store.repo[f"{name}.yaml"] = schema


def _without_hydra(tree: DictConfig, say: Say) -> DictConfig:
    for line in unread(tree.hydra):
        say(line)
    with open_dict(tree):
        del tree["hydra"]
    return tree


def check(overrides: Iterable[str], kind: str = TRAIN) -> list[Problem]:
    """Check each override against the schema by itself, to name all that are wrong and not the first only."""
    parser, problems = OverridesParser.create(), list[Problem]()
    for text in overrides:
        try:
            problems += _problems_of(parser.parse_override(text), kind)
        except HydraException:
            key, _, value = text.partition("=")
            problems.append(Problem(key, f"{value!r} cannot be read", f"quote it: \"{key}='…'\""))
    return problems


def _does_take(key: str, value: Any, kind: str = TRAIN) -> bool:
    """Whether a key of the schema that is no group takes a value; one that is computed from others is not looked at."""
    if isinstance(value, str) and "${" in value:
        return True
    try:
        OmegaConf.update(OmegaConf.structured(_alone(known(kind)[key])), "value", value, merge=True)
    except (OmegaConfBaseException, ValueError):
        return False
    words = words_of(key)
    return words is None or value in words


@cache
def _alone(hint: Any) -> Any:
    """A schema of one value: the whole one takes OmegaConf a tenth of the time that a command has."""
    (first, *_) = (typing.get_origin(member) or member for member in members(hint))
    default = dataclasses.field(default_factory=first) if first in (dict, list) else dataclasses.field(default=MISSING)
    return dataclasses.make_dataclass("Alone", [("value", hint, default)])


def _problems_of(override: Override, kind: str) -> list[Problem]:
    key = override.key_or_group
    if key not in known(kind) or is_group(key, kind) or override.is_delete():
        return []  # groups and hydra's own keys: Hydra checks them
    if override.is_sweep_override():
        instead = f"write one ({describe(key, kind)})"
        instead += ", or `yoloscale train -m …`, which sweeps them" if kind == TRAIN else ""
        return [Problem(key, "several values", instead)]
    value = override.value()
    return [] if _does_take(key, value, kind) else [Problem(key, f"{value!r}", f"write {describe(key, kind)}")]


def _in_recipes(overrides: Sequence[str], kind: str) -> list[Problem]:
    """What is wrong with the person's own files, where that is why Hydra did not compose."""
    folders = [Path(path) for override in overrides for path in _SEARCHED.findall(override)]
    return recipes.problems([configs_folder(), *folders], overrides, partial(_does_take, kind=kind), kind)


def _from_hydra(error: Exception, kind: str = TRAIN) -> Problem:
    """One problem from Hydra's or OmegaConf's exception: the key and the file it names, and what it says."""
    verb = KINDS[kind].verb
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    key = next((line.removeprefix("full_key:").strip() for line in lines if line.startswith("full_key:")), None)
    file = re.match(r"In '([^']+)'", str(error))
    subject = " in ".join(part for part in (key, f"{file[1]}.yaml" if file else None) if part) or "config"
    words = [line for line in lines if not line.startswith(("full_key:", "object_type=", "reference_type="))]
    if len(words) > 1 and words[0].endswith("raised while composing config:"):
        del words[0]
    if absent := _NO_VARIABLE.search(words[0]):
        instead = f"export {absent[1]}=…, or write a default: ${{oc.env:{absent[1]},…}}"
        return Problem(subject, f"the environment variable {absent[1]} is not set here", instead)
    if key and key.startswith("hydra."):
        return Problem(subject, words[0], f"`yoloscale {verb} --cfg hydra` lists these; a new one is +{key}=…")
    if key and key not in known(kind):
        return Problem(subject, "no such key", command_line.unknown_key(key, kind).instead)
    if key and ("could not be converted" in words[0] or "Invalid value" in words[0]):
        return Problem(subject, words[0], f"write {describe(key, kind)}")
    options = ", ".join(line for line in words[1:] if " " not in line)
    instead = f"one of: {options}" if options else f"`yoloscale {verb} --info` shows what was read"
    return Problem(subject, words[0], instead)
