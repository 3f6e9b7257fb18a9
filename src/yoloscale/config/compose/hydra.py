"""From a command line to a typed config. Hydra composes; every problem that can be told is told at once."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from functools import cache
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

from yoloscale.config import addresses
from yoloscale.config.check import augmentations
from yoloscale.config.compose import command_line, recipes
from yoloscale.config.compose.catalog import read_catalog
from yoloscale.config.compose.flags import Flags, parsed, placed
from yoloscale.config.compose.hydra_flags import run_hydra_flags
from yoloscale.config.compose.hydra_settings import refuse_sweep, refuse_typed_sweep, unread
from yoloscale.config.keys import describe, is_group, known, members, nullable_groups, switched_on, words_of
from yoloscale.config.kinds import KINDS
from yoloscale.config.launchers import LOCAL
from yoloscale.config.locations import configs_folder
from yoloscale.config.node_paths import expanded, is_of_a_job
from yoloscale.config.schema import ClusterConfig, Config, DataCheck, Task
from yoloscale.config.typed import build
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.remarks import Say, silent

__all__ = ["assignments", "compose", "hydra_arguments", "run_hydra_flags"]


_NO_VARIABLE = re.compile(r"Environment variable '(\w+)' not found")
_SEARCHED = re.compile(r"^hydra\.searchpath=\['file://(.+)'\]$")

TaskOf = Callable[[Path], "Task | None"]


def compose(
    typed: Sequence[str] | Flags, task_of: TaskOf | None = None, say: Say = silent, *, in_sweep: bool = False
) -> Config:
    """Compose the config of one run from what a person typed after `yoloscale train`. Raises ConfigError.

    `task_of` reads the task of a `.pt` file of one's own, where its name does not tell it. `say` gets the remarks. The
    result is typed but neither resolved nor validated. Hydra's word for many runs is a problem but for a point of them.
    """
    config_name, overrides = hydra_arguments(typed, say)
    if not in_sweep:
        refuse_typed_sweep(overrides)
    try:
        tree = compose_tree(config_name, overrides, with_hydra=True)
        if not in_sweep:
            refuse_sweep(tree.hydra)
        plain = OmegaConf.to_container(_without_hydra(tree, say), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_from_hydra(error)) from error
    return build(Config, finished(cast("dict[str, Any]", plain), overrides, task_of))


def finished(
    plain: dict[str, Any],
    overrides: Sequence[str],
    task_of: TaskOf | None,
    is_own: Callable[[str], bool] | None = None,
    read_augmentations: Callable[[Any], Any] = augmentations.read,
) -> dict[str, Any]:
    """A resolved tree, changed in place, with what follows from its values and is no matter of Hydra's.

    `overrides` are those that it was composed with. Raises ConfigError where a model or dataset has no name.
    """
    keys = [(group, key) for group in ("model", "data") for key in ("name", "source")]
    if absent := [f"{group}.{key}" for group, key in keys if plain[group].get(key) == ""]:
        raise ConfigError([Problem(key, "not given", f"write {key}=… ({describe(key)})") for key in absent])
    model = plain["model"]
    if not model["task"] and task_of and model["weights"] and (file := Path(model["weights"]).expanduser()).is_file():
        model["task"] = task_of(file)
    plain["imgsz"] = plain["imgsz"] or Task(model["task"] or "detect").row.imgsz
    if plain["data"]["source"] != "shapes" and not any(override.startswith("data.shapes") for override in overrides):
        plain["data"]["shapes"] = None  # left by a recipe whose dataset was replaced
    if plain["pretrained"] is not True and model["architecture"] is not None:
        model["weights"] = None
    name = plain["name"]
    if name == "model":  # the model's own name, as for `yolo`
        plain["name"] = model["name"]
    elif name is not None and "/" in name and Path(name).name:  # `exp/fold1` is the run fold1 in the folder exp
        plain["paths"]["runs"], plain["name"] = str(Path(plain["paths"]["runs"], name).parent), Path(name).name
    _anchor_paths(plain, is_own or is_own_name)
    plain["augmentations"] = read_augmentations(plain["augmentations"])
    return plain


def hydra_arguments(typed: Sequence[str] | Flags, say: Say = silent) -> tuple[str, list[str]]:
    """Config name and checked overrides, in Hydra's own grammar. Raises ConfigError."""
    line = parsed(typed)
    sources = config_sources(line)
    overrides, problems = command_line.rewrite(line.tokens, read_catalog(sources.folders), say)
    if problems := problems + check(overrides):
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
        instead = "leave it out; `yoloscale train -m …` sweeps"
        raise ConfigError(Problem("--multirun", "a sweep, where one config is wanted", instead))
    name = line.given.get("config-name", KINDS[Config.kind].primary)
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
    parser, tree = OverridesParser.create(), OmegaConf.structured(Config)
    for group, schema in nullable_groups().items():
        OmegaConf.update(tree, group, OmegaConf.structured(schema), merge=False)
    typed = list[tuple[str, Any]]()
    for override in parser.parse_overrides(hydra_arguments(line)[1]):
        key, value = override.key_or_group, None if override.is_delete() else override.value()
        if key in known() and not is_group(key):
            OmegaConf.update(tree, key, value)
            value = OmegaConf.select(tree, key)
        typed.append((key, OmegaConf.to_container(value) if OmegaConf.is_config(value) else value))
    return typed


def register_schema() -> None:
    """Give Hydra the schema under the name that train.yaml lists. `imgsz` is nullable there: unset is told from 640."""
    store = ConfigStore.instance()
    if "schema.yaml" not in store.repo:
        store.store("schema", _schema(), provider="yoloscale")


def _schema() -> Any:
    return dataclasses.make_dataclass("Train", [("imgsz", "int | None", None)], bases=(Config,))


def compose_tree(config_name: str, overrides: list[str], *, with_hydra: bool = False, say: Say = silent) -> DictConfig:
    """What Hydra composes, interpolations not yet resolved; its own settings too, if wanted. Raises ConfigError.

    Where they are not, `say` gets a line for each of them that does nothing.
    """
    register_schema()
    try:
        with initialize_config_dir(str(configs_folder()), job_name="yoloscale", version_base="1.3"):
            tree = hydra_compose(config_name, overrides, return_hydra_config=True)
        launcher = tree.cluster.launcher
        if not _does_take("cluster.launcher", launcher):
            unknown = Problem("cluster.launcher", repr(launcher), f"write {describe('cluster.launcher')}")
            raise ConfigError(_in_recipes(overrides) or [unknown])
        return tree if with_hydra else _without_hydra(tree, say)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise ConfigError(_in_recipes(overrides) or [_from_hydra(error)]) from error
    except AssertionError as error:  # Hydra's answer to a key below a group that is null
        problems = [
            Problem(override.partition("=")[0], f"{group} is not switched on", switched_on(group))
            for group in nullable_groups()
            for override in overrides
            if override.startswith(f"{group}.")
        ]
        assert problems, "Hydra failed on a key that is not below a nullable group"
        raise ConfigError(problems) from error


def leaves_nodes_out(line: Flags) -> bool:
    """Whether neither what was typed nor a recipe says cluster.nodes, which has its default value then."""
    config_name, overrides = hydra_arguments(line)
    register_schema()
    store = ConfigStore.instance()
    schema = store.repo["schema.yaml"]
    store.store("schema", _schema()(cluster=ClusterConfig(nodes=-1)), provider="yoloscale")
    try:
        return bool(compose_tree(config_name, overrides).cluster.nodes == -1)
    finally:
        store.repo["schema.yaml"] = schema


def _without_hydra(tree: DictConfig, say: Say) -> DictConfig:
    for line in unread(tree.hydra):
        say(line)
    with open_dict(tree):
        del tree["hydra"]
    return tree


def check(overrides: Iterable[str]) -> list[Problem]:
    """Check each override against the schema by itself, to name all that are wrong and not the first only."""
    parser, problems = OverridesParser.create(), list[Problem]()
    for text in overrides:
        try:
            problems += _problems_of(parser.parse_override(text))
        except HydraException:
            key, _, value = text.partition("=")
            problems.append(Problem(key, f"{value!r} cannot be read", f"quote it: \"{key}='…'\""))
    return problems


def _does_take(key: str, value: Any) -> bool:
    """Whether a key of the schema that is no group takes a value; one that is computed from others is not looked at."""
    if isinstance(value, str) and "${" in value:
        return True
    try:
        OmegaConf.update(OmegaConf.structured(_alone(known()[key])), "value", value, merge=True)
    except (OmegaConfBaseException, ValueError):
        return False
    words = words_of(key)
    return words is None or value in words


@cache
def _alone(hint: Any) -> Any:
    """A schema of one value: the whole one takes OmegaConf a tenth of the time that a command has."""
    (kind, *_) = (typing.get_origin(member) or member for member in members(hint))
    default = dataclasses.field(default_factory=kind) if kind in (dict, list) else dataclasses.field(default=MISSING)
    return dataclasses.make_dataclass("Alone", [("value", hint, default)])


def _problems_of(override: Override) -> list[Problem]:
    key = override.key_or_group
    if key not in known() or is_group(key) or override.is_delete():
        return []  # groups and hydra's own keys: Hydra checks them
    if override.is_sweep_override():
        instead = f"write one ({describe(key)}), or `yoloscale train -m …`, which sweeps them"
        return [Problem(key, "several values", instead)]
    value = override.value()
    return [] if _does_take(key, value) else [Problem(key, f"{value!r}", f"write {describe(key)}")]


def _in_recipes(overrides: Sequence[str]) -> list[Problem]:
    """What is wrong with the person's own files, where that is why Hydra did not compose."""
    folders = [Path(path) for override in overrides for path in _SEARCHED.findall(override)]
    return recipes.problems([configs_folder(), *folders], overrides, _does_take)


def _from_hydra(error: Exception) -> Problem:
    """One problem from Hydra's or OmegaConf's exception: the key and the file it names, and what it says."""
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
        return Problem(subject, words[0], f"`yoloscale train --cfg hydra` lists these; a new one is +{key}=…")
    if key and key not in known():
        return Problem(subject, "no such key", command_line.unknown_key(key).instead)
    if key and ("could not be converted" in words[0] or "Invalid value" in words[0]):
        return Problem(subject, words[0], f"write {describe(key)}")
    options = ", ".join(line for line in words[1:] if " " not in line)
    instead = f"one of: {options}" if options else "`yoloscale train --info` shows what was read"
    return Problem(subject, words[0], instead)


def _anchor_paths(plain: dict[str, Any], is_own: Callable[[str], bool]) -> None:
    """Make relative paths to existing files absolute, so that the run can go on from any working folder.

    Names of released weights and of Ultralytics' datasets stay names.
    """
    data, model = plain["data"], plain["model"]
    paths = ((data, "source"), (model, "weights"), (model, "architecture"), (plain, "pretrained"))
    is_elsewhere = plain["cluster"]["launcher"] != LOCAL
    keeps = is_of_a_job if is_elsewhere else lambda name: False
    for parent, key in paths:
        is_later = is_elsewhere and data["check"] is DataCheck.later and parent is data
        if isinstance(parent[key], str) and not is_later:
            parent[key] = expanded(parent[key], keeps=keeps)
    data["source"] = addresses.hide(data["source"])
    plain["sweep"]["params"] = addresses.hidden_params(plain["sweep"]["params"])
    for parent, key in (*paths, (plain["cluster"], "template")):
        value = parent[key]
        if isinstance(value, str) and Path(value).exists() and (len(Path(value).parts) > 1 or is_own(value)):
            parent[key] = str(Path(value).absolute())
    if plain["paths"]["cache"]:
        plain["paths"]["cache"] = str(Path(plain["paths"]["cache"]).expanduser().absolute())
    if plain["callbacks"]:
        plain["paths"]["code"] = str(Path(plain["paths"]["code"] or ".").expanduser().absolute())


def is_own_name(file_name: str) -> bool:
    """Whether a bare file name is a file of one's own: not one that the catalog, or a release, has too."""
    catalog = read_catalog([configs_folder()])
    stem = Path(file_name).stem
    named = catalog.option("model", stem) or catalog.option("data", stem) or catalog.architecture(stem)
    return named is None and stem.lower() not in catalog.datasets
