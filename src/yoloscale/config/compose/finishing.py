"""What follows from the values of a composed config and is no matter of Hydra's: names, tasks, absolute paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from yoloscale.config import addresses
from yoloscale.config.check import augmentations
from yoloscale.config.compose.catalog import read_catalog
from yoloscale.config.compose.choices import is_exported
from yoloscale.config.compose.data_of_model import data_of_model
from yoloscale.config.keys import describe
from yoloscale.config.launchers import LOCAL
from yoloscale.config.locations import configs_folder
from yoloscale.config.node_paths import expanded, is_of_a_job
from yoloscale.config.schema import DataCheck, Task
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.remarks import Say, silent

TaskOf = Callable[[Path], "Task | None"]
IsOwn = Callable[[str], bool]


def finished(
    plain: dict[str, Any],
    overrides: Sequence[str],
    task_of: TaskOf | None,
    is_own: IsOwn | None = None,
    read_augmentations: Callable[[Any], Any] = augmentations.read,
) -> dict[str, Any]:
    """A resolved tree, changed in place, with what follows from its values and is no matter of Hydra's.

    `overrides` are those that it was composed with. Raises ConfigError where a model or dataset has no name.
    """
    keys = [(group, key) for group in ("model", "data") for key in ("name", "source")]
    if absent := [f"{group}.{key}" for group, key in keys if plain[group].get(key) == ""]:
        raise ConfigError([Problem(key, "not given", f"write {key}=… ({describe(key)})") for key in absent])
    model = plain["model"]
    _read_task(model, task_of)
    plain["imgsz"] = plain["imgsz"] or Task(model["task"] or "detect").row.imgsz
    if plain["data"]["source"] != "shapes" and not any(override.startswith("data.shapes") for override in overrides):
        plain["data"]["shapes"] = None  # left by a recipe whose dataset was replaced
    if plain["pretrained"] is not True and model["architecture"] is not None:
        model["weights"] = None
    _place(plain)
    _anchor_paths(plain, is_own or is_own_name)
    plain["augmentations"] = read_augmentations(plain["augmentations"])
    return plain


def finished_inference(
    plain: dict[str, Any], kind: str, task_of: TaskOf | None, say: Say = silent, is_own: IsOwn | None = None
) -> dict[str, Any]:
    """As `finished`, for a run that makes use of weights: an evaluation without a dataset has that of its model.

    `say` is told which one that is.

    Raises ConfigError where nothing says which weights, or which images.
    """
    is_own, model, problems = is_own or is_own_name, plain["model"], list[Problem]()
    if not model["name"] or not model["weights"]:
        instead = "write model=RUN, model=path/to/weights.pt, or a released one like model=yolo26n"
        problems.append(Problem("model", "not given" if not model["name"] else "no weights", instead))
    if kind == "predict" and not plain["source"]:
        instead = "write source=path/to/images, a list of them (.txt, .csv, .parquet), a .tar, an address, or several"
        problems.append(Problem("source", "not given", instead))
    if problems:
        raise ConfigError(problems)
    model["architecture"] = None  # of the weights
    if not is_exported(model["weights"]):
        _read_task(model, task_of)
    _place(plain)
    keeps = _kept_variables(plain)
    _expand(model, "weights", keeps)
    _make_absolute(model, "weights", (lambda word: True) if is_exported(model["weights"]) else is_own)
    if kind == "predict":
        plain["source"] = [expanded(source, keeps=keeps) for source in plain["source"]]
    else:
        _finish_data(plain, is_own, keeps, say)
    _make_absolute(plain["cluster"], "template", is_own)
    _finish_cache(plain)
    return plain


def _finish_data(plain: dict[str, Any], is_own: IsOwn, keeps: Callable[[str], bool], say: Say) -> None:
    data, model = plain["data"], plain["model"]
    if not data["source"]:
        own = data_of_model(Path(model["weights"]).expanduser())
        if own is None:
            instead = "write data=path/to/data.yaml; it may be left out with model=RUN, whose dataset is taken then"
            raise ConfigError(Problem("data", "not given", instead))
        data |= {key: value for key, value in own.items() if data[key] in (None, "")}
        say(f"data={addresses.hide(data['source'])}: what {model['weights']} was trained on")
    if not (plain["cluster"]["launcher"] != LOCAL and data["check"] is DataCheck.later):
        _expand(data, "source", keeps)
    data["source"] = addresses.hide(data["source"])
    _make_absolute(data, "source", is_own)


def _read_task(model: dict[str, Any], task_of: TaskOf | None) -> None:
    if not model["task"] and task_of and model["weights"] and (file := Path(model["weights"]).expanduser()).is_file():
        model["task"] = task_of(file)


def _place(plain: dict[str, Any]) -> None:
    """The run's name, and the folder that it may have in it."""
    name = plain["name"]
    if name == "model":  # the model's own name, as for `yolo`
        plain["name"] = plain["model"]["name"]
    elif name is not None and "/" in name and Path(name).name:  # `exp/fold1` is the run fold1 in the folder exp
        plain["paths"]["runs"], plain["name"] = str(Path(plain["paths"]["runs"], name).parent), Path(name).name


def _anchor_paths(plain: dict[str, Any], is_own: IsOwn) -> None:
    """Make relative paths to existing files absolute, so that the run can go on from any working folder.

    Names of released weights and of Ultralytics' datasets stay names.
    """
    data, model = plain["data"], plain["model"]
    paths = ((data, "source"), (model, "weights"), (model, "architecture"), (plain, "pretrained"))
    is_elsewhere, keeps = plain["cluster"]["launcher"] != LOCAL, _kept_variables(plain)
    for parent, key in paths:
        is_later = is_elsewhere and data["check"] is DataCheck.later and parent is data
        if not is_later:
            _expand(parent, key, keeps)
    data["source"] = addresses.hide(data["source"])
    plain["sweep"]["params"] = addresses.hidden_params(plain["sweep"]["params"])
    for parent, key in (*paths, (plain["cluster"], "template")):
        _make_absolute(parent, key, is_own)
    _finish_cache(plain)
    if plain["callbacks"]:
        plain["paths"]["code"] = str(Path(plain["paths"]["code"] or ".").expanduser().absolute())


def _kept_variables(plain: dict[str, Any]) -> Callable[[str], bool]:
    """Tells variables that stay in a path, as they have their values in a job."""
    return is_of_a_job if plain["cluster"]["launcher"] != LOCAL else lambda name: False


def _expand(parent: dict[str, Any], key: str, keeps: Callable[[str], bool]) -> None:
    if isinstance(parent[key], str):
        parent[key] = expanded(parent[key], keeps=keeps)


def _make_absolute(parent: dict[str, Any], key: str, is_own: IsOwn) -> None:
    value = parent[key]
    if isinstance(value, str) and Path(value).exists() and (len(Path(value).parts) > 1 or is_own(value)):
        parent[key] = str(Path(value).absolute())


def _finish_cache(plain: dict[str, Any]) -> None:
    if plain["paths"]["cache"]:
        plain["paths"]["cache"] = str(Path(plain["paths"]["cache"]).expanduser().absolute())


def is_own_name(file_name: str) -> bool:
    """Whether a bare file name is a file of one's own: not one that the catalog, or a release, has too."""
    catalog = read_catalog([configs_folder()])
    stem = Path(file_name).stem
    named = catalog.option("model", stem) or catalog.option("data", stem) or catalog.architecture(stem)
    return named is None and stem.lower() not in catalog.datasets
