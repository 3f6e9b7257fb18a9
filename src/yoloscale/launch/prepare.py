"""What must be there before any rank starts: weights, images, labels. Done once, by the launcher, and checked."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from yoloscale.config import addresses
from yoloscale.config.check import families
from yoloscale.config.check.effects import told_by_file
from yoloscale.config.check.families import Family
from yoloscale.config.check.logger import missing_packages
from yoloscale.config.check.ranks_environment import refused_here
from yoloscale.config.compose.catalog import read_catalog
from yoloscale.config.kinds import kind_of
from yoloscale.config.locations import cache_folder, working_folder
from yoloscale.config.node_paths import is_checked_later, is_weights_of_nodes, or_later
from yoloscale.config.resolve import starting_weights
from yoloscale.config.schema import Config, OriginConfig, RunConfig, Task, ValConfig
from yoloscale.datasets.prepare import check_data
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.remarks import Say, silent

if TYPE_CHECKING:
    from yoloscale.datasets.weights_file import WeightsFile


BUILT_IN = ("shapes", "trees")  # datasets that are made here

_Run = TypeVar("_Run", bound=RunConfig)


def prepared(config: _Run, say: Say) -> _Run:
    """The config of a run of any kind, with what its kind's own preparation has found. Raises ConfigError."""
    return cast("_Run", kind_of(config.kind).load_preparation()(config, say))


def foresee(config: RunConfig, say: Say) -> None:
    """For a dry run: refuse weights that are here and of no use, and say what a start would convert or fetch."""
    if isinstance(config, Config):
        refuse_weights(config)
    else:
        from yoloscale.launch.prepare_inference import refuse_finished_weights

        refuse_finished_weights(config)
    if isinstance(config, (Config, ValConfig)):
        say_outlook([config], say)


def say_outlook(configs: Iterable[Config | ValConfig], say: Say) -> None:
    """Say which data would be converted, unpacked, fetched or split before a start; of each dataset once."""
    own = [config for config in configs if config.data.source not in BUILT_IN]
    if not own:
        return
    from yoloscale.datasets import sources

    different = {repr((config.data, config.model.task, config.paths.cache)): config for config in own}
    for config in different.values():
        for line in sources.outlook(config.data, config.model.task, cache_folder(config.paths)):
            say(line)


def prepare(config: Config, say: Say) -> Config:
    """Fetch, render and check what the config names; the config with its task, and what `origin` says of folder and
    dataset, filled in.

    Relative paths in a dataset's YAML are read from the folder that the run was first started in. `say` gets a line for
    everything that takes time. Raises ConfigError before anything of the run exists.
    """
    folder = working_folder(config.origin)
    with standing_in(folder):
        task, origin = _prepare(config, say)
    origin = replace(config.origin, folder=str(folder), dataset=origin.dataset, opened=origin.opened)
    return replace(config, model=replace(config.model, task=task), origin=origin)


@contextlib.contextmanager
def standing_in(folder: Path) -> Iterator[None]:
    """Within, the folder is the working folder, as it will be for the ranks."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _prepare(config: Config, say: Say) -> tuple[Task, OriginConfig]:
    """The task, and what `check_data` returns; nothing is known of a dataset that is looked at later."""
    cache = cache_folder(config.paths)
    problems = refused_here(missing_packages(config.logger), config, say)
    problems += [*_callback_problems(config, say), *_augmentation_problems(config, say)]
    if problems:
        raise ConfigError(problems)
    task, family = _prepare_model(config, cache, say)
    for line in told_by_file(config, replace(config, model=replace(config.model, task=task)), family):
        say(line)
    if not is_checked_later(config):
        return task, check_data(config, task, say)
    if addresses.whole(config.data.source) != config.data.source:
        found = f"{config.data.source} is opened by words that are not handed on to the nodes (data.check=later)"
        instead = "leave data.check out: it is fetched here; or write data='$NAME', and set that variable on the nodes"
        raise ConfigError(Problem("data", found, instead))
    return task, OriginConfig()


def _augmentation_problems(config: Config, say: Say) -> list[Problem]:
    """What keeps Albumentations from making the transforms; it is tried in a process of its own."""
    from yoloscale.datasets.fetch import FetchError, run_fetch

    if not config.augmentations:
        return []
    try:
        answer = run_fetch(["augmentations", json.dumps(config.augmentations)], silent)
    except FetchError as error:
        return refused_here(
            [Problem("augmentations", str(error), "import albumentations by hand: it fails")], config, say
        )
    return refused_here([Problem(*words) for words in json.loads(answer)], config, say)


def _callback_problems(config: Config, say: Say) -> list[Problem]:
    """What keeps the callbacks from being called; they are imported in a process of its own."""
    from yoloscale.datasets.fetch import FetchError, run_fetch

    if not config.callbacks:
        return []
    try:
        answer = run_fetch(["callbacks", config.paths.code or str(Path.cwd()), *config.callbacks], silent)
    except FetchError as error:
        instead = "import them by hand: they end Python, or break it"
        problem = Problem("callbacks", f"importing {', '.join(config.callbacks)}: {error}", instead)
        return refused_here([problem], config, say)
    findings = [(Problem(*words), is_everywhere) for *words, is_everywhere in json.loads(answer)]
    certain = [problem for problem, is_everywhere in findings if is_everywhere]
    return certain + refused_here([problem for problem, is_everywhere in findings if not is_everywhere], config, say)


def _prepare_model(config: Config, cache: Path, say: Say) -> tuple[Task, Family | None]:
    """The task of the model, and the family if its file is here; released weights are fetched.

    A `.pt` file is looked into without running any of it.

    Weights that are loaded into another architecture (`pretrained=path`) may be of another task: what fits is taken.
    """
    weights, model = starting_weights(config), config.model
    family = None
    if model.weights is None and (file := _architecture_file(str(model.architecture))) is not None:
        if problem := families.of_architecture(file):  # it may have been written in a recipe
            raise ConfigError(problem)
        family = families.family_of_content(families.content_of(file))
    if weights is None:
        assert model.task is not None, "a model without weights names its task"
        return model.task, family
    if is_weights_of_nodes(config):
        if model.task is None:
            unknown = f"not known before the job starts, as {weights} is there on the nodes only"
            raise ConfigError(Problem("model.task", unknown, f"write task=, one of {', '.join(Task.__members__)}"))
        return model.task, family
    from yoloscale.datasets import sources

    try:
        path = sources.prepare_weights(weights, cache, say)
    except ConfigError as error:
        raise ConfigError([or_later(problem, config) for problem in error.problems]) from None
    task, pt_file = looked_into(config, path)
    return task, families.family_of_content(pt_file.architecture) if model.weights else family


def refuse_weights(config: Config) -> None:
    """Raise ConfigError as `prepare` does for a `.pt` file that is here already; nothing is fetched."""
    weights = starting_weights(config)
    if weights is None or is_weights_of_nodes(config):
        return
    from yoloscale.datasets import sources

    if (path := sources.kept_here(weights, cache_folder(config.paths))) is not None:
        looked_into(config, path)


def looked_into(config: RunConfig, path: Path) -> tuple[Task, WeightsFile]:
    """The task of a run that starts from a `.pt` file, or makes use of it, and what that says.

    Raises ConfigError for a file of no use.
    """
    from yoloscale.datasets import weights_file

    model, file = config.model, weights_file.inspect(path)
    task_said = file.task.value if file.task else None
    if model.weights and (problem := families.of_weights(path, file.model_class, file.architecture, task_said)):
        raise ConfigError(problem)
    problems = []
    if file.foreign_globals and not model.allow_pickle:
        problems.append(_foreign(path, file.foreign_globals))
    if model.task is None and file.task is None:
        problems.append(Problem("model.task", f"{path} does not say its task", "write task=detect, or another"))
    elif model.weights and model.task and file.task and file.task is not model.task:
        instead = f"leave the task out, or write task={file.task.value}"
        said = f"{model.task.value}, but {path} holds a {file.task.value} model"
        problems.append(Problem("model.task", said, instead))
    if problems:
        raise ConfigError(problems)
    task = model.task or file.task
    assert task is not None
    return task, file


def _architecture_file(architecture: str) -> Path | None:
    """A file of one's own, or one of Ultralytics'."""
    own = Path(architecture)
    return own if own.is_file() else read_catalog([]).architecture(own.stem)


def _foreign(path: Path, names: tuple[str, ...]) -> Problem:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return Problem(
        "model.weights",
        f"{path} wants to run code from outside Ultralytics and torch: {shown}",
        "if you trust whoever made the file: model.allow_pickle=true",
    )
