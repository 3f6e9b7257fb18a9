"""What must be there before any rank predicts or evaluates: finished weights, and a dataset. Done by the launcher."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yoloscale.config.check.predict import task_problems
from yoloscale.config.compose.choices import is_exported
from yoloscale.config.locations import cache_folder, working_folder
from yoloscale.config.node_paths import is_checked_later
from yoloscale.config.resolve import with_checkpoint
from yoloscale.config.schema import PredictConfig, RunConfig, Task, ValConfig
from yoloscale.datasets import artefact_file, sources
from yoloscale.datasets.prepare import check_data
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch.prepare import looked_into, standing_in
from yoloscale.system.files import sha256_below
from yoloscale.system.installed import versions_of
from yoloscale.system.remarks import Say


@dataclass(frozen=True)
class FinishedWeights:
    """A `.pt` file or an exported artefact, and what it says of itself.

    Args:
        path: file or folder; absolute.
        task: what it says, else what was typed.
        arguments: of its training; of an artefact its size.
        packages: of which its kind of file needs one, beside those that all need.
    """

    path: Path
    task: Task
    arguments: dict[str, Any]
    packages: tuple[str, ...] = ()


def prepare_prediction(config: PredictConfig, say: Say) -> PredictConfig:
    """Fetch and look into the weights; the config with what they say, their digest, and versions, filled in.

    Relative paths are read from the folder that the run was first started in. Raises ConfigError before anything of
    the run exists.
    """
    folder = working_folder(config.origin)
    with standing_in(folder):
        weights = finished_weights(config, say)
        digest = sha256_below(weights.path)
    origin = replace(config.origin, folder=str(folder), weights=digest, versions=_versions(config, weights))
    config = replace(with_checkpoint(config, weights.task, weights.arguments), origin=origin)
    _refuse_by_task(config, weights.task)
    return config


def prepare_evaluation(config: ValConfig, say: Say) -> ValConfig:
    """As `prepare_prediction`, and the dataset is fetched, rendered and checked, but for one on the nodes only."""
    folder = working_folder(config.origin)
    with standing_in(folder):
        weights = finished_weights(config, say)
        digest = sha256_below(weights.path)
        config = with_checkpoint(config, weights.task, weights.arguments)
        origin = replace(config.origin, folder=str(folder), weights=digest, versions=_versions(config, weights))
        if not is_checked_later(config):
            data = check_data(config, weights.task, say)
            origin = replace(origin, dataset=data.dataset, opened=data.opened)
    return replace(config, origin=origin)


def refuse_finished_weights(config: RunConfig) -> None:
    """Raise ConfigError as a start does for weights that are here already; nothing is fetched."""
    name = _named(config)
    if is_exported(name):
        _refuse_by_task(config, _artefact(config, Path(name)).task)
    elif (path := sources.kept_here(name, cache_folder(config.paths))) is not None:
        _refuse_by_task(config, looked_into(config, path)[0])


def _refuse_by_task(config: RunConfig, task: Task) -> None:
    """Raise ConfigError for what the rows of this task cannot have; the config may not have said the task."""
    if not isinstance(config, PredictConfig):
        return
    if problems := task_problems(replace(config, model=replace(config.model, task=task))):
        raise ConfigError(problems)


def finished_weights(config: RunConfig, say: Say) -> FinishedWeights:
    """The weights that a run predicts or evaluates with; a released name is fetched. Raises ConfigError."""
    name = _named(config)
    if is_exported(name):
        return _artefact(config, Path(name))
    path = sources.prepare_weights(name, cache_folder(config.paths), say)
    task, file = looked_into(config, path)
    return FinishedWeights(path, task, file.arguments)


def _versions(config: RunConfig, weights: FinishedWeights) -> dict[str, str] | None:
    """Of the packages here; None where the ranks have an interpreter of their own, who put theirs down."""
    cluster = config.cluster
    if not cluster.is_here and (cluster.python is not None or cluster.container_image is not None):
        return None
    return versions_of(weights.packages)


def _named(config: RunConfig) -> str:
    """The weights as they are named. Raises ConfigError without any."""
    if config.model.weights is None:
        instead = "write model=RUN, model=path/to/best.pt, or a released name: model=yolo26n"
        raise ConfigError(Problem("model", "no weights are named", instead))
    return config.model.weights


def _artefact(config: RunConfig, path: Path) -> FinishedWeights:
    """An exported model, used as it is. Raises ConfigError where that is not what was asked for."""
    artefact = artefact_file.inspect(path)
    wanted, problems = config.model.task, []
    if wanted is not None and artefact.task is not None and wanted is not artefact.task:
        found = f"{wanted.value}, but {path} holds a {artefact.task.value} model"
        problems.append(Problem("model.task", found, f"leave the task out, or write task={artefact.task.value}"))
    imgsz = getattr(config, "imgsz", None)
    if imgsz is not None and artefact.imgsz and not artefact.is_dynamic and _pair(imgsz) != _pair(artefact.imgsz):
        found = f"{imgsz}, but {path} was exported for {artefact.shape} pixels alone"
        problems.append(Problem("imgsz", found, "leave it out, or export with dynamic=true"))
    if isinstance(config, PredictConfig) and config.predict.exact:
        found = f"true, but {path} is an exported model, which has the kernels of its own runtime"
        problems.append(Problem("predict.exact", found, "leave it out, or name the .pt that it was exported from"))
    if problems:
        raise ConfigError(problems)
    task = artefact.task or wanted
    if task is None:
        instead = f"write task=, one of {', '.join(Task.__members__)}"
        raise ConfigError(Problem("model.task", f"{path} does not say its task", instead))
    return FinishedWeights(path.absolute(), task, {"imgsz": artefact.imgsz}, artefact.packages)


def _pair(imgsz: int | list[int]) -> list[int]:
    """Height and width."""
    return [imgsz, imgsz] if isinstance(imgsz, int) else list(imgsz) * (2 if len(imgsz) == 1 else 1)
