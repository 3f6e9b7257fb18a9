"""What must be there before any rank starts: weights, images, labels. Done once, by the launcher, and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.locations import cache_folder
from yoloscale.config.schema import Config, ModelConfig, Task

Say = Callable[[str], None]


def prepare(config: Config, say: Say) -> Config:
    """Fetch, render and check what the config names; the config with its task filled in.

    `say` gets a line for everything that takes time. Raises ConfigError before anything of the run exists.
    """
    from yoloscale.data import check, sources

    cache = cache_folder(config.paths)
    task = _prepare_model(config.model, cache, say)
    source = sources.prepare(config.data, task, cache, say)
    check.check(source, task, single_cls=bool(config.single_cls))
    return replace(config, model=replace(config.model, task=task))


def _prepare_model(model: ModelConfig, cache: Path, say: Say) -> Task:
    """The task of the model; released weights are fetched, a `.pt` file is looked into without running any of it."""
    if model.weights is None:
        assert model.task is not None, "a model without weights names its task"
        return model.task
    from yoloscale.data import sources, weights_file

    path = sources.prepare_weights(model.weights, cache, say)
    found = weights_file.inspect(path)
    problems = []
    if found.foreign_globals and not model.allow_pickle:
        problems.append(_foreign(path, found.foreign_globals))
    task = model.task or (Task(found.task) if found.task else None)
    if task is None:
        problems.append(Problem("model.task", f"{path} does not say its task", "write model.task=detect, or another"))
    elif found.task and Task(found.task) is not task:
        problems.append(Problem("model.task", f"{task.value}, but {path} is a {found.task} model", _leave_out(found)))
    if problems:
        raise ConfigError(problems)
    assert task is not None
    return task


def _leave_out(found: object) -> str:
    return f"leave model.task out, or write model.task={getattr(found, 'task', 'detect')}"


def _foreign(path: Path, names: tuple[str, ...]) -> Problem:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return Problem(
        "model.weights",
        f"{path} wants to run code from outside Ultralytics and torch: {shown}",
        "if you trust whoever made the file: model.allow_pickle=true",
    )
